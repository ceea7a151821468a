package targettest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

func eventWith(sequence uint64, interaction, eventType string, body []byte) mesh.Event {
	return mesh.Event{
		Source:       "genesys",
		Organization: "org-1",
		Interaction:  interaction,
		ID:           fmt.Sprintf("envelope-%d", sequence),
		Type:         eventType,
		Media:        "call",
		Occurred:     time.Date(2026, 11, 23, 14, 15, 0, 250e6, time.UTC),
		Received:     time.Date(2026, 11, 23, 14, 15, 1, 0, time.UTC),
		Fingerprint:  fmt.Sprintf("fingerprint-%d", sequence),
		DeliveryID:   "delivery-1",
		DeliveryType: "interaction",
		TraceParent:  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		TraceState:   "vendor=value",
		Subject:      "genesys.07.interaction.call." + mesh.Token(interaction),
		Body:         body,
		Stream:       "INTERACTIONS",
		Sequence:     sequence,
		Stored:       time.Date(2026, 11, 23, 14, 15, 1, 5e6, time.UTC),
		Attempt:      1,
	}
}

// hostileValues are values that a sender may write into its envelope.
func hostileValues() map[string]string {
	return map[string]string{
		"header injection":   "a\r\nX-Injected: 1\r\n\r\nbody",
		"line feed":          "a\nb\n",
		"NUL":                "a\x00b",
		"blanks at the ends": "  a  ",
		"tab":                "\ta",
		"escape sequence":    "\x1b[31mred",
		"DEL":                "a\x7fb",
		"percent":            "100%",
		"escaped percent":    "%0d%0a%25",
		"quotes":             `a"b'c\d`,
		"JSON":               `"},"body":{"x":1},"y":{"`,
		"markup":             "<script>&amp;</script>",
		"wildcards":          "a.*.>",
		"unicode":            "Zoë – 日本 😀",
		"line separator":     "a\u2028b\u0085c",
		"not UTF-8":          "a\xff\xfeb",
		"cut inside a rune":  strings.Repeat("a", mesh.MaxValueBytes-1) + "\xc3",
		"longest":            strings.Repeat("%", mesh.MaxValueBytes),
		"empty":              "",
	}
}

// bodies are bodies that must arrive byte for byte.
func bodies() map[string][]byte {
	padding := bytes.Repeat([]byte("x"), 512<<10-len(`{"data":""}`))
	return map[string][]byte{
		"ordinary":           []byte(`{"id":"1","data":{"id":"2"}}`),
		"blanks inside":      []byte(`{ "id" :  "1" ,"data":{"id": 2.50e+01 } }`),
		"several lines":      []byte("{\n  \"id\": \"1\"\n}"),
		"CR LF":              []byte("{\r\n\"id\":\"1\"}\r\n"),
		"CR":                 []byte("{\r\"id\":\"1\"}"),
		"blanks around":      []byte(" {\"id\":\"1\"}\t "),
		"blank at the end":   []byte("{\"id\":\"1\"} "),
		"blank at the start": []byte("\t{\"id\":\"1\"}"),
		"line feed at end":   []byte("{\"id\":\"1\"}\n"),
		"unicode escapes":    []byte(`{"a":"\u00e9\u2028\ud83d\ude00\/","b":"é 😀"}`),
		"markup":             []byte(`{"a":"<b>&</b>"}`),
		"duplicate keys":     []byte(`{"a":1,"a":2}`),
		"large number":       []byte(`{"a":123456789012345678901234567890}`),
		"not JSON":           []byte("{\"a\":"),
		"not UTF-8":          []byte("{\"a\":\"\xff\"}"),
		"NUL":                []byte("\x00\x01\x02"),
		"byte order mark":    []byte("\xef\xbb\xbf{}"),
		"empty":              {},
		"largest by default": append(append([]byte(`{"data":"`), padding...), `"}`...),
	}
}
