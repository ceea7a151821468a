package forward

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

// answerHeader reads "Name: value" lines.
func answerHeader(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	return h
}

func TestLimitsThatTargetsTell(t *testing.T) {
	now := time.Unix(1795442400, 0)
	for _, c := range []struct {
		header []string
		want   limit // a reset of 0 is none
	}{
		{[]string{"X-Rate-Limit-Remaining: 50", "X-Rate-Limit-Reset: 30"}, limit{50, 30 * time.Second}},
		{[]string{"X-RateLimit-Remaining: 50", "X-RateLimit-Reset: 1795442430"}, limit{50, 30 * time.Second}},
		{[]string{"RateLimit-Remaining: 0", "RateLimit-Reset: 1795442400500"}, limit{0, 500 * time.Millisecond}},
		{[]string{"x-ratelimit-remaining: 4000", "x-ratelimit-reset: 3600"}, limit{4000, time.Hour}},
		{[]string{"X-Rate-Limit-Remaining: x", "X-Rate-Limit-Reset: 30", "RateLimit-Remaining: 5", "RateLimit-Reset: 6"}, limit{5, 6 * time.Second}},
		{[]string{"X-Rate-Limit-Remaining: 50", "X-RateLimit-Reset: 30"}, limit{}},
		{[]string{"X-Rate-Limit-Remaining: 50"}, limit{}},
		{[]string{"X-Rate-Limit-Remaining: -1", "X-Rate-Limit-Reset: 30"}, limit{}},
		{[]string{"X-Rate-Limit-Remaining: 50", "X-Rate-Limit-Reset: -30"}, limit{}},
		{[]string{"X-Rate-Limit-Remaining: 50", "X-Rate-Limit-Reset: 0"}, limit{}},
		{[]string{"X-Rate-Limit-Remaining: 50", "X-Rate-Limit-Reset: 1795442399"}, limit{}},
		{[]string{"X-Rate-Limit-Remaining: 50", "X-Rate-Limit-Reset: 600000"}, limit{}},
		{[]string{"X-Rate-Limit-Remaining: 99999999999", "X-Rate-Limit-Reset: 30"}, limit{}},
		{[]string{"X-Rate-Limit-Remaining: 1.5", "X-Rate-Limit-Reset: 30"}, limit{}},

		{[]string{"RateLimit: limit=100, remaining=50, reset=30"}, limit{50, 30 * time.Second}},
		{[]string{"RateLimit: limit=100", "RateLimit: remaining=50, reset=30"}, limit{50, 30 * time.Second}},
		{[]string{`RateLimit: "default";r=50;t=30`}, limit{50, 30 * time.Second}},
		{[]string{`RateLimit: default;r=50;t=30`}, limit{50, 30 * time.Second}},
		{[]string{`RateLimit: "burst";r=5;t=1, "day";r=1000;t=40000`}, limit{1000, 40000 * time.Second}},
		{[]string{`RateLimit: "burst";r=5, "day";r=0;t=60`}, limit{0, time.Minute}},
		{[]string{`RateLimit: "default";r=50`}, limit{}},
		{[]string{`RateLimit: "default";r=-50;t=30`}, limit{}},
		{[]string{`RateLimit: "default";r="50";t=30`}, limit{}},
		{[]string{`RateLimit: remaining=50.5, reset=30`}, limit{}},
		{[]string{`RateLimit: ("a" "b");r=1;t=1`}, limit{}},
		{[]string{`RateLimit: remaining=(1 2), reset=30`}, limit{}},
		{[]string{`RateLimit: ;;;`}, limit{}},
		{[]string{`RateLimit: ` + strings.Repeat(`"a";r=50;t=30, `, 100) + `"a";r=50;t=30`}, limit{}},

		{[]string{"inin-ratelimit-count: 250", "inin-ratelimit-allowed: 300", "inin-ratelimit-reset: 42"}, limit{50, 42 * time.Second}},
		{[]string{"inin-ratelimit-count: 301", "inin-ratelimit-allowed: 300", "inin-ratelimit-reset: 42"}, limit{0, 42 * time.Second}},
		{[]string{"inin-ratelimit-count: 250", "inin-ratelimit-allowed: 300"}, limit{}},
		{[]string{"inin-ratelimit-count: -1", "inin-ratelimit-allowed: 300", "inin-ratelimit-reset: 42"}, limit{}},
		{[]string{"inin-ratelimit-count: 1", "inin-ratelimit-allowed: 0", "inin-ratelimit-reset: 42"}, limit{}},
		{nil, limit{}},
	} {
		got, ok := limitOf(answerHeader(c.header...), now)
		assert.Equal(t, c.want, got, "%s", c.header)
		assert.Equal(t, c.want != limit{}, ok, "%s", c.header)
	}
}

// heard is a context that hears what workers.NotePace is told in the runner's place.
type heard struct {
	context.Context
	hints chan limit
}

func (c heard) Value(key any) any {
	if fmt.Sprintf("%T", key) != "workers.paceKey" {
		return c.Context.Value(key)
	}
	return func(remaining int, reset time.Duration) { c.hints <- limit{remaining, reset} }
}

func TestEachAnswerTellsThePace(t *testing.T) {
	for _, status := range []int{200, 429, 500, 400} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("RateLimit", `"default";r=7;t=9`)
			w.WriteHeader(status)
		}))
		ctx := heard{t.Context(), make(chan limit, 1)}
		_ = newTarget(t, server.URL).Handle(ctx, targettest.Event(1))
		server.Close()
		require.Len(t, ctx.hints, 1)
		assert.Equal(t, limit{7, 9 * time.Second}, <-ctx.hints)
	}
}

func TestA429WaitsForTheLimitToBeRenewed(t *testing.T) {
	for line, want := range map[string]time.Duration{
		"inin-ratelimit-reset: 42":            42 * time.Second,
		"inin-ratelimit-reset: 4200":          maxWait,
		`RateLimit: "default";r=0;t=30`:       30 * time.Second,
		"RateLimit: remaining=0, reset=99999": 0,
		"RateLimit: remaining=0, reset=9999":  maxWait,
		"inin-ratelimit-reset: soon":          0,
	} {
		for status, fate := range map[int]workers.Fate{429: workers.Wait, 503: workers.Retry} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				name, value, _ := strings.Cut(line, ": ")
				w.Header().Set(name, value)
				w.WriteHeader(status)
			}))
			err := newTarget(t, server.URL).Handle(t.Context(), targettest.Event(1))
			server.Close()
			assert.Equal(t, fate, targettest.FateOf(err), "such headers come with every answer, %d too", status)
			if fate == workers.Wait {
				assert.Equal(t, want, targettest.WaitOf(err), line)
			}
		}
	}
}

func FuzzLimit(f *testing.F) {
	f.Add("50", "30", `"default";r=50;t=30`, int64(1795442400))
	f.Add("-1", "1795442430", "limit=100, remaining=50, reset=30", int64(1795442400))
	f.Add("9223372036854775807", "1795442400500", `"a";r=1;t=1, b;r=2;t=9, ("x");t=1`, int64(0))
	f.Add("", "x", "remaining=?1, reset=:YQ==:, a=@1, b=%\"x\"", int64(-1))
	f.Fuzz(func(t *testing.T, remaining, reset, structured string, unix int64) {
		now := time.Unix(unix, 0)
		for _, h := range []http.Header{
			{"X-Ratelimit-Remaining": {remaining}, "X-Ratelimit-Reset": {reset}},
			{"Inin-Ratelimit-Count": {remaining}, "Inin-Ratelimit-Allowed": {"300"}, "Inin-Ratelimit-Reset": {reset}},
			{"Ratelimit": {structured}},
			{"Ratelimit": {structured, structured}},
		} {
			l, ok := limitOf(h, now)
			if ok && (l.remaining < 0 || l.remaining > maxRemaining || l.reset <= 0 || l.reset > maxReset) || !ok && l != (limit{}) {
				t.Fatalf("%v: %v, %t", h, l, ok)
			}
			if wait := renewal(h, now); wait < 0 || wait > maxWait {
				t.Fatalf("%v: waits %s", h, wait)
			}
		}
	})
}
