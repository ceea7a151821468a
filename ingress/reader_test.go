package ingress

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/genmesh/genmesh/mesh"
	"github.com/stretchr/testify/require"
)

// FuzzReader: whatever a body holds, the event can be stored, read back and answered.
func FuzzReader(f *testing.F) {
	for _, body := range []string{
		goodBody, `{`, `{"data":{"id":9007199254740993}}`, `{"data":{"id":"\ud83d\ude00\r\n*.>"}}`,
		`{"data":{"id":"1","type":["call"]},"timestamp":1e400,"eventTypeId":{}}`, `{"data":[{"id":"1"}]}`,
		`{"QXZ":[1,"QXZ",{"QXZ":tru}]}`, `{"QXZ":1,"QXZ":"\u00QX"}`, `{"data":{"id":{"QXZ":-}}}`, `{"data":{"id":["QXZ"],"type":{}}}`,
		`{"data":{"id":"<script>"},"id":"` + strings.Repeat("ä", 300) + `"}`, "\xef\xbb\xbf{}", "null",
	} {
		f.Add([]byte(body))
	}
	reader, err := NewReader(testSource())
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		readings := reader.Read(http.Header{}, mesh.Event{Source: "genesys", Received: time.Now(), Body: body})
		require.Len(t, readings, 1)
		e := readings[0].Event
		if e.Interaction == "" {
			require.NotEmpty(t, readings[0].Reason)
		}
		require.Equal(t, readings[0].Reason == "", e.Detail == "")
		require.LessOrEqual(t, len(e.Detail), mesh.MaxValueBytes)
		require.False(t, strings.ContainsAny(e.Detail, "QXZ"), "no word of ours has these letters: %s", e.Detail)
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
		stored(&e, mesh.Receipt{MsgID: e.Interaction}).write(w, 0)
		var told answer
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &told))
		require.Equal(t, shown(e.Interaction), told.Interaction)
		require.Equal(t, 1, strings.Count(w.Body.String(), "\n"), "one line, whatever the id holds")
		require.False(t, strings.ContainsAny(w.Body.String(), "<>&\x00\r"), "nothing that a browser or a terminal obeys")
	})
}
