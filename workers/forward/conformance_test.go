package forward

import (
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
