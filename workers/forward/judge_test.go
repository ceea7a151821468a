package forward

import (
	"errors"
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

func TestTheStatusDecides(t *testing.T) {
	cases := []struct {
		status int
		header string
		want   workers.Fate
		wait   time.Duration
	}{
		{status: 200, want: workers.Done},
		{status: 202, want: workers.Done},
		{status: 204, want: workers.Done},
		{status: 299, want: workers.Done},
		{status: 300, want: workers.Refuse},
		{status: 304, want: workers.Refuse},
		{status: 400, want: workers.Refuse},
		{status: 401, want: workers.Refuse},
		{status: 404, want: workers.Refuse},
		{status: 408, want: workers.Retry},
		{status: 410, want: workers.Refuse},
		{status: 422, want: workers.Refuse},
		{status: 425, want: workers.Retry},
		{status: 429, want: workers.Wait},
		{status: 429, header: "Retry-After: 7", want: workers.Wait, wait: 7 * time.Second},
		{status: 429, header: "X-Rate-Limit-Reset: 9", want: workers.Wait, wait: 9 * time.Second},
		{status: 429, header: "Retry-After: soon", want: workers.Wait},
		{status: 500, want: workers.Retry},
		{status: 500, header: "Retry-After: 7", want: workers.Retry},
		{status: 501, want: workers.Retry},
		{status: 502, want: workers.Retry},
		{status: 503, want: workers.Retry},
		{status: 503, header: "Retry-After: 7", want: workers.Wait, wait: 7 * time.Second},
		{status: 503, header: "Retry-After: -7", want: workers.Retry},
		{status: 504, want: workers.Retry},
		{status: 599, want: workers.Retry},
		{status: 600, want: workers.Refuse},
		{status: 999, want: workers.Refuse},
	}
	for _, c := range cases {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if name, value, ok := strings.Cut(c.header, ": "); ok {
				w.Header().Set(name, value)
			}
			w.WriteHeader(c.status)
			if c.status != http.StatusNoContent && c.status != http.StatusNotModified {
				_, _ = w.Write([]byte("the answer"))
			}
		}))
		err := newTarget(t, server.URL).Handle(t.Context(), targettest.Event(1))
		server.Close()
		assert.Equal(t, c.want, targettest.FateOf(err), "%d %s", c.status, c.header)
		assert.Equal(t, c.wait, targettest.WaitOf(err), "%d %s", c.status, c.header)
		if err != nil && c.status != http.StatusNotModified {
			var failure *workers.Failure
			require.True(t, errors.As(err, &failure))
			assert.Equal(t, c.status, failure.Status)
			assert.Equal(t, "the answer", string(failure.Answer))
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for location, told := range map[string]string{
		"https://user:s3cret@elsewhere.example/s3cret?s3cret=1": `"elsewhere.example"`,
		"/loop":          "itself",
		"":               "an unknown place",
		"://s3cret":      "an unknown place",
		"//evil\u00e9/x": "evil",
	} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			w.Header()["Location"] = []string{location}
			w.WriteHeader(http.StatusTemporaryRedirect)
		}))
		err := newTarget(t, server.URL).Handle(t.Context(), targettest.Event(1))
		server.Close()
		assert.Equal(t, workers.Refuse, targettest.FateOf(err))
		assert.ErrorContains(t, err, told)
		assert.NotContains(t, err.Error(), "s3cret")
		assert.Equal(t, 1, asked)
	}
}

func TestWaitHints(t *testing.T) {
	now := time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)
	cases := []struct {
		header, value string
		want          time.Duration // 0 is no hint
	}{
		{"Retry-After", "1", time.Second},
		{"Retry-After", "900", 15 * time.Minute},
		{"Retry-After", "901", 15 * time.Minute},
		{"Retry-After", "9223372036854775807", 15 * time.Minute},
		{"Retry-After", "9223372036854775808", 0},
		{"Retry-After", "0", 0},
		{"Retry-After", "-1", 0},
		{"Retry-After", "", 0},
		{"Retry-After", "1.5", 0},
		{"Retry-After", "0x10", 0},
		{"Retry-After", "soon", 0},
		{"Retry-After", "Mon, 23 Nov 2026 14:01:00 GMT", time.Minute},
		{"Retry-After", "Mon, 23 Nov 2026 15:00:00 GMT", 15 * time.Minute},
		{"Retry-After", "Mon, 23 Nov 2026 13:59:59 GMT", 0},
		{"Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT", 15 * time.Minute},
		{"Retry-After", "Mon, 01 Jan 0001 00:00:00 GMT", 0},
		{"X-Rate-Limit-Reset", "30", 30 * time.Second},
		{"X-Rate-Limit-Reset", "1000000000", 15 * time.Minute},
		{"X-Rate-Limit-Reset", "1795442430", 30 * time.Second},
		{"X-Rate-Limit-Reset", "1795442399", 0},
		{"X-Rate-Limit-Reset", "1795442400500", 500 * time.Millisecond},
		{"X-Rate-Limit-Reset", "1795442399999", 0},
		{"X-Rate-Limit-Reset", "9223372036854775807", 15 * time.Minute},
		{"X-Rate-Limit-Reset", "-5", 0},
		{"X-Rate-Limit-Reset", "later", 0},
		{http.CanonicalHeaderKey("X-RateLimit-Reset"), "2", 2 * time.Second},
		{http.CanonicalHeaderKey("RateLimit-Reset"), "2", 2 * time.Second},
	}
	require.Equal(t, int64(1795442400), now.Unix())
	for _, c := range cases {
		wait, ok := waitHint(http.Header{c.header: {c.value}, "Date": {"x"}}, now)
		assert.Equal(t, c.want, wait, "%s: %s", c.header, c.value)
		assert.Equal(t, c.want != 0, ok, "%s: %s", c.header, c.value)
	}
	both := http.Header{"Retry-After": {"soon"}, "X-Rate-Limit-Reset": {"3"}}
	wait, _ := waitHint(both, now)
	assert.Equal(t, 3*time.Second, wait, "a Retry-After without sense hides nothing")
}

func FuzzWaitHint(f *testing.F) {
	for _, s := range []string{"1", "-1", "1795442430", "1795442400500", "Mon, 23 Nov 2026 14:01:00 GMT", "9223372036854775807", ""} {
		f.Add(s, s, int64(1795442400))
	}
	f.Fuzz(func(t *testing.T, retryAfter, reset string, unix int64) {
		wait, ok := waitHint(http.Header{"Retry-After": {retryAfter}, "X-Rate-Limit-Reset": {reset}}, time.Unix(unix, 0))
		if ok != (wait > 0) || wait > maxWait {
			t.Fatalf("%q, %q: %s, %t", retryAfter, reset, wait, ok)
		}
	})
}
