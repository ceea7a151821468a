package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"
)

// sample is what one variant did in one round.
type sample struct {
	events   int     // delivered; 0 where they come in
	rate     float64 // events per second
	p50, p99 time.Duration
	cpu      time.Duration // of the whole process, per event
	batch    float64       // events per commit; 0 where nothing is committed in batches
	refused  float64       // batches that the stream refused whole
	waiting  float64       // bytes of memory for each event that waits for a retry, where some do
}

// series is a variant's samples, round by round.
type series []sample

// results are the series of the variants that took turns, by variant.
type results map[string]series

// variant is one way to do the same work.
type variant struct {
	name string
	// measure does the work for about d, or as much of it as fits into d.
	measure func(ctx context.Context, d time.Duration) (sample, error)
}

// warmUp is the part of a round's duration that every variant runs first, unmeasured.
const warmUp = 4

// alternate lets the variants take turns: A B C, A B C. So a neighbour on the machine that
// comes and goes meets all of them, and the samples of one round can be compared.
func alternate(ctx context.Context, s settings, title string, variants []variant) (results, error) {
	all := make(results, len(variants))
	for round := 0; round <= s.rounds; round++ {
		fmt.Fprintf(os.Stderr, "%s: round %d of %d\n", title, round, s.rounds)
		d := s.duration
		if round == 0 {
			d /= warmUp
		}
		for _, v := range variants {
			runtime.GC() // nobody pays for the garbage of the one before
			one, err := v.measure(ctx, d)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", v.name, round, err)
			}
			if round > 0 {
				all[v.name] = append(all[v.name], one)
			}
		}
	}
	return all, nil
}
