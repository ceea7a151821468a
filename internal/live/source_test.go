package live

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

// signedBy takes a delivery that says so for signed.
type signedBy struct{}

func (signedBy) Verify(_ context.Context, d *genesys.Delivery) error {
	if d.Header.Get("X-Signed") == "" {
		return genesys.ErrSignatureMissing
	}
	return nil
}

// receive starts an ingress, and returns what posts to it.
func (v *town) receive() (post func(body string, isSigned bool) int) {
	v.t.Helper()
	registry := prometheus.NewRegistry()
	committer, err := mesh.NewCommitter(v.server.JetStream(), v.topology, meshtest.Quiet(), registry)
	require.NoError(v.t, err)
	server, err := ingress.New(ingress.Options{
		Addr: "127.0.0.1:0", Sources: v.topology.Sources, Store: committer, Logger: meshtest.Quiet(), Registerer: registry,
		Verifier: func(mesh.Source) (ingress.Verifier, error) { return signedBy{}, nil },
	})
	require.NoError(v.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = committer.Run(ctx) })
	running.Go(func() { _ = server.Run(ctx) })
	v.t.Cleanup(func() { cancel(); running.Wait() })
	v.processes = append(v.processes, &worker{id: "ingress", began: time.Now(), registry: registry, metrics: workers.NewMetrics(nil)})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return func(body string, isSigned bool) int {
		r, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, "http://"+server.Addr().String()+"/genesys", strings.NewReader(body))
		require.NoError(v.t, err)
		if isSigned {
			r.Header.Set("X-Signed", "yes")
		}
		answer, err := client.Do(r)
		require.NoError(v.t, err)
		require.NoError(v.t, answer.Body.Close())
		return answer.StatusCode
	}
}

func TestWhatComesInIsToldByWhatBecameOfIt(t *testing.T) {
	v := newTown(t, "")
	post := v.receive()
	v.sample()
	before := v.watcher.tally.last
	event := func(i int) string {
		return fmt.Sprintf(`{"id":"e%d","timestamp":1678886400,"eventTypeId":"interaction","data":{"id":"i%d","type":"call"}}`, i, i)
	}
	for i := range 5 {
		require.Equal(t, http.StatusAccepted, post(event(i), true))
	}
	for i := range 3 {
		require.Equal(t, http.StatusOK, post(event(i), true))
	}
	require.Equal(t, http.StatusAccepted, post(`{"no":"interaction"}`, true))
	require.Equal(t, http.StatusUnauthorized, post(event(9), false))
	require.Equal(t, http.StatusBadRequest, post("", true))

	after := v.sample()
	seconds := v.watcher.tally.last.Sub(before).Seconds()
	s := after.Sources["genesys"]
	assert.Equal(t, map[string]uint64{"accepted": 5, "duplicate": 3, "quarantined": 1, "unauthorized": 1, "empty_body": 1}, s.Totals)
	assert.EqualValues(t, 1, s.SignatureFailures["missing"])
	assert.Zero(t, s.SignatureFailures["mismatch"], "each reason is there from the start")
	assert.Equal(t, s.Totals, s.LastMinute)
	assert.InEpsilon(t, 5, s.Accepted*seconds, 0.01)
	assert.InEpsilon(t, 3, s.Duplicate*seconds, 0.01)
	assert.InEpsilon(t, 1, s.Quarantined*seconds, 0.01)
	assert.InEpsilon(t, 2, s.Rejected*seconds, 0.01)
	assert.Positive(t, s.Latency.P50)
	assert.Equal(t, map[string]uint64{"genesys": 1}, after.Quarantined)
	assert.Len(t, s.AcceptedSeries, 1, "both samples were within two seconds")
	assert.InDelta(t, s.Accepted, s.AcceptedSeries[0], 1e-9)
}
