//go:build fault

package fault

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
)

// acknowledgedBetweenCuts is how many events are answered, at least, before each power cut.
func acknowledgedBetweenCuts() int { return rounds(300, 1000) }

// TestPowerCutOfDev takes the power from the one machine that has everything.
func TestPowerCutOfDev(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	dir := writeConfiguration(t, configuration(1, crm.entry("")))
	disk := newDisk(t, 1024)
	mesh := newDev(t, dir, disk.dir)
	mesh.Start()
	load := send(t, l, "power", 64, 0, mesh.ingress)
	cuts := rounds(2, 50)
	for range cuts {
		load.more(acknowledgedBetweenCuts(), 2*time.Minute)
		disk.cut()
		mesh.Kill()
		disk.back()
		mesh.Start()
	}
	load.more(100, time.Minute)
	load.stop()
	v := settled(t, l, connect(t, mesh.nats), time.Minute, crm)
	figure(t, "P1", "genmesh dev, %d power cuts: %d events answered, none lost", cuts, l.Tally().Answered)
	figure(t, "P4", "genmesh dev, %d power cuts: %d events taken again", cuts, v.Doubled["crm"])
}

// TestPowerCutOfOneNode takes the power from a NATS node of its own; ingress and workers live on elsewhere.
func TestPowerCutOfOneNode(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	disk := newDisk(t, 1024)
	mesh := &parts{nats: newNode(t, disk.dir)}
	mesh.nats.Dir = t.TempDir() // no process may stand in the way of the disk
	mesh.nats.Start()
	dir := writeConfiguration(t, configuration(1, crm.entry("")))
	mesh.nats.apply(dir)
	mesh.addIngress(t, dir, mesh.nats.url)
	mesh.addWorkers(t, dir, mesh.nats.url)
	load := send(t, l, "power", 64, 0, mesh.http...)
	cuts := rounds(2, 50)
	for range cuts {
		load.more(acknowledgedBetweenCuts(), 2*time.Minute)
		disk.cut()
		mesh.nats.Kill()
		disk.back()
		mesh.nats.Start()
	}
	load.more(100, time.Minute)
	load.stop()
	settled(t, l, mesh.nats.jetStream(), 2*time.Minute, crm)
	figure(t, "P1", "a NATS node of its own, %d power cuts: %d events answered, none lost", cuts, l.Tally().Answered)
}

// TestPowerCutOfAllThreeNodes: three replicas don't help when all of them lose what they had in memory; fsync does.
func TestPowerCutOfAllThreeNodes(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	disks := make([]*disk, 3)
	stores := make([]string, 3)
	for i := range disks {
		disks[i] = newDisk(t, 512)
		stores[i] = disks[i].dir
	}
	cluster := newCluster(t, loopback(), stores, "sync_interval: always")
	cluster.start()
	mesh := cluster.startParts(t, configuration(3, crm.entry("")), 1)
	load := send(t, l, "power", 64, 0, mesh.http...)
	cuts := rounds(1, 20)
	for range cuts {
		load.more(acknowledgedBetweenCuts(), 2*time.Minute)
		for i := range disks {
			disks[i].cut()
		}
		for i := range disks {
			cluster.nodes[i].Kill()
			disks[i].back()
		}
		cluster.start()
	}
	for range cuts {
		load.more(acknowledgedBetweenCuts(), 2*time.Minute)
		i := rand.IntN(3)
		disks[i].cut()
		cluster.nodes[i].Kill()
		disks[i].back()
		cluster.nodes[i].Start()
	}
	load.more(100, 2*time.Minute)
	load.stop()
	settled(t, l, cluster.jetStream(), 3*time.Minute, crm)
	figure(t, "P1", "three NATS nodes, %d power cuts of all and %d of one: %d events answered, none lost", cuts, cuts, l.Tally().Answered)
}

// TestPowerCutShowsWhatIsNotSynced is the negative control: against a server that syncs every two minutes, as nats-server does unless it is told
// otherwise, the same cut must lose what was answered. If it loses nothing, the tests above are blind.
func TestPowerCutShowsWhatIsNotSynced(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	disk := newDisk(t, 512)
	n := newNodeWith(t, disk.dir, "sync_interval: 2m")
	n.Dir = t.TempDir()
	n.Start()
	dir := writeConfiguration(t, configuration(1, crm.entry("")))
	n.apply(dir)
	mesh := &parts{nats: n}
	ingress := mesh.addIngress(t, dir, n.url)
	load := send(t, l, "control", 16, 0, mesh.http...)
	load.more(200, time.Minute)
	ingress.Kill() // nobody sends again what was answered
	load.abandon()
	disk.cut()
	n.Kill()
	disk.back()
	n.Start()

	var stored [][]byte
	err := readAll(t.Context(), n.jetStream(), "INTERACTIONS", func(_ string, body []byte) { stored = append(stored, body) })
	if err != nil {
		require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	}
	v := l.Check(ledger.Aftermath{Stored: stored})
	assert.NotEmpty(t, v.Lost)
	figure(t, "P1", "the same cut of a server that syncs every two minutes: %d of %d answered events gone, as it must be", len(v.Lost), l.Tally().Answered)
	require.ErrorContains(t, v.Err(), "answered and not stored")
}
