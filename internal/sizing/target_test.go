//go:build sizing

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// target takes what is delivered to all subscribers of a test, and counts it.
type target struct {
	t      testing.TB
	url    string
	taken  atomic.Int64
	answer atomic.Int64 // the status
}

func newTarget(t testing.TB) *target {
	t.Helper()
	g := &target{t: t}
	g.answer.Store(http.StatusOK)
	server := httptest.NewServer(g)
	g.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return g
}

func (g *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		w.WriteHeader(int(g.answer.Load()))
		g.taken.Add(1)
	}
}

// subscribers are so many entries of streams.json; fields come in addition.
func (g *target) subscribers(many int, fields string) (entries []string) {
	for i := range many {
		entries = append(entries, fmt.Sprintf(`{"name": "domain-%d", "stream": %q, %s
		  "target": {"url": %q, "timeout": "10s", "allow_networks": ["127.0.0.0/8"]}}`, i, streamName(0), fields, g.url))
	}
	return entries
}

// await waits until so much has been taken.
func (g *target) await(n int) {
	g.t.Helper()
	require.Eventually(g.t, func() bool { return g.taken.Load() >= int64(n) }, 2*time.Minute, time.Millisecond, "%d deliveries", n)
}
