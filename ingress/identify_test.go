package ingress

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/genmesh/genmesh/mesh"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseTime(t *testing.T) {
	want := time.Date(2023, 3, 15, 13, 20, 0, 0, time.UTC)
	for text, at := range map[string]time.Time{
		"1678886400":                want,
		"1678886400000":             want,
		"1678886400.25":             want.Add(250 * time.Millisecond),
		"1678886400123":             want.Add(123 * time.Millisecond),
		"1678886400123.5":           want.Add(123*time.Millisecond + 500*time.Microsecond),
		"1.6788864e9":               want,
		"2023-03-15T13:20:00Z":      want,
		"2023-03-15T14:20:00+01:00": want,
		"2023-03-15T13:20:00.123Z":  want.Add(123 * time.Millisecond),
		"99999999999":               time.Unix(99999999999, 0).UTC(),
		"":                          {},
		"yesterday":                 {},
		"0":                         {},
		"-1":                        {},
		"NaN":                       {},
		"+Inf":                      {},
		"1e300":                     {},
		"9223372036854775807":       {},
		"99999999999999999999":      {},
		"1678886400000000":          {}, // microseconds are not understood
		"0001-01-01T00:00:00Z":      {},
		"9999-12-31T23:59:59-10:00": {},
		"2023-03-15":                {},
	} {
		assert.Equal(t, at, parseTime(text), text)
	}
}

func TestClip(t *testing.T) {
	assert.Equal(t, "abc", clip("abc", 3))
	assert.Equal(t, "ab", clip("abc", 2))
	assert.Equal(t, "ä", clip("ää", 3))
	assert.Equal(t, "", clip("😀", 3))
	assert.Equal(t, 4, len(clip(strings.Repeat("\x80", 9), 8)), "what is no text is cut, too")
}

func TestDepthIsCountedOutsideOfStrings(t *testing.T) {
	assert.False(t, deeperThan([]byte(`{"a":"[[[[{{{{\"[[[["}`), 1))
	assert.True(t, deeperThan([]byte(`{"a":"\\",  "b":[]}`), 1))
	assert.False(t, deeperThan([]byte(`[][][][]`), 1))
	assert.True(t, deeperThan([]byte(`[[`), 1))
	assert.False(t, deeperThan([]byte(`"\`), 1))
}

func newTestReceiver(t testing.TB, source mesh.Source) *receiver {
	t.Helper()
	return &receiver{source: source, fingerprints: newFingerprints(source.Identity.Fingerprint)}
}

// FuzzIdentify: whatever a body holds, the event can be stored, read back and answered.
func FuzzIdentify(f *testing.F) {
	for _, body := range []string{
		goodBody, `{`, `{"data":{"id":9007199254740993}}`, `{"data":{"id":"\ud83d\ude00\r\n*.>"}}`,
		`{"data":{"id":"1","type":["call"]},"timestamp":1e400,"eventTypeId":{}}`, `{"data":[{"id":"1"}]}`,
		`{"data":{"id":"<script>"},"id":"` + strings.Repeat("ä", 300) + `"}`, "\xef\xbb\xbf{}", "null",
	} {
		f.Add([]byte(body))
	}
	to := newTestReceiver(f, testSource())
	f.Fuzz(func(t *testing.T, body []byte) {
		e := mesh.Event{Source: "genesys", Received: time.Now(), Body: body}
		reason := to.identify(&e)
		require.Equal(t, reason == "", e.Interaction != "")
		require.Len(t, e.Fingerprint, 32)
		for _, value := range []string{e.ID, e.Type, e.Media, e.Organization} {
			require.LessOrEqual(t, len(value), mesh.MaxValueBytes)
			require.True(t, utf8.ValidString(value))
		}
		msg := e.Msg("id")
		back, err := mesh.ParseEvent("subject", msg.Header, msg.Data)
		require.NoError(t, err)
		require.Equal(t, e.Interaction, back.Interaction)
		require.True(t, e.Occurred.Equal(back.Occurred))

		w := httptest.NewRecorder()
		stored(&e, mesh.Receipt{MsgID: e.Interaction}).write(w)
		var told answer
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &told))
		require.Equal(t, shown(e.Interaction), told.Interaction)
		require.Equal(t, 1, strings.Count(w.Body.String(), "\n"), "one line, whatever the id holds")
		require.False(t, strings.ContainsAny(w.Body.String(), "<>&\x00\r"), "nothing that a browser or a terminal obeys")
	})
}
