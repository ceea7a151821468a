package mesh

import (
	"context"
	"slices"
)

const (
	// maxBatchEvents is the server's limit for an atomic batch.
	maxBatchEvents = 1000
	maxBatchBytes  = 8 << 20
	// maxBatches under way. An atomic batch costs the server its fsyncs whatever its size, one
	// batch after another: a second one on its way gains less than it takes from the size of
	// each. Measured on one node, distinct events and lifecycles, one is 1.1 to 1.4 times two.
	maxBatches = 1
)

// launch sends off what is ready, as far as commits may be under way.
func (s *streamCommitter) launch(work context.Context) {
	s.dropGivenUp()
	for s.mayLaunch() {
		batch := s.take()
		s.flying++
		go func() {
			ctx, cancel := context.WithTimeout(work, settleTimeout)
			defer cancel()
			s.publish(ctx, batch)
			s.returned <- batch
		}()
	}
	if len(s.ready) == 0 {
		s.ready = nil
	}
}

// mayLaunch reports whether the next batch may be under way beside the others. Single publishes that
// must not overtake each other are not ready at one time, but in the moment after the stream's facts
// have changed.
func (s *streamCommitter) mayLaunch() bool {
	if len(s.ready) == 0 || s.flying >= s.maxFlying() || s.inDoubt {
		return false
	}
	return s.facts.atomic || !slices.ContainsFunc(s.ready[:s.together()], func(pub *publication) bool { return !pub.mayFly() })
}

// dropGivenUp lets go of what nobody waits for any more, as when the stream was out of reach for
// long: the sender was told to try again, and what is stale must not stand before what is new.
func (s *streamCommitter) dropGivenUp() {
	isGivenUp := func(pub *publication) bool { return pub.pending.givenUp() != nil }
	if s.flying >= s.maxFlying() || !slices.ContainsFunc(s.ready, isGivenUp) {
		return
	}
	var ready, dropped []*publication
	for _, pub := range s.ready {
		if pub.err = pub.pending.givenUp(); pub.err != nil {
			dropped = append(dropped, pub)
		} else {
			ready = append(ready, pub)
		}
	}
	s.ready = ready
	for _, pub := range dropped {
		s.settle(pub) // lets those go on that wait for it, behind all that is ready
	}
}

// maxFlying commits may be under way: one batch, or as many single publishes as the
// connection takes, for those the server groups itself.
func (s *streamCommitter) maxFlying() int {
	if s.facts.atomic {
		return maxBatches
	}
	return maxPublishesInFlight
}

// take cuts the next batch off what is ready. What one delivery brought stays together.
func (s *streamCommitter) take() []*publication {
	limit := 1
	if s.facts.atomic {
		limit = maxBatchEvents
	}
	var batch []*publication
	bytes := 0
	for len(s.ready) > 0 {
		together := s.together()
		if len(batch) > 0 && (len(batch)+together > limit || bytes >= maxBatchBytes) {
			break
		}
		for i, pub := range s.ready[:together] {
			batch = append(batch, pub)
			bytes += len(pub.pending.event.Body)
			pub.takeOff()
			s.ready[i] = nil
		}
		s.ready = s.ready[together:]
	}
	s.metrics.batchEvents.WithLabelValues(s.stream).Observe(float64(len(batch)))
	return batch
}

// together counts the publications at the head of what is ready that one delivery brought, if the
// stream can take them as one.
func (s *streamCommitter) together() int {
	n := 1
	if !s.facts.batches {
		return n
	}
	for n < len(s.ready) && s.ready[n].isWith(s.ready[0]) {
		n++
	}
	return n
}

// isWith reports whether one delivery brought both.
func (pub *publication) isWith(other *publication) bool {
	return pub.pending.delivery != nil && pub.pending.delivery == other.pending.delivery
}
