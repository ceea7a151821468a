package ingress

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/genmesh/genmesh/mesh"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDetailOfInvalidJSON(t *testing.T) {
	for body, want := range map[string]string{
		"":                              "it is empty",
		" \n\t\r":                       "it is nothing but white space",
		"\ufeff{}":                      "at byte 0: a byte order mark stands here",
		`hello`:                         "at byte 0: no JSON value begins here",
		`,{}`:                           "at byte 0: no JSON value begins here",
		`{} {}`:                         "at byte 3: more follows after the end of the value",
		`{}}`:                           "at byte 2: more follows after the end of the value",
		`01`:                            "at byte 1: more follows after the end of the value",
		`{"id": "torn`:                  "at byte 12: the text ends within a string",
		`{"id": "torn \u00`:             "at byte 17: the text ends within a string",
		"{\"id\": \"torn \xc3":          "at byte 14: the text ends within a string",
		`{"id`:                          "at byte 4: the text ends within a string",
		`{`:                             "at byte 1: the text ends within an object",
		`{"data":`:                      "at byte 8: the text ends within an object",
		`{"data" `:                      "at byte 8: the text ends within an object",
		`{"a":{"b":1}, `:                "at byte 14: the text ends within an object",
		`{"a":[`:                        "at byte 6: the text ends within an array",
		`{"a":[1,`:                      "at byte 8: the text ends within an array",
		`{"a":-`:                        "at byte 6: the text ends within a number",
		`{"a":1.`:                       "at byte 7: the text ends within a number",
		`{"a":nul`:                      "at byte 8: the text ends within null",
		`{"a":t`:                        "at byte 6: the text ends within true or false",
		`{"a":1 "b":2}`:                 "at byte 7: a comma or the end of the object is missing",
		`{"a":1]`:                       "at byte 6: a comma or the end of the object is missing",
		`{"a":01}`:                      "at byte 6: a comma or the end of the object is missing",
		`{"a":[1 2]}`:                   "at byte 8: a comma or the end of the array is missing",
		`{"a":[1}`:                      "at byte 7: a comma or the end of the array is missing",
		`{"a" 1}`:                       "at byte 5: the colon after a name is missing",
		`{"a"}`:                         "at byte 4: the colon after a name is missing",
		`{"a",`:                         "at byte 4: the colon after a name is missing",
		`{"a":}`:                        "at byte 5: no JSON value begins here",
		`{"a":1,"b":NaN}`:               "at byte 11: no JSON value begins here",
		`{"a":'x'}`:                     "at byte 5: no JSON value begins here",
		`{"a":.5}`:                      "at byte 5: no JSON value begins here",
		`{"a":[1,]}`:                    "at byte 8: no JSON value begins here",
		`{"a":[,1]}`:                    "at byte 6: no JSON value begins here",
		`{"a":1,}`:                      "at byte 7: no name in quotes begins here",
		`{"a":1,,}`:                     "at byte 7: no name in quotes begins here",
		`{a:1}`:                         "at byte 1: no name in quotes begins here",
		`{1:2}`:                         "at byte 1: no name in quotes begins here",
		`{tru`:                          "at byte 1: no name in quotes begins here",
		`{null:1}`:                      "at byte 1: no name in quotes begins here",
		`{"a":1, "b":2, "a":3}`:         "at byte 15: the object has this name already",
		`{"a":1,"\u0061":3}`:            "at byte 7: the object has this name already",
		`[{"a":{"b":1,"b":2}}]`:         "at byte 13: the object has this name already",
		`{"a":-x}`:                      "at byte 6: a digit is missing in a number",
		`{"a":1.x}`:                     "at byte 7: a digit is missing in a number",
		`{"a":1e}`:                      "at byte 7: a digit is missing in a number",
		`{"a":nil}`:                     "at byte 6: a word is neither true nor false nor null",
		`{"a":falsy}`:                   "at byte 9: a word is neither true nor false nor null",
		`{"a":"\x"}`:                    "at byte 6: an escape in a string stands for no character",
		`{"a":"x\ud800"}`:               "at byte 7: an escape in a string stands for no character",
		`{"\u12g4":1}`:                  "at byte 2: an escape in a string stands for no character",
		"{\"a\":\"x\x00\"}":             "at byte 7: a control character stands in a string",
		"{\"a\":\"x\ny\"}":              "at byte 7: a control character stands in a string",
		"{\"a\":\"x\xff\"}":             "at byte 7: a string is no UTF-8",
		"{\"a\":\"\xed\xa0\x80\"}":      "at byte 6: a string is no UTF-8",
		"{\"\xff\":1}":                  "at byte 2: a string is no UTF-8",
		"{\"a\":1\xff}":                 "at byte 6: a comma or the end of the object is missing",
		"\x1f\x8b\x08":                  "at byte 0: no JSON value begins here",
		`{"a":"` + "\ufeff" + `","b":1`: "at byte 16: the text ends within an object",
	} {
		reason, detail := checkJSON([]byte(body))
		assert.Equal(t, reasonInvalidJSON, reason, body)
		assert.Equal(t, want, detail, body)
	}
}

// TestDetails is what each reason for quarantine says beside the word.
func TestDetails(t *testing.T) {
	const genesys, engage = `"preset": "genesys"`, `"preset": "genesys-engage"`
	const nowhere = `"preset": "hmac", "without_interaction": "quarantine", "identity": `
	const pinned = `"preset": "hmac", "organizations": ["acme"], "identity": {"organization": "org"}`
	const fresh = `"preset": "hmac", "max_event_age": "90m", "identity": {"occurred": `
	at := func(ago time.Duration) string { return fmt.Sprintf(`{"at":%d}`, time.Now().Add(-ago).Unix()) }
	wide := `{"data":{"entities":[` + strings.Repeat(`{},`, 30) + `{}]},"pad":"` + strings.Repeat("x", 400_000) + `"}`
	for _, c := range []struct{ source, body, reason, detail string }{
		{genesys, `{"data":{"id":"1"}`, reasonInvalidJSON, "at byte 18: the text ends within an object"},
		{genesys, `[{"data":{"id":"1"}}]`, reasonNoObject, "it is an array"},
		{genesys, ` "1"`, reasonNoObject, "it is a string"},
		{genesys, `-1.5`, reasonNoObject, "it is a number"},
		{genesys, `null`, reasonNoObject, "it is null"},
		{genesys, `true`, reasonNoObject, "it is true or false"},
		{genesys, `false`, reasonNoObject, "it is true or false"},
		{genesys, `{"a":` + strings.Repeat("[", 64), reasonTooDeep, "at byte 68: objects and arrays are nested more than 64 deep"},

		{engage, `{"data":{"entities":[]}}`, reasonNoEvents, "the list at data.entities is empty"},
		{engage, `{"data":{"entities":[` + strings.Repeat(`{},`, 256) + `{}]}}`, reasonTooManyEvents,
			"257 events are at data.entities; at most 256 go at once"},
		{engage, wide, reasonTooManyEvents,
			"31 events are at data.entities, and 12401055 bytes together, each with all that stands around it; at most 8388608 go at once"},

		{genesys, `{}`, reasonNoInteraction, "looked for it at data.id: nothing is there"},
		{genesys, `{"data":"id"}`, reasonNoInteraction, "looked for it at data.id: nothing is there"},
		{genesys, `{"data":{"id":""}}`, reasonNoInteraction, "looked for it at data.id: an empty string is there"},
		{genesys, `{"data":{"id":null}}`, reasonNoInteraction, "looked for it at data.id: null is there, no string or number"},
		{genesys, `{"data":{"id":false}}`, reasonNoInteraction, "looked for it at data.id: true or false is there, no string or number"},
		{genesys, `{"data":{"id":{"id":"1"}}}`, reasonNoInteraction, "looked for it at data.id: an object is there, no string or number"},
		{genesys, `{"data":{"id":["1"]}}`, reasonNoInteraction, "looked for it at data.id: an array is there, no string or number"},
		{`"preset": "genesys-open-messaging", "without_interaction": "quarantine"`, `{"channel":{"id":"i","to":{"id":""}}}`, reasonNoInteraction,
			"looked for it at conversationId: nothing is there; at {channel.id}:{channel.to.id}: an empty string is at channel.to.id; at channel.to.id: an empty string is there"},
		{`"preset": "genesys-eventbridge", "without_interaction": "quarantine"`, `{"detail":{"eventBody":{}}}`, reasonNoInteraction,
			"looked for it at @.conversationId: nothing is there"},
		{nowhere + `{"interaction": ["header:X-Call", "{header:X-Call}/{nonce:}", "{@.call}-{newest:@}"]}`, `{}`, reasonNoInteraction,
			"looked for it at header:X-Call: nothing is there; at {header:X-Call}/{nonce:}: nothing is at header:X-Call; at {@.call}-{newest:@}: nothing is at @.call"},
		{nowhere + `{"interaction": ["header:X-Org ~ ^(b.*)", "a ~ ^(b.*)", "{nonce:}/{a}", "{a}{newest:@}", "{a}{newest:a}"]}`, `{"a":"c"}`, reasonNoInteraction,
			"looked for it at header:X-Org ~ ^(b.*): what is there does not match; at a ~ ^(b.*): what is there does not match; " +
				"at {nonce:}/{a}: nothing is at nonce:; at {a}{newest:@}: no time is at @; at {a}{newest:a}: no time is at a"},
		{nowhere + `{"interaction": "{ab}` + strings.Repeat("ä", 120) + `"}`, `{}`, reasonNoInteraction,
			"looked for it at {ab}" + strings.Repeat("ä", 117)}, // cut between characters

		{pinned, `{}`, reasonOrganization, "looked for it at org: nothing is there"},
		{pinned, `{"org":{}}`, reasonOrganization, "looked for it at org: an object is there, no string or number"},
		{pinned, `{"org":"other"}`, reasonOrganization, "it names an organization that is none of the source's"},

		{fresh + `"at"}`, `{}`, reasonEventAge, "looked for it at at: nothing is there"},
		{fresh + `"at"}`, `{"at":"yesterday"}`, reasonEventAge, "looked for it at at: what is there can't be read"},
		{fresh + `"newest:@"}`, `{"at":"yesterday"}`, reasonEventAge, "looked for it at newest:@: no time is there"},
		{fresh + `[]}`, `{}`, reasonEventAge, "the source does not say where to look for it"},
		{fresh + `"at"}`, at(2 * time.Hour), reasonEventAge, "it came more than 1h30m after its time"},
		{fresh + `"at"}`, at(-2 * time.Hour), reasonEventAge, "it came more than 1h30m before its time"},

		{genesys, `{"data":{"id":"1","type":7}}`, reasonSchema, "/data/type: is number, not string"},
		{genesys, `{"data":{"id":"1"},"eventTypeId":"genmesh.erasure"}`, reasonReservedType, "types that begin with genmesh. are of genmesh's own events"},
	} {
		readings := readerOf(t, c.source).Read(http.Header{"X-Org": {"acme"}}, mesh.Event{Source: "genesys", Received: time.Now(), Body: []byte(c.body)})
		require.Len(t, readings, 1)
		assert.Equal(t, c.reason, readings[0].Reason, c.body)
		assert.Equal(t, c.detail, readings[0].Event.Detail, "%s %.300s", c.source, c.body)
	}
}

// TestDetailWhenReadAgain: the headers of a stored event are gone.
func TestDetailWhenReadAgain(t *testing.T) {
	r := readerOf(t, `"preset": "hmac", "without_interaction": "quarantine", "identity": {"interaction": ["header:X-Call", "call"]}`)
	again := r.Reread(mesh.Event{Source: "genesys", Body: []byte(`{}`), Reason: reasonSchema, Detail: "old"})[0]
	assert.Equal(t, "looked for it at header:X-Call: the headers are not kept; at call: nothing is there", again.Event.Detail)
}

// TestDetailsRepeatNothing breaks bodies at each byte in all kinds of ways. Their names and values are full
// of letters that no word of ours has, so one of them in a detail came out of a body.
func TestDetailsRepeatNothing(t *testing.T) {
	const ours = "QXZ"
	sources := []*Reader{
		readerOf(t, `"preset": "genesys"`),
		readerOf(t, `"preset": "genesys-engage", "without_interaction": "quarantine"`),
		readerOf(t, `"preset": "hmac", "organizations": ["acme"], "identity": {"organization": "org"}`),
		readerOf(t, `"preset": "hmac", "max_event_age": "1h", "identity": {"occurred": ["at", "newest:@"]}`),
	}
	reasons := map[string]bool{}
	check := func(body string) {
		for _, r := range sources {
			for _, reading := range r.readBody(t, body) {
				reasons[reading.Reason] = true
				if detail := reading.Event.Detail; strings.ContainsAny(detail, ours) || (detail == "") != (reading.Reason == "") {
					t.Fatalf("%s: %q has the detail %q", body, reading.Reason, detail)
				}
			}
		}
	}
	inserted := []string{"Q", "X\x00", "\xff", "\\", `\uQXZ1`, `\ud800`, `"`, `"QXZ"`, "{", "}", "[", "]", ",", ":", "1", "-", "tQ", "\ufeff"}
	for _, body := range []string{
		`{"data":{"id":"QXZ","type":"QXZ","QXZ":[true,-1.5e7,null,"QX\nZ"]},"eventTypeId":"QXZ"}`,
		`{"QXZ":"QXZ","data":{"QXZ":{"id":"QXZ"},"id":{"QXZ":"QXZ"}}}`,
		`{"operationId":"QXZ","data":{"entities":[{"event":"QXZ","entity":{"id":{"QXZ":1}}},{"QXZ":2}]}}`,
		`{"data":{"entities":[]},"QXZ":"QXZ"}`,
		`{"data":{"id":"1","type":{"QXZ":1}},"eventTypeId":"genmesh.QXZ"}`,
		`{"data":{"id":"1","type":{"QXZ":1}},"org":["QXZ"],"at":"QXZ"}`,
		`{"org":"QXZ","at":12}`,
		`["QXZ"]`, `"QXZ"`, `QXZ`,
		`{"QXZ":` + strings.Repeat(`["QXZ",`, 70),
		`{"QXZ":"QXZ","data":{"entities":[` + strings.Repeat(`"QXZ",`, 300) + `1]}}`,
	} {
		check(body)
		for i := range min(len(body), 120) {
			check(body[:i])
			check(body[:i] + body[i+1:])
			for _, s := range inserted {
				check(body[:i] + s + body[i:])
				check(body[:i] + s)
			}
		}
	}
	for _, reason := range []string{reasonInvalidJSON, reasonTooDeep, reasonNoObject, reasonNoInteraction, reasonOrganization,
		reasonEventAge, reasonSchema, reasonReservedType, reasonNoEvents, reasonTooManyEvents} {
		assert.True(t, reasons[reason], "there is a body for %s", reason)
	}
}
