package forward

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

// road is the way from a stream to an HTTP target, with the runner between them. Its subscriber has one
// attempt: whatever spends it makes a dead letter.
type road struct {
	t          *testing.T
	server     *meshtest.Server
	subscriber mesh.Subscriber
	letters    *mesh.DeadLetters
	published  int
}

func newRoad(t *testing.T, fields string) *road {
	t.Helper()
	r := &road{t: t, server: meshtest.Start(t)}
	topology := meshtest.Topology(t, `{
	  "sources": [{"name": "genesys", "path": "/genesys", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS"}],
	  "streams": [
	    {"name": "INTERACTIONS", "subjects": ["genesys.>"], "duplicate_window": "10m", "allow_atomic": true, "allow_direct": true},
	    {"name": "DEAD_LETTERS", "subjects": ["dead.>"], "duplicate_window": "10m", "allow_direct": true},
	    {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
	    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
	  "subscribers": [{"name": "crm", "stream": "INTERACTIONS", "max_attempts": 1, "max_deliver": 5, "ack_wait": "5s",
	    "backoff": {"base": "50ms", "max": "400ms"}, "target": {"url": "log:"}`+fields+`}]}`)
	js := r.server.JetStream()
	meshtest.Apply(t, js, topology)
	r.subscriber = topology.Subscribers[0]
	var err error
	r.letters, err = mesh.NewDeadLetters(js, topology)
	require.NoError(t, err)
	return r
}

// publish stores n more events, each of an interaction of its own.
func (r *road) publish(n int) {
	r.t.Helper()
	for range n {
		r.published++
		interaction := fmt.Sprintf("call-%d", r.published)
		e := mesh.Event{
			Source: "genesys", Interaction: interaction, Type: "interaction", Media: "call",
			Fingerprint: fmt.Sprintf("%032x", r.published), Body: fmt.Appendf(nil, `{"n":%d}`, r.published),
			Subject: "genesys." + mesh.Partition(interaction) + ".interaction.call." + mesh.Token(interaction),
		}
		_, err := r.server.JetStream().PublishMsg(r.t.Context(), e.Msg(interaction))
		require.NoError(r.t, err)
	}
}

// run hands the events to a target until the test ends, or until it is stopped. What the runner logs is returned.
func (r *road) run(target mesh.Target, o Options) (said *logtest.Hook, stop func()) {
	r.t.Helper()
	target.Timeout = mesh.Duration(5 * time.Second)
	opened, err := New(target, "crm", o)
	require.NoError(r.t, err)
	log, said := logtest.NewNullLogger()
	runner := workers.NewRunner(workers.Options{
		JetStream: r.server.JetStream(), Subscriber: r.subscriber, ReplayStream: r.letters.Stream(), Handler: opened,
		DeadLetters: r.letters, Logger: log, Metrics: workers.NewMetrics(nil), Grace: 2 * time.Second,
	})
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(r.t, <-done)
		assert.NoError(r.t, opened.Close())
	})
	r.t.Cleanup(stop)
	return said, stop
}

// requireSettled waits until the server waits for nothing, and expects no dead letter.
func (r *road) requireSettled() {
	r.t.Helper()
	js := r.server.JetStream()
	require.Eventually(r.t, func() bool {
		consumer, err := js.PushConsumer(r.t.Context(), "INTERACTIONS", "crm")
		require.NoError(r.t, err)
		info := consumer.CachedInfo()
		return info.AckFloor.Stream >= uint64(r.published) // NumPending lags behind what is stored
	}, 20*time.Second, 20*time.Millisecond)
	for letter, err := range r.letters.Find(r.t.Context(), mesh.DeadFilter{}) {
		require.NoError(r.t, err)
		require.Fail(r.t, "a dead letter", "%s: %s", letter.Reason, letter.Error)
	}
}

// calls are the requests that a subscriber got, by what it made of them.
type calls struct {
	mu    sync.Mutex
	taken []string // bodies
	// refused is when it refused.
	refused []time.Time
}

func (c *calls) take(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = append(c.taken, string(body))
}

// refuse counts a refusal and reports the how many-th it is.
func (c *calls) refuse() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = append(c.refused, time.Now())
	return len(c.refused)
}

func (c *calls) refusals() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.refused)
}

// requireTaken expects that each of the road's events was taken once, in its first attempt as far as the subscriber knows.
func (c *calls) requireTaken(r *road) {
	r.t.Helper()
	r.requireSettled()
	c.mu.Lock()
	defer c.mu.Unlock()
	var want []string
	for i := range r.published {
		want = append(want, fmt.Sprintf(`{"n":%d}`, i+1))
	}
	assert.ElementsMatch(r.t, want, c.taken)
}

func TestRunnerBacksOffFromA429ThatSaysNothing(t *testing.T) {
	r := newRoad(t, "")
	far := new(calls)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		assert.Equal(t, "1", req.Header.Get("Genmesh-Attempt"), "what waits spends no attempt")
		if far.refusals() < 6 {
			far.refuse()
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		far.take(req)
	}))
	defer server.Close()
	r.publish(1)
	r.run(mesh.Target{URL: server.URL}, Options{})
	far.requireTaken(r)
	for i, want := range []time.Duration{50, 100, 200, 400, 400} {
		assert.GreaterOrEqual(t, far.refused[i+1].Sub(far.refused[i]), want*time.Millisecond, "the wait after refusal %d", i+1)
	}
}

func TestRunnerComesBackWhenTheTargetSays(t *testing.T) {
	for name, hint := range map[string]struct {
		header string
		value  func(until time.Time) string
	}{
		"Retry-After with a date":           {"Retry-After", func(until time.Time) string { return until.UTC().Format(http.TimeFormat) }},
		"X-RateLimit-Reset in epoch":        {"X-RateLimit-Reset", func(until time.Time) string { return strconv.FormatInt(until.Unix(), 10) }},
		"X-RateLimit-Reset in milliseconds": {"X-RateLimit-Reset", func(until time.Time) string { return strconv.FormatInt(until.UnixMilli(), 10) }},
		"X-RateLimit-Reset in seconds":      {"X-RateLimit-Reset", func(until time.Time) string { return strconv.Itoa(int(time.Until(until)/time.Second) + 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoad(t, "")
			far := new(calls)
			var until atomic.Int64 // Unix seconds
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if until.CompareAndSwap(0, time.Now().Add(2*time.Second).Unix()) {
					w.Header().Set(hint.header, hint.value(time.Unix(until.Load(), 0)))
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				if early := time.Until(time.Unix(until.Load(), 0)); early > 0 {
					assert.Fail(t, "too early", "%s before what was said", early)
				}
				far.take(req)
			}))
			defer server.Close()
			r.publish(1)
			r.run(mesh.Target{URL: server.URL}, Options{})
			far.requireTaken(r)
		})
	}
}

// Tokens of a second, and three seconds of events.
func TestRunnerBuysTheNextTokenInMidStream(t *testing.T) {
	const life = time.Second
	r := newRoad(t, `, "rate_limit": "20/s", "burst": 1`)
	far, login := new(calls), newAuthority(t)
	var mu sync.Mutex
	issued := map[string]time.Time{}
	login.says(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		token := fmt.Sprintf("token-%d", login.issued.Add(1))
		issued["Bearer "+token] = time.Now()
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"bearer","expires_in":%d}`, token, int(life.Seconds()))
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		at := issued[req.Header.Get("Authorization")]
		mu.Unlock()
		if time.Since(at) >= life {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		far.take(req)
	}))
	defer server.Close()
	r.publish(60)
	r.run(mesh.Target{URL: server.URL, Auth: login.auth()}, Options{LookupEnv: env("SECRET", "s3cret")})
	far.requireTaken(r)
	assert.GreaterOrEqual(t, login.issued.Load(), int64(3))
	assert.Less(t, login.issued.Load(), int64(20), "one token serves many events")
}

// The subscriber knows only our next certificate. Until it is there, nothing is spent.
func TestRunnerWaitsForTheCertificateThatTheTargetTakes(t *testing.T) {
	h := newHouse(t)
	far := new(calls)
	ownCert, ownKey := h.pair(t, "crm.internal")
	own, err := tls.LoadX509KeyPair(ownCert, ownKey)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { far.take(req) }))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{own}, ClientCAs: h.pool, ClientAuth: tls.RequireAndVerifyClientCert,
		VerifyPeerCertificate: func(_ [][]byte, chains [][]*x509.Certificate) error {
			if name := chains[0][0].Subject.CommonName; name != "second" {
				far.refuse()
				return errors.New("nobody knows " + name)
			}
			return nil
		},
	}
	server.Config.ErrorLog = silent
	server.StartTLS()
	defer server.Close()
	certFile, keyFile := h.pair(t, "first")
	files := &mesh.TargetTLS{CertFile: certFile, KeyFile: keyFile, CAFile: h.file, ServerName: "crm.internal"}

	r := newRoad(t, "")
	r.publish(3)
	said, _ := r.run(mesh.Target{URL: server.URL, TLS: files}, Options{})
	require.Eventually(t, func() bool { return far.refusals() >= 5 }, 10*time.Second, 10*time.Millisecond)
	h.issue(t, "second", certFile, keyFile)
	far.requireTaken(r)
	requireWaited(t, said, "check tls.cert_file and tls.key_file")
}

func TestRunnerWaitsForASecretThatWasRotatedAtTheTargetFirst(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(secret, []byte("old"), 0o600))
	far := new(calls)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer new" {
			far.refuse()
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		far.take(req)
	}))
	defer server.Close()
	r := newRoad(t, "")
	r.publish(3)
	said, _ := r.run(mesh.Target{URL: server.URL, Auth: &mesh.TargetAuth{Method: mesh.AuthBearer, Token: mesh.Secret("file:" + secret)}}, Options{})
	require.Eventually(t, func() bool { return far.refusals() >= 5 }, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, os.WriteFile(secret, []byte("new"), 0o600))
	far.requireTaken(r)
	requireWaited(t, said, "check auth of the subscriber's target")
}

func TestRunnerWaitsForAProxyThatAsksForOtherCredentials(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprintf("target by TLS: %t", secured), func(t *testing.T) {
			far := new(calls)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { far.take(req) }))
			target := mesh.Target{URL: "http://crm.example.com"}
			if secured {
				server.StartTLS()
				target.URL = "https://example.com"
				target.TLS = &mesh.TargetTLS{CAFile: certificateFile(t, server), ServerName: "example.com"}
			} else {
				server.Start()
			}
			defer server.Close()
			p := newProxy(t, server.URL, false)
			defer server.CloseClientConnections() // tunnels end with their connections
			p.locked.Store(true)
			target.Proxy = p.url("us:s3cret@")

			r := newRoad(t, "")
			r.publish(3)
			said, stop := r.run(target, Options{PublicOnly: true})
			defer stop()
			require.Eventually(t, func() bool { return len(p.asked) >= 5 }, 10*time.Second, 10*time.Millisecond)
			p.locked.Store(false)
			far.requireTaken(r)
			requireWaited(t, said, "407", "check the user and password in the url of proxy")
		})
	}
}

func TestRunnerWaitsWhereTheAddressIsRefused(t *testing.T) {
	far := new(calls)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { far.take(req) }))
	defer server.Close()
	r := newRoad(t, "")
	r.publish(3)
	said, stop := r.run(mesh.Target{URL: server.URL}, Options{PublicOnly: true})
	require.Eventually(t, func() bool { return len(said.AllEntries()) >= 1 }, 10*time.Second, 10*time.Millisecond)
	requireWaited(t, said, "127.0.0.1 is not public (loopback)", "add it to allow_networks")
	stop()
	r.run(mesh.Target{URL: server.URL, AllowNetworks: []string{"127.0.0.1"}}, Options{PublicOnly: true})
	far.requireTaken(r)
}

// requireWaited expects that all that was logged is that the subscriber waits, and why.
func requireWaited(t *testing.T, said *logtest.Hook, why ...string) {
	t.Helper()
	waits := 0
	for _, entry := range said.AllEntries() {
		if entry.Level > logrus.WarnLevel {
			continue
		}
		waits++
		assert.Contains(t, entry.Message, "the subscriber waits")
		for _, text := range why {
			assert.ErrorContains(t, entry.Data[logrus.ErrorKey].(error), text)
		}
		assert.False(t, strings.Contains(fmt.Sprint(entry.Data), "s3cret"))
	}
	assert.Positive(t, waits)
}
