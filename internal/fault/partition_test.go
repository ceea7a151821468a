//go:build fault

package fault

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/internal/fault/ledger"
	"github.com/genmesh/genmesh/internal/shipped"
)

// longestStall bounds how long no event is taken while the cluster finds another leader: the client notices the silence, the nodes vote. Senders
// of Genesys Cloud wait for ten seconds and try again.
const longestStall = 20 * time.Second

// TestPartitionOfThreeNodes cuts the leader of the stream off from the others, and then another one, for longer than an election takes.
func TestPartitionOfThreeNodes(t *testing.T) {
	l := ledger.New()
	network := newLAN(t, 3)
	crm, analytics := subscribe(t, l, "crm"), subscribe(t, l, "analytics")
	cluster := newCluster(t, network.sites(), []string{t.TempDir(), t.TempDir(), t.TempDir()}, "sync_interval: always")
	cluster.start()
	mesh := cluster.startParts(t, configuration(3, crm.entry(""), analytics.entry("")), 2)
	js := cluster.jetStream()
	load := send(t, l, "partition", 16, 2*time.Millisecond, mesh.http...)
	load.more(200, time.Minute)
	cuts := rounds(2, 10)
	for n := range cuts {
		cutOff := cluster.index(cluster.leader(js, "INTERACTIONS"))
		if n%2 == 1 {
			cutOff = (cutOff + 1) % 3
		}
		network.cut(cutOff)
		load.more(200, longestStall+30*time.Second)
		pause(t.Context(), 8*time.Second)
		network.heal(cutOff)
		cluster.caughtUp(cluster.nodes[cutOff])
		load.more(100, time.Minute)
	}
	load.stop()
	settled(t, l, js, 2*time.Minute, crm, analytics)
	figure(t, "P2", "one of three nodes cut off %d times: %d events, none missing, longest stall %s", cuts, l.Tally().Answered, l.Tally().Stall.Round(time.Millisecond))
	assert.LessOrEqual(t, l.Tally().Stall, longestStall)
}

// TestTwoOfThreeNodesGone: one node alone takes nothing, and says so; when another comes back, all goes on.
func TestTwoOfThreeNodesGone(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	cluster := newCluster(t, loopback(), []string{t.TempDir(), t.TempDir(), t.TempDir()}, "sync_interval: always")
	cluster.start()
	mesh := cluster.startParts(t, configuration(3, crm.entry("")), 1)
	load := send(t, l, "minority", 8, 2*time.Millisecond, mesh.http...)
	load.more(200, time.Minute)
	cluster.nodes[0].Kill()
	cluster.nodes[1].Kill()
	assert.Eventually(t, func() bool { return shipped.Status(mesh.ingress[0].Ready) == 503 }, 30*time.Second, 100*time.Millisecond,
		"an ingress that can't store says that it is not ready")
	before := l.Tally().Answered
	pause(t.Context(), 3*time.Second)
	assert.Equal(t, before, l.Tally().Answered, "nothing is answered without a majority")
	cluster.start()
	load.more(200, 2*time.Minute)
	load.stop()
	settled(t, l, cluster.jetStream(), 2*time.Minute, crm)
}
