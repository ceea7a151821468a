//go:build sizing

package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/shipped"
)

// storing is what a load cost on its way into the stream.
type storing struct {
	sent
	ingress, nats, lead float64 // processor time of an event, in microseconds
	counted             float64 // bytes that the stream counts of an event
	written             float64 // bytes that each node wrote of an event
	processors          float64 // in use by all of it, the senders too
}

// TestWhatStoringCosts sends events from more and more senders to one node and to three, and then larger ones.
func TestWhatStoringCosts(t *testing.T) {
	table := []string{
		"| nodes | senders | body | events a second | half of them answered within | 99 of 100 | ingress, µs | NATS, µs | written by a node " +
			"| processors in use by it, senders too |",
		"|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
	}
	for _, nodes := range []int{1, 3} {
		in := newStoring(t, nodes, 1)
		in.load(64, 1024, time.Second) // until connections stand and memory is there
		var small, large storing
		for _, load := range []struct{ senders, size, seconds int }{{64, 1024, 12}, {256, 1024, 15}, {1024, 1024, 15}, {256, 16 << 10, 8}} {
			s := in.steady(load.senders, load.size, time.Duration(load.seconds)*time.Second)
			table = append(table, fmt.Sprintf("| %d | %d | %s | %s | %s | %s | %s | %s | %s | %s |", nodes, load.senders, inBytes(float64(load.size)),
				short(s.perSecond()), s.percentile(50), s.percentile(99), short(s.ingress), short(s.nats), inBytes(s.written), short(s.processors)))
			switch {
			case load.size > 1024:
				large = s
			case load.senders == 256:
				small = s
			}
		}
		in.note(small, large)
	}
	tabulate(t, "carries", table...)
}

// storingLab is ingress in front of a node, or of three.
type storingLab struct {
	t       testing.TB
	nodes   *natsNodes
	ingress *shipped.Process
	urls    []string // a webhook of each source
	count   func() (bytes float64)
	lead    func() int
	disk    func() float64 // bytes of the streams' files on a node
}

func newStoring(t testing.TB, nodes, sources int, subscribers ...string) *storingLab {
	t.Helper()
	l := &storingLab{t: t, nodes: startNodes(t, nodes, syncs)}
	dir, _ := l.nodes.apply(configuration(nodes, sources, subscribers...))
	var url string
	l.ingress, url = startIngress(t, dir, l.nodes.url)
	js := l.nodes.connect()
	for i := range sources {
		l.urls = append(l.urls, url+sourceName(i))
	}
	l.count = func() (all float64) {
		for i := range sources {
			all += float64(l.nodes.state(js, streamName(i)).State.Bytes)
		}
		return all
	}
	l.lead = func() int { return l.nodes.leader(js, streamName(0)) }
	l.disk = func() (all float64) {
		for i := range sources {
			all += l.nodes.all[l.lead()].filesOf(streamName(i))
		}
		return all
	}
	return l
}

func (l *storingLab) load(senders, size int, d time.Duration) storing {
	l.t.Helper()
	before, own, ingress, nats := l.count(), shipped.OwnCPU(l.t), shipped.Metered(l.ingress), shipped.Metered(l.nodes.processes()...)
	s := storing{sent: send(l.t, l.urls, senders, size, d)}
	s.ingress = micros(ingress.Total().CPU, s.events)
	used := nats.Total()
	s.processors = (shipped.OwnCPU(l.t) - own + ingress.Total().CPU + used.CPU).Seconds() / s.took.Seconds()
	s.nats, s.lead = micros(used.CPU, s.events), micros(nats.Each()[l.lead()].CPU, s.events)
	s.written = used.Written / float64(len(l.nodes.all)) / float64(s.events)
	s.counted = (l.count() - before) / float64(s.events)
	return s
}

// steady is a load of which next to nothing was refused. A disk that stands still for seconds, because of what else a machine does, makes senders hear
// 503 and come again: that is measured once more, at most twice.
func (l *storingLab) steady(senders, size int, d time.Duration) (s storing) {
	l.t.Helper()
	for range 3 {
		s = l.load(senders, size, d)
		if s.refused <= s.events/100 {
			return s
		}
		l.t.Logf("%d senders: %d of %d events had to come again", senders, s.refused, s.events)
	}
	require.Fail(l.t, "the machine is too busy to measure what an event costs", "%d of %d events had to come again", s.refused, s.events)
	return s
}

// note keeps the costs that a small and a large event show.
func (l *storingLab) note(small, large storing) {
	l.t.Helper()
	perKiB := func(small, large float64) float64 { return (large - small) / 15 }
	if len(l.nodes.all) == 3 {
		measured(l.t, ingressR3, small.ingress)
		measured(l.t, storeR3, small.nats)
		measured(l.t, storeR3KiB, perKiB(small.nats, large.nats))
		measured(l.t, leadR3, small.lead)
		measured(l.t, writtenR3, small.written/small.counted)
		return
	}
	measured(l.t, ingressCPU, small.ingress)
	measured(l.t, ingressKiB, perKiB(small.ingress, large.ingress))
	measured(l.t, storeCPU, small.nats)
	measured(l.t, storeKiB, perKiB(small.nats, large.nats))
	measured(l.t, envelope, small.counted-1024)
	measured(l.t, written, small.written/small.counted)
	measured(l.t, onDisk, l.disk()/l.count())
}
