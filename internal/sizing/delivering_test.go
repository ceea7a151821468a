//go:build sizing

package main

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/shipped"
)

// delivering is what a delivery cost.
type delivering struct {
	perSecond     float64
	workers, nats float64 // processor time, in microseconds
}

// TestWhatDeliveringCosts hands stored events to more and more subscribers.
func TestWhatDeliveringCosts(t *testing.T) {
	table := []string{"| nodes | subscribers | body | deliveries a second | workers, µs each | NATS, µs each |", "|--:|--:|--:|--:|--:|--:|"}
	row := func(nodes, subscribers, size, deliveries int) delivering {
		d := deliver(t, nodes, subscribers, size, deliveries)
		table = append(table, fmt.Sprintf("| %d | %d | %s | %s | %s | %s |",
			nodes, subscribers, inBytes(float64(size)), short(d.perSecond), short(d.workers), short(d.nats)))
		return d
	}
	one := row(1, 1, 1024, 30_000)
	three := row(1, 3, 1024, 60_000)
	row(1, 10, 1024, 60_000)
	large := row(1, 1, 16<<10, 15_000)
	replicated := row(3, 3, 1024, 30_000)
	measured(t, deliverCPU, three.workers)
	measured(t, deliverKiB, (large.workers-one.workers)/15)
	measured(t, readCPU, three.nats)
	measured(t, readKiB, (large.nats-one.nats)/15)
	measured(t, deliverR3, replicated.workers)
	measured(t, readR3, replicated.nats)
	tabulate(t, "delivers", table...)
}

// deliver measures the last nine tenths of so many deliveries: the first are the start of the process.
func deliver(t *testing.T, nodes, subscribers, size, deliveries int) (d delivering) {
	t.Run(fmt.Sprintf("%d nodes, %d subscribers, %d bytes", nodes, subscribers, size), func(t *testing.T) {
		nats, targets := startNodes(t, nodes, syncs), newTarget(t)
		dir, topology := nats.apply(configuration(nodes, 1, targets.subscribers(subscribers, "")...))
		events := deliveries / subscribers
		store(t, nats.connect(), topology, 1, events, 500, size)
		workers := startWorkers(t, dir, nats.url)
		first := deliveries / 10
		targets.await(first)
		began, before, served := time.Now(), shipped.Metered(workers), shipped.Metered(nats.processes()...)
		first = int(targets.taken.Load())
		targets.await(events / 500 * 500 * subscribers)
		rest := int(targets.taken.Load()) - first
		d = delivering{float64(rest) / time.Since(began).Seconds(), micros(before.Total().CPU, rest), micros(served.Total().CPU, rest)}
	})
	return d
}

// TestWhatASubscriberHolds starts workers with one subscriber and with a hundred, and makes ten thousand events wait for their retry.
func TestWhatASubscriberHolds(t *testing.T) {
	const many, events = 100, 10_000
	alone, node := idle(t, 1)
	crowd, crowded := idle(t, many)
	measured(t, ofWorkers, alone/(1<<20))
	measured(t, ofSubscriber, (crowd-alone)/(many-1)/1024)
	measured(t, ofConsumer, (crowded-node)/(many-1)/1024)
	nats, targets := startNodes(t, 1, syncs), newTarget(t)
	targets.answer.Store(http.StatusServiceUnavailable)
	dir, topology := nats.apply(configuration(1, 1, targets.subscribers(1,
		fmt.Sprintf(`"order": "none", "max_ack_pending": %d, "backoff": {"base": "1h", "max": "1h"}, "breaker": {"disabled": true},`, events))...))
	workers := startWorkers(t, dir, nats.url)
	before := workers.Resident()
	store(t, nats.connect(), topology, 1, events, 500, 1024)
	targets.await(events)
	measured(t, retried, (workers.Resident()-before)/events/1024)
}

// idle is the memory of workers with nothing to do, and of their node.
func idle(t *testing.T, subscribers int) (workers, node float64) {
	t.Run(fmt.Sprintf("%d subscribers", subscribers), func(t *testing.T) {
		nats, targets := startNodes(t, 1, syncs), newTarget(t)
		dir, topology := nats.apply(configuration(1, 1, targets.subscribers(subscribers, "")...))
		p := startWorkers(t, dir, nats.url)
		store(t, nats.connect(), topology, 1, 1, 1, 1024)
		targets.await(subscribers) // each of them is served
		require.EqualValues(t, subscribers, targets.taken.Load())
		workers, node = p.Resident(), nats.all[0].live()
	})
	return workers, node
}
