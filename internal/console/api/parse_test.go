package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/internal/admin"
)

func FuzzParametersAreReadOrRefused(f *testing.F) {
	f.Add("since=2h&limit=7&reason=rejected&cursor=1.2")
	f.Add("limit=99999999999999999999&since=1d1d&until=%FF&subscribr=x")
	f.Add("since=2026-01-02T03:04:05Z&limit=1&limit=2&\x00=;")
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, raw string) {
		q := newQuery(raw, now)
		dead := q.deadQuery()
		limit, _ := q.page()
		if err := q.done(); err != nil {
			assert.ErrorIs(t, err, admin.ErrInvalid)
			for _, r := range err.Error() {
				assert.False(t, r < ' ' || r == 0x9b || r == 0x202e, "%q", err.Error())
			}
			return
		}
		assert.True(t, limit >= 0 && limit <= admin.MaxPage)
		assert.Contains(t, append(deadReasons(), ""), string(dead.Reason))
	})
}

func FuzzBodiesAreReadOrRefused(f *testing.F) {
	f.Add(`{"selection": {"numbers": [1, 2], "since": "2h", "reason": "rejected"}, "reason": "why"}`)
	f.Add(`{"selection": {"numbrs": [-1]}, "reason": 7}`)
	f.Add(`{"selection": {"selection": {}}, "": null, "\u202e": 1}`)
	f.Add(`[null, {"a": "\ud800"}]`)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		c := &call{Request: r, w: httptest.NewRecorder()}
		for _, into := range []any{new(deadAct), new(quarantineAct), new(replayAsk), new(pauseAsk)} {
			c.Body = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)).Body
			err := c.read(into, maxBodyBytes)
			if err == nil {
				continue
			}
			if refused := refusalOf(err); refused.status != http.StatusRequestEntityTooLarge {
				assert.Equal(t, http.StatusBadRequest, refused.status)
			}
			for _, r := range err.Error() {
				assert.False(t, r < ' ' || r == 0x9b || r == 0x202e, "%q", err.Error())
			}
		}
	})
}

func TestNamesThatAreNearAreHintedAt(t *testing.T) {
	for _, c := range []struct{ wrong, hint string }{
		{"subscribr", `did you mean "subscriber"?`},
		{"sicne", `did you mean "since"?`},
		{"colour", "known are since, subscriber"},
		{strings.Repeat("x", 100), "known are since, subscriber"},
	} {
		assert.Equal(t, c.hint, nearest(c.wrong, []string{"since", "subscriber"}))
	}
	assert.Equal(t, "none is taken", nearest("x", nil))
}
