package ndjson

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/targettest"
)

func TestLine(t *testing.T) {
	event := targettest.Event(42)
	event.Body = []byte(`{"a": "<\u00e9>"}`)
	want := `{"source":"genesys","organization":"org-1","interaction":"987654321","event_id":"envelope-42",` +
		`"type":"interaction","media":"call","occurred":"2026-11-23T14:15:00.25Z","received":"2026-11-23T14:15:01Z",` +
		`"stream":"INTERACTIONS","sequence":42,"fingerprint":"fingerprint-42","idempotency_key":"` + event.IdempotencyKey() +
		`","body":{"a": "<\u00e9>"}}` + "\n"
	assert.Equal(t, want, string(encodeLine(event)))

	event.Body = []byte("{\n}")
	assert.Contains(t, string(encodeLine(event)), `","body_base64":"ewp9"}`+"\n")
}

func TestTimesOutOfTheOrdinaryAreWrittenToo(t *testing.T) {
	event := targettest.Event(1)
	event.Occurred = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)
	assert.Contains(t, string(encodeLine(event)), `"occurred":"20000-01-01T00:00:00Z"`)
	event.Occurred = time.Time{}
	assert.NotContains(t, string(encodeLine(event)), "occurred")
}

func FuzzLine(f *testing.F) {
	f.Add("interaction", []byte(`{"a":1}`))
	f.Add("a\n\"b\xff", []byte("{\r\n}"))
	f.Add("", []byte(" 1 "))
	f.Fuzz(func(t *testing.T, value string, body []byte) {
		event := mesh.Event{Source: "genesys", Interaction: value, Type: value, Body: body}
		line := encodeLine(event)
		require.Equal(t, len(line)-1, bytes.IndexByte(line, '\n'), "one line")
		a := parseLine(t, line)
		require.Equal(t, string([]rune(value)), a.Interaction)
		require.Equal(t, string(body), string(a.Body))
	})
}
