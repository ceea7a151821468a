package forward

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/targettest"
)

func TestConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		far := &recorder{}
		server := httptest.NewServer(far)
		t.Cleanup(server.Close)
		return targettest.Fixture{Target: newTarget(t, server.URL), Arrived: far.arrivals}
	})
}

func TestConformanceWithAllThatStreamsJSONCanAsk(t *testing.T) {
	verifier, err := standardwebhooks.NewWebhook(publishedKey)
	require.NoError(t, err)
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		login, far := newAuthority(t), &recorder{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Header.Get("Authorization") != "Bearer token-1" || r.Header.Get("X-Tenant") != "t1" || verifier.Verify(body, r.Header) != nil {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			far.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		return targettest.Fixture{Arrived: far.arrivals, Target: openTarget(t, mesh.Target{
			URL: server.URL, Headers: map[string]string{"X-Tenant": "t1"}, SigningSecrets: []mesh.Secret{"${NEW_KEY}", "${KEY}"},
			Auth: login.auth(), AllowNetworks: []string{"127.0.0.1"},
		}, Options{PublicOnly: true, LookupEnv: env("SECRET", "s3cret", "KEY", publishedKey, "NEW_KEY", newKey)})}
	})
}

// recorder is a subscriber that takes everything.
type recorder struct {
	mu    sync.Mutex
	taken []targettest.Arrival
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	sequence, err2 := strconv.ParseUint(req.Header.Get("Genmesh-Sequence"), 10, 64)
	if err != nil || err2 != nil || req.Header.Get("X-Injected") != "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	interaction := decode(req.Header.Get("Genmesh-Interaction"))
	if interaction != decode(req.Header.Get("ce-subject")) || req.Header.Get("ce-id") != req.Header.Get("Idempotency-Key") {
		w.WriteHeader(http.StatusConflict)
		return
	}
	eventType := decode(req.Header.Get("ce-type"))
	if eventType == "event" {
		eventType = ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, targettest.Arrival{
		Source:      decode(strings.TrimPrefix(req.Header.Get("ce-source"), "/genmesh/")),
		Type:        eventType,
		Interaction: interaction,
		Sequence:    sequence,
		Key:         req.Header.Get("Idempotency-Key"),
		Body:        body,
	})
}

func (r *recorder) arrivals(testing.TB) []targettest.Arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken)
}

// decode reads a value as a CloudEvents receiver does.
func decode(s string) string {
	decoded, err := url.PathUnescape(s)
	if err != nil {
		return "undecodable: " + s
	}
	return decoded
}

func newTarget(t testing.TB, rawURL string) *Target {
	t.Helper()
	return newTargetWith(t, rawURL, 5*time.Second, Options{})
}

func newTargetWith(t testing.TB, rawURL string, timeout time.Duration, o Options) *Target {
	t.Helper()
	target, err := New(mesh.Target{URL: rawURL, Timeout: mesh.Duration(timeout)}, "crm", o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, target.Close()) })
	return target
}
