package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sink is a subscriber's endpoint that keeps what it took and fails as it is told.
type sink struct {
	*httptest.Server

	mu     sync.Mutex
	answer func(delivery) int
	taken  []delivery
	tries  []delivery
}

// delivery is one request to a sink.
type delivery struct {
	key, interaction, body string
	header                 http.Header
	at                     time.Time
	from                   string // the connection's other end
}

func newSink(t testing.TB) *sink {
	t.Helper()
	s := &sink{answer: func(delivery) int { return http.StatusOK }}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	d := delivery{
		key: r.Header.Get("Idempotency-Key"), interaction: r.Header.Get("Genmesh-Interaction"),
		body: string(body), header: r.Header, at: time.Now(), from: r.RemoteAddr,
	}
	s.mu.Lock()
	s.tries = append(s.tries, d)
	answer := s.answer
	s.mu.Unlock()
	status := answer(d)
	if status < 300 {
		s.mu.Lock()
		s.taken = append(s.taken, d)
		s.mu.Unlock()
	}
	w.WriteHeader(status)
}

// answerWith makes the sink answer as f says from now on.
func (s *sink) answerWith(f func(delivery) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

func always(status int) func(delivery) int { return func(delivery) int { return status } }

func (s *sink) all() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]delivery(nil), s.taken...)
}

// attempts are all requests, in the order in which they came.
func (s *sink) attempts() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]delivery(nil), s.tries...)
}

func (s *sink) tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tries)
}

// bodies counts what was taken, by body.
func (s *sink) bodies() map[string]int {
	counts := map[string]int{}
	for _, d := range s.all() {
		counts[d.body]++
	}
	return counts
}

func (s *sink) await(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return len(s.all()) >= n }, 30*time.Second, 5*time.Millisecond,
		"the sink took fewer than %d", n)
}
