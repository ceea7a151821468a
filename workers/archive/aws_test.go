//go:build aws

package archive

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

// simpleStorage answers PUT as Amazon S3 does.
type simpleStorage struct {
	mu      sync.Mutex
	objects map[string][]byte
	types   map[string]string
	refuses bool
}

func (s *simpleStorage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil || r.Method != http.MethodPut:
		w.WriteHeader(http.StatusBadRequest)
	case s.refuses:
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>`)
	default:
		s.objects[r.URL.Path], s.types[r.URL.Path] = content, r.Header.Get("Content-Type")
		w.Header().Set("ETag", `"x"`)
	}
}

func TestS3(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
	storage := &simpleStorage{objects: map[string][]byte{}, types: map[string]string{}}
	server := httptest.NewServer(storage)
	t.Cleanup(server.Close)
	target := newTarget(t, mesh.Target{
		FlushEvents: 10, FlushEvery: mesh.Duration(time.Hour),
		URL: "s3://lake/calls/raw?region=eu-west-1&use_path_style=true&request_checksum_calculation=when_required&endpoint=" +
			url.QueryEscape(server.URL),
	})
	handleAll(t, target, events(1, 10)...)
	require.Len(t, storage.objects, 1)
	for name, content := range storage.objects {
		assert.True(t, strings.HasPrefix(name, "/lake/calls/raw/INTERACTIONS/year=2026/month=11/day=23/hour=14/000000000001-000000000010-"), name)
		assert.Equal(t, "application/gzip", storage.types[name])
		assert.Len(t, parseLines(t, unzip(t, content)), 10)
	}

	storage.mu.Lock()
	storage.refuses = true
	storage.mu.Unlock()
	target.flushEvents = 1
	err := target.Handle(t.Context(), targettest.Event(11))
	require.ErrorContains(t, err, "AccessDenied")
	assert.Equal(t, workers.Wait, targettest.FateOf(err))
	assert.NotContains(t, err.Error(), "s3cret")
}
