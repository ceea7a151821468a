package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// operation does one step of the work for one of the workers, which each call it again and
// again, and returns how many events that were.
type operation func(ctx context.Context, worker int) (events int, err error)

// drive lets the workers work for d and returns what came of it. What is under way when d ends
// is finished, and counted. The first error ends it.
func drive(ctx context.Context, workers int, d time.Duration, work operation) (sample, error) {
	latencies := make([][]time.Duration, workers)
	events := make([]int, workers)
	group, ctx := errgroup.WithContext(ctx)
	cpuBefore, start := cpuTime(), time.Now()
	for w := range workers {
		group.Go(func() error {
			for now := start; now.Sub(start) < d; {
				n, err := work(ctx, w)
				if err != nil {
					return err
				}
				done := time.Now()
				latencies[w] = append(latencies[w], done.Sub(now))
				events[w] += n
				now = done
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return sample{}, err
	}
	return summarize(time.Since(start), cpuTime()-cpuBefore, events, latencies)
}

func summarize(elapsed, cpu time.Duration, events []int, latencies [][]time.Duration) (sample, error) {
	total := 0
	for _, n := range events {
		total += n
	}
	if total == 0 {
		return sample{}, fmt.Errorf("nothing was done in %s", elapsed)
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	return sample{
		rate: float64(total) / elapsed.Seconds(),
		p50:  quantile(all, 0.50),
		p99:  quantile(all, 0.99),
		cpu:  cpu / time.Duration(total),
	}, nil
}
