//go:build sizing

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/internal/shipped"
)

// How far a prediction may be off, as a factor in either direction. Processor time depends on what else runs on the machine: for that, half of it is
// left free.
const (
	offBytes  = 1.1
	offMemory = 1.35
	offCPU    = 1 / mostCPU
)

// verdicts are predictions beside what was measured then.
type verdicts struct {
	t     testing.TB
	table []string
}

func (v *verdicts) hold(what string, predicted, measured, off float64, text func(float64) string) {
	v.t.Helper()
	v.table = append(v.table, fmt.Sprintf("| %s | %s | %s | %s | %g |", what, text(predicted), text(measured), short(measured/predicted), off))
	assert.InDelta(v.t, 1, max(measured/predicted, predicted/measured), off-1, "%s: predicted %s, measured %s", what, text(predicted), text(measured))
}

func inMicros(value float64) string { return short(value) + " µs" }

// TestWhatIsPredictedIsMeasured sizes loads that no cost was taken from, and measures them: other bodies, more subscribers, more streams.
func TestWhatIsPredictedIsMeasured(t *testing.T) {
	c := known(t)
	v := &verdicts{t: t, table: []string{"| load | predicted | measured | measured to predicted | may be off by |", "|---|--:|--:|--:|--:|"}}
	t.Run("4 KiB to five subscribers", func(t *testing.T) { v.whole(t, c) })
	t.Run("two streams of three nodes, 2 KiB", func(t *testing.T) { v.two(t, c) })
	t.Run("interactions in memory", func(t *testing.T) { v.memory(t, c) })
	tabulate(t, "predicted", v.table...)
}

// perEvent is a demand of one event a second, so that what it takes is what an event takes.
func perEvent(replicas, body, subscribers float64) demand {
	d := usual((24 * time.Hour).Seconds())
	d.peak, d.replicas, d.body, d.subscribers = 1, replicas, body, subscribers
	return d
}

// whole is the way from the webhook to the targets, on one node.
func (v *verdicts) whole(t *testing.T, c costs) {
	const subscribers, size = 5, 4096
	targets := newTarget(t)
	lab := newStoring(t, 1, 1, targets.subscribers(subscribers, "")...)
	workers := startWorkers(t, lab.ingress.Dir, lab.nodes.url)
	lab.load(256, size, time.Second)
	taking, served := shipped.Metered(workers), shipped.Metered(lab.nodes.processes()...)
	taken := targets.taken.Load()
	s := lab.load(256, size, 12*time.Second)
	targets.await(int(taken) + s.events*subscribers)
	n := c.size(perEvent(1, size, subscribers))
	const what = "4 KiB, five subscribers, one node: "
	v.hold(what+"ingress, an event", n.ingressCores*1e6, s.ingress, offCPU, inMicros)
	v.hold(what+"NATS, an event", n.natsCores*1e6, micros(served.Total().CPU, s.events), offCPU, inMicros)
	v.hold(what+"workers, an event", n.workerCores*1e6, micros(taking.Total().CPU, s.events), offCPU, inMicros)
	v.hold(what+"files, an event", n.disk/n.stored(), lab.disk()/lab.count()*s.counted, offBytes, inBytes)
}

// two is two sources with a stream each, on three nodes. Each has as many senders as the costs were taken with: so many share a commit.
func (v *verdicts) two(t *testing.T, c costs) {
	const size = 2048
	lab := newStoring(t, 3, 2)
	lab.load(512, size, time.Second)
	s := lab.load(512, size, 12*time.Second)
	n := c.size(perEvent(3, size, 0))
	const what = "2 KiB, two streams, three nodes: "
	v.hold(what+"ingress, an event", n.ingressCores*1e6, s.ingress, offCPU, inMicros)
	v.hold(what+"NATS, an event", n.natsCores*1e6, s.nats, offCPU, inMicros)
	v.hold(what+"files of a node, an event", n.disk/n.stored()/3, lab.disk()/lab.count()*s.counted, offBytes, inBytes)
}

// memory is what interactions leave in a node: messages, subjects and ids, with bodies.
func (v *verdicts) memory(t *testing.T, c costs) {
	const events, callers = 300_000, 1000
	nats := startNodes(t, 1, lately)
	_, topology := nats.apply(configuration(1, 1))
	js := nats.connect()
	store(t, js, topology, 1, events/3, callers, 1024) // what is there whatever the number of events: caches, buffers
	before := nats.all[0].live()
	store(t, js, topology, 1, events, callers, 1024)
	d := perEvent(1, 1024, 0)
	d.perDay, d.retention, d.window = events, 24*time.Hour, 24*time.Hour
	n := c.size(d)
	v.hold("300,000 events in interactions of five, one node: memory", n.memory/c[resident], nats.all[0].live()-before, offMemory, inBytes)
}
