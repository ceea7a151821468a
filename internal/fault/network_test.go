//go:build fault

package fault

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
	"github.com/genmesh/genmesh/internal/fault/wire"
)

// TestASlowNetwork puts NATS on another continent: 200 ms there and back, a megabyte a second, and a line that breaks in the middle of
// whatever passes.
func TestASlowNetwork(t *testing.T) {
	l := ledger.New()
	crm, analytics := subscribe(t, l, "crm"), subscribe(t, l, "analytics")
	mesh := &parts{nats: newNode(t, t.TempDir())}
	mesh.nats.Start()
	dir := writeConfiguration(t, configuration(1, crm.entry(""), analytics.entry("")))
	mesh.nats.apply(dir)
	far := &wire.Proxy{Server: mesh.nats.addr(), Slow: wire.Slow{Delay: 100 * time.Millisecond, BytesPerSecond: 1 << 20}}
	addr, err := far.Start()
	require.NoError(t, err)
	defer far.Close()
	mesh.addIngress(t, dir, "nats://"+addr)
	mesh.addWorkers(t, dir, "nats://"+addr)

	load := send(t, l, "far", 64, 0, mesh.http...)
	began := time.Now()
	load.more(300, time.Minute)
	perSecond := 300 / time.Since(began).Seconds()
	t.Logf("%.0f events per second from 64 senders over 200 ms", perSecond)
	assert.Greater(t, perSecond, 20.0, "a round trip is shared, not paid for each event")
	for range rounds(2, 20) {
		load.more(100, time.Minute)
		far.CutAll()
	}
	load.more(100, time.Minute)
	load.stop()
	settled(t, l, mesh.nats.jetStream(), 2*time.Minute, crm, analytics)
}
