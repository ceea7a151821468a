package main

import (
	"math"
	"slices"
	"time"
)

// spread is the middle of some values and how far they reach.
type spread struct{ median, min, max float64 }

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return spread{}
	}
	return spread{median: (sorted[(n-1)/2] + sorted[n/2]) / 2, min: sorted[0], max: sorted[n-1]}
}

// of is the spread of one figure of the samples.
func (s series) of(figure func(sample) float64) spread {
	values := make([]float64, len(s))
	for i, one := range s {
		values[i] = figure(one)
	}
	return spreadOf(values)
}

// ratio is the spread of s to base, each round by itself: both met the machine in the same mood.
func (s series) ratio(base series, figure func(sample) float64) spread {
	values := make([]float64, 0, len(s))
	for i := range min(len(s), len(base)) {
		if below := figure(base[i]); below != 0 {
			values = append(values, figure(s[i])/below)
		}
	}
	return spreadOf(values)
}

func rate(s sample) float64    { return s.rate }
func p50(s sample) float64     { return float64(s.p50) }
func p99(s sample) float64     { return float64(s.p99) }
func cpu(s sample) float64     { return float64(s.cpu) }
func batch(s sample) float64   { return s.batch }
func refused(s sample) float64 { return s.refused }
func waiting(s sample) float64 { return s.waiting }

// quantile is the value below or at which the given part of the sorted values lies.
func quantile(sorted []time.Duration, part float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(part*float64(len(sorted)))) - 1
	return sorted[max(rank, 0)]
}
