package ingress

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// FuzzCheckJSON compares what goes on its way with what another parser makes of it, whose one fault is to be lenient: it takes names twice,
// bytes that are no UTF-8 and halves of characters.
func FuzzCheckJSON(f *testing.F) {
	for _, body := range []string{
		goodBody, `{"a":1,"a":2}`, `{"a":{"b":[1,{"c":"\ud83d\ude00"}]}}`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`, `{"a":"\\ud800"}`,
		`{} {}`, `[1]`, "\ufeff{}",
		`{"a":01}`, `{"":"","\u0000":[]}`, `{"A":1,"a":2}`, `{"a":"\u0061","\u0061":1}`, "{\"a\":\"\u2028\"}", `{"a":-0.0e-00}`,
	} {
		f.Add([]byte(body))
	}
	halfEscaped := regexp.MustCompile(`(?i)\\ud[89a-f]`) // among others; such bodies prove nothing
	f.Fuzz(func(t *testing.T, body []byte) {
		reason, detail := checkJSON(body)
		require.Equal(t, reason == "", detail == "")
		good := json.Valid(body) && utf8.Valid(body) && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
		if reason == "" {
			require.True(t, good, "only a whole object goes on")
		}
		if !good {
			return
		}
		depth, once := lookThrough(t, body)
		if reason == "" {
			require.LessOrEqual(t, depth, maxJSONDepth)
			require.True(t, once, "a name stands twice")
			return
		}
		require.True(t, depth > maxJSONDepth || !once || halfEscaped.Match(body), "it was refused for nothing: %s %s", reason, detail)
	})
}

// lookThrough tells how deep a valid body is nested, and whether each object has each name once.
func lookThrough(t *testing.T, body []byte) (deepest int, once bool) {
	type object struct {
		names  map[string]bool // nil for an array
		inName bool
	}
	var open []object
	once = true
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return deepest, once
		}
		require.NoError(t, err)
		if token == json.Delim('}') || token == json.Delim(']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 {
			in := &open[len(open)-1]
			if in.names != nil && !in.inName {
				in.inName = true
				once = once && !in.names[token.(string)]
				in.names[token.(string)] = true
				continue
			}
			in.inName = false
		}
		switch token {
		case json.Delim('{'):
			open = append(open, object{names: make(map[string]bool)})
		case json.Delim('['):
			open = append(open, object{})
		}
		deepest = max(deepest, len(open))
	}
}
