package pages

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkFlow is the flow page with 100 subscribers, without the time that the mesh takes to answer.
func BenchmarkFlow(b *testing.B) {
	s := newScene()
	s.subscribers = 100
	d := open(b, s)
	for b.Loop() {
		w := d.get(viewer, "/")
		require.Equal(b, http.StatusOK, w.Code)
		b.SetBytes(int64(w.Body.Len()))
	}
}

// BenchmarkRenew is one second of the flow page with 100 subscribers for all who watch it.
func BenchmarkRenew(b *testing.B) {
	s := newScene()
	s.subscribers = 100
	now := today
	o := optionsOf(b, s, &desk{}, &now)
	one, err := newSite(o)
	require.NoError(b, err)
	watched := &watch{key: watchKey{page: "/", role: viewer.Role}, parts: map[string]part{}, changed: make(chan struct{})}
	for b.Loop() {
		now = now.Add(time.Second)
		one.renew(context.Background(), watched, glance{})
	}
}
