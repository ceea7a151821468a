//go:build fault

package fault

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
)

// subscriber is an HTTP target that enters in the ledger what it takes.
type subscriber struct {
	t      testing.TB
	name   string
	url    string
	ledger *ledger.Ledger

	mu   sync.Mutex
	keys map[ledger.Name]string // under which Idempotency-Key each event came first
	// serve answers in place of the subscriber; it reports whether it did. What it answers 2xx it enters itself.
	serve func(w http.ResponseWriter, r *http.Request, body []byte) bool
}

// newSubscriber is a handler; who serves it sets its url.
func newSubscriber(t testing.TB, l *ledger.Ledger, name string) *subscriber {
	return &subscriber{t: t, name: name, ledger: l, keys: map[ledger.Name]string{}}
}

// subscribe starts a subscriber on an address of the loopback, or of host.
func subscribe(t testing.TB, l *ledger.Ledger, name string, host ...string) *subscriber {
	t.Helper()
	s := newSubscriber(t, l, name)
	at := "127.0.0.1"
	if len(host) > 0 {
		at = host[0]
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(at, "0"))
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(s)
	require.NoError(t, server.Listener.Close())
	server.Listener = listener
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.url = server.URL
	return s
}

func (s *subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s.checkKey(r, body)
	s.mu.Lock()
	serve := s.serve
	s.mu.Unlock()
	if serve == nil || !serve(w, r, body) {
		s.ledger.Arrived(s.name, body)
	}
}

// checkKey sees to it that an event has the same key whenever it comes.
func (s *subscriber) checkKey(r *http.Request, body []byte) {
	name, known := ledger.NameOf(body)
	if !known {
		return
	}
	key := r.Header.Get("Idempotency-Key")
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, again := s.keys[name]; again && first != key || key == "" {
		s.t.Errorf("%s got %s under the Idempotency-Key %q, and before under %q", s.name, name, key, first)
	}
	s.keys[name] = key
}

// answer makes the subscriber answer as f does from now on; nil is all is well.
func (s *subscriber) answer(f func(w http.ResponseWriter, r *http.Request, body []byte) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve = f
}

// entry is the subscriber in streams.json; fields come in addition.
func (s *subscriber) entry(fields string) string {
	return fmt.Sprintf(`{"name": %q, "stream": "INTERACTIONS", "ack_wait": "2s", "max_attempts": 6, "max_deliver": 40,
	  "backoff": {"base": "100ms", "max": "1s"}, %s
	  "target": {"url": %q, "timeout": "2s", "allow_networks": ["127.0.0.0/8", "10.0.0.0/8"]}}`, s.name, fields, s.url)
}

// failing makes a subscriber refuse everything from now on, and counts how often it was tried.
func failing(s *subscriber) *atomic.Int64 {
	tries := new(atomic.Int64)
	s.answer(func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		tries.Add(1)
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	return tries
}
