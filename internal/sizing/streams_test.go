//go:build sizing

package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/genmesh/genmesh/internal/shipped"
)

// TestStreamsShareTheWork stores events of one, two and four sources, each in a stream of its own, without HTTP, so that nodes get most of the
// machine. They take turns, round by round, and each is compared with one stream in the same round: so whatever else the machine does meets them all.
func TestStreamsShareTheWork(t *testing.T) {
	const callers, events, rounds = 1024, 12 * 1024, 5
	streams := []int{1, 2, 4}
	table := []string{
		"| nodes | one stream: events a second | NATS, µs an event | two streams, to one | NATS, to one | four streams, to one | NATS, to one |",
		"|--:|--:|--:|--:|--:|--:|--:|",
	}
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			nats := startNodes(t, nodes, syncs)
			_, topology := nats.apply(configuration(nodes, slices.Max(streams)))
			js := nats.connect()
			store(t, js, topology, slices.Max(streams), events, callers, 1024) // until memory is there
			rates, costs := make([][]float64, len(streams)), make([][]float64, len(streams))
			for range rounds {
				for i, n := range streams {
					used := shipped.Metered(nats.processes()...)
					took := store(t, js, topology, n, events, callers, 1024)
					rates[i], costs[i] = append(rates[i], events/took.Seconds()), append(costs[i], micros(used.Total().CPU, events))
				}
			}
			line := fmt.Sprintf("| %d | %s | %s |", nodes, spread(rates[0]), spread(costs[0]))
			for i := range streams[1:] {
				line += fmt.Sprintf(" %s | %s |", spread(ratios(rates[i+1], rates[0])), spread(ratios(costs[i+1], costs[0])))
			}
			table = append(table, line)
		})
	}
	tabulate(t, "streams", table...)
}

// ratios are those of each round.
func ratios(of, to []float64) (all []float64) {
	for i := range of {
		all = append(all, of[i]/to[i])
	}
	return all
}

// spread is the median, and between what it lies.
func spread(values []float64) string {
	sorted := slices.Sorted(slices.Values(values))
	return fmt.Sprintf("%s (%s…%s)", short(sorted[len(sorted)/2]), short(sorted[0]), short(sorted[len(sorted)-1]))
}
