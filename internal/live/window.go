package live

import (
	"maps"
	"math"
	"time"
)

const (
	windowParts = 6
	windowPart  = 10 * time.Second
)

// summed is what can be added up, which may change the receiver.
type summed[T any] interface{ plus(T) T }

// window adds up what happened in the last minute, in parts of ten seconds.
type window[T summed[T]] struct {
	parts  [windowParts]T
	newest int
}

// turn forgets what is too old at a moment, which is told as the time since the beginning.
func (w *window[T]) turn(since time.Duration) {
	part := int(since / windowPart)
	for range min(part-w.newest, windowParts) {
		w.newest++
		w.parts[w.newest%windowParts] = *new(T)
	}
	w.newest = max(w.newest, part)
}

func (w *window[T]) add(what T) {
	part := &w.parts[w.newest%windowParts]
	*part = (*part).plus(what)
}

func (w *window[T]) sum() T {
	var all T
	for _, part := range w.parts {
		all = all.plus(part)
	}
	return all
}

// outcomes count what came of something.
type outcomes map[string]float64

func (o outcomes) plus(other outcomes) outcomes {
	if o == nil {
		return maps.Clone(other)
	}
	for outcome, n := range other {
		o[outcome] += n
	}
	return o
}

// whole are the same in whole numbers; nil if there are none.
func (o outcomes) whole() map[string]uint64 {
	var counts map[string]uint64
	for outcome, n := range o {
		add(&counts, outcome, uint64(math.Round(n)))
	}
	return counts
}
