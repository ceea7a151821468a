package live

import (
	"math"
	"slices"
)

// histogram counts by bucket: counts[i] are those above bounds[i-1] and up to bounds[i], the last those above all.
type histogram struct {
	bounds []float64 // ascending
	counts []float64
}

// maxBuckets bounds the buckets of a histogram that is taken over from elsewhere.
const maxBuckets = 64

// since is what h counts that before did not: before is an earlier state of the same, or empty.
func (h histogram) since(before histogram) histogram {
	grown := histogram{bounds: h.bounds, counts: slices.Clone(h.counts)}
	if !slices.Equal(h.bounds, before.bounds) {
		return grown
	}
	for i := range grown.counts {
		grown.counts[i] = max(grown.counts[i]-before.counts[i], 0)
	}
	return grown
}

// plus is what both count. Where the buckets differ, those of the other go into the ones that have room for all of them.
func (h histogram) plus(other histogram) histogram {
	if h.bounds == nil {
		return histogram{bounds: other.bounds, counts: slices.Clone(other.counts)}
	}
	for i, n := range other.counts {
		at := len(h.bounds)
		if i < len(other.bounds) {
			at, _ = slices.BinarySearch(h.bounds, other.bounds[i])
		}
		h.counts[at] += n
	}
	return h
}

// quantile is the value up to which the part q of what was counted lies, as Prometheus tells it: on a straight line within its bucket, and
// at most the highest bound. It is 0 if nothing was counted.
func (h histogram) quantile(q float64) float64 {
	total := 0.0
	for _, n := range h.counts {
		total += n
	}
	if total == 0 || len(h.bounds) == 0 {
		return 0
	}
	rank, below, lower := q*total, 0.0, 0.0
	for i, upper := range h.bounds {
		n := h.counts[i]
		if n > 0 && below+n >= rank {
			return lower + (upper-lower)*max(rank-below, 0)/n
		}
		below, lower = below+n, upper
	}
	return h.bounds[len(h.bounds)-1]
}

func (h histogram) latency() Latency { return Latency{P50: h.quantile(0.5), P99: h.quantile(0.99)} }

// buckets are those for a snapshot; none if nothing was counted.
func (h histogram) buckets() []Bucket {
	buckets := make([]Bucket, len(h.counts))
	isEmpty := true
	for i, n := range h.counts {
		isEmpty = isEmpty && n == 0
		buckets[i].Count = uint64(math.Round(n))
		if i < len(h.bounds) {
			buckets[i].Seconds = h.bounds[i]
		}
	}
	if isEmpty {
		return nil
	}
	return buckets
}
