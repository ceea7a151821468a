package forward

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

// The process stands still after its last look and before the request leaves.
func TestNothingIsSentOnceTheLeaseIsLost(t *testing.T) {
	var served atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
	server.EnableHTTP2 = true
	server.Start()
	defer server.Close()
	target := newTarget(t, server.URL)
	var looks atomic.Int32
	ctx := workers.WithLease(t.Context(), func() bool { return looks.Add(1) < 2 })
	require.NoError(t, target.Handle(ctx, targettest.Event(1)), "it is asked once for each request")
	require.EqualValues(t, 1, served.Load())

	err := target.Handle(ctx, targettest.Event(2))
	require.ErrorContains(t, err, "stood still")
	assert.Equal(t, workers.Retry, targettest.FateOf(err))
	require.Error(t, target.Handle(ctx, targettest.Event(3)), "on a new connection, too")
	assert.EqualValues(t, 1, served.Load())
}
