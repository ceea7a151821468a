package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/genmesh/genmesh/genesys"
)

// webhook answers as ingress does and remembers what came.
type webhook struct {
	*httptest.Server
	secret string

	mu     sync.Mutex
	bodies []string
	seen   map[string]bool
}

func newWebhook(t *testing.T, secret string) *webhook {
	h := &webhook{secret: secret, seen: map[string]bool{}}
	h.Server = httptest.NewServer(http.HandlerFunc(h.take))
	t.Cleanup(h.Close)
	return h
}

func (h *webhook) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("X-Genesys-Signature") != genesys.Sign(h.secret, body) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"signature"}`)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies = append(h.bodies, string(body))
	switch {
	case !gjson.ValidBytes(body):
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"status":"quarantined"}`)
	case h.seen[string(body)]:
		_, _ = io.WriteString(w, `{"status":"duplicate"}`)
	default:
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"status":"accepted"}`)
	}
	h.seen[string(body)] = true
}

func TestSendOneEventPrintsItsAnswer(t *testing.T) {
	hook := newWebhook(t, testSecret)
	o := withSecret().run(t, "send", "--url", hook.URL)
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, "202 Accepted\n{\"status\":\"accepted\"}\n", o.out)
	assert.Empty(t, o.err)
	assert.NotEmpty(t, gjson.Get(hook.bodies[0], "data.id").String())
}

func TestSendFileAndStdinByteForByte(t *testing.T) {
	hook := newWebhook(t, testSecret)
	const event = "{ \"data\": {\"id\": \"é\"}}\n\n"
	o := withSecret().run(t, "send", "--url", hook.URL, file(t, "event.json", event))
	assert.Equal(t, exitOK, o.code, o.err)
	i := withSecret()
	i.in = "no json"
	o = i.run(t, "send", "--url", hook.URL, "-", "-o", "json")
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, 1, parsed[sendSummary](t, o).Quarantined)
	assert.Equal(t, []string{event, "no json"}, hook.bodies)

	o = withSecret().run(t, "send", "--url", hook.URL, "missing.json")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "missing.json")
}

func TestSendManyInOrderWithDuplicates(t *testing.T) {
	hook := newWebhook(t, testSecret)
	o := withSecret().run(t, "send", "--url", hook.URL, "--count", "400", "--duplicate-percent", "25", "--seed", "7", "-o", "json")
	require.Equal(t, exitOK, o.code, o.err)
	s := parsed[sendSummary](t, o)
	assert.Equal(t, 400, s.Accepted)
	assert.Equal(t, s.Resent, s.Duplicate)
	assert.InDelta(t, 100, s.Resent, 40)
	assert.Equal(t, s.Requests, len(hook.bodies))
	assert.EqualValues(t, 7, s.Seed)
	assert.Positive(t, s.P99)

	last := map[string]int64{}
	for _, body := range hook.bodies {
		id, sequence := gjson.Get(body, "data.id").String(), gjson.Get(body, "data.sequence").Int()
		assert.GreaterOrEqual(t, sequence, last[id], "events of interaction %s are in order", id)
		last[id] = sequence
	}
	assert.Greater(t, len(last), 20)
}

func TestSendRateIsKept(t *testing.T) {
	hook := newWebhook(t, testSecret)
	o := withSecret().run(t, "send", "--url", hook.URL, "--count", "11", "--rate", "100", "-o", "json")
	require.Equal(t, exitOK, o.code, o.err)
	assert.GreaterOrEqual(t, parsed[sendSummary](t, o).Seconds, 0.095)
}

func TestSendCountsWhatWentWrongAndRetriesNothing(t *testing.T) {
	requests := 0
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests++
		http.Error(w, "full \x1b[31m", http.StatusServiceUnavailable)
	}))
	defer hook.Close()
	o := withSecret().run(t, "send", "--url", hook.URL, "--count", "5", "--concurrency", "1")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.out, "refused 5, failed 0")
	assert.Contains(t, o.err, `5 requests of 5 went wrong; the first: 503 Service Unavailable full \x1b[31m`)
	assert.Equal(t, 5, requests)

	o = withSecret().run(t, "send", "--url", "http://127.0.0.1:1/webhooks/genesys", "--count", "2")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.out, "refused 0, failed 2")
	assert.Contains(t, o.err, "refused")
}

func TestSendDoesNotFollowRedirects(t *testing.T) {
	elsewhere := newWebhook(t, testSecret)
	hook := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer hook.Close()
	o := withSecret().run(t, "send", "--url", hook.URL)
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.out, "307 Temporary Redirect")
	assert.Empty(t, elsewhere.bodies)
}

func TestSendUsesTheWellKnownSecretOnThisMachineOnly(t *testing.T) {
	hook := newWebhook(t, devSecret)
	o := run(t, "send", "--url", hook.URL)
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.err, `GENESYS_WEBHOOK_SECRET is not set: signing with "dev-secret"`)

	o = run(t, "send", "--url", "https://mesh.example.com/webhooks/genesys")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "GENESYS_WEBHOOK_SECRET, which holds the secret to sign with, is not set")

	o = invocation{env: map[string]string{"OTHER": devSecret}}.run(t, "send", "--url", hook.URL, "--secret-env", "OTHER")
	assert.Equal(t, exitOK, o.code)
	assert.Empty(t, o.err)
}

func TestSendEndsOnAnInterruption(t *testing.T) {
	ctx, cancel := contextOf(t)
	var once sync.Once
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		once.Do(cancel)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer hook.Close()
	i := withSecret()
	i.ctx = ctx
	o := i.run(t, "send", "--url", hook.URL, "--count", "1000000")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "genmesh: interrupted")
	assert.Contains(t, o.out, "accepted")
}

func TestLatencyQuantilesAreExactToTwoPercent(t *testing.T) {
	var l latencies
	assert.Zero(t, l.quantile(0.5))
	for ms := range 1000 {
		l.add(time.Duration(ms+1) * time.Millisecond)
	}
	assert.InEpsilon(t, float64(500*time.Millisecond), float64(l.quantile(0.5)), 0.02)
	assert.InEpsilon(t, float64(990*time.Millisecond), float64(l.quantile(0.99)), 0.02)
	l.add(0)
	l.add(100 * time.Hour)
	assert.Greater(t, l.quantile(1), 5*time.Minute)
}

// TestPrintedCurlCommandsWork runs what genmesh dev prints, in a shell.
func TestPrintedCurlCommandsWork(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	for _, secret := range []string{"", testSecret} {
		t.Run(fmt.Sprintf("%d bytes of secret", len(secret)), func(t *testing.T) {
			want := secret
			if secret == "" {
				want = devSecret
			}
			hook := newWebhook(t, want)
			cmd := exec.CommandContext(t.Context(), "bash", "-c", curlLines(hook.URL+"/webhooks/genesys", "X-Genesys-Signature"))
			cmd.Env = append(cmd.Environ(), secretVariable+"="+secret)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			assert.Contains(t, string(out), "202 Accepted")
			assert.True(t, strings.HasSuffix(string(out), `{"status":"accepted"}`), string(out))
		})
	}
}
