package mesh

import (
	"context"
	"fmt"
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
	s.dropAbandoned()
	for len(s.ready) > 0 && s.flying < s.maxFlying() {
		batch := s.take()
		s.flying++
		go func() {
			ctx, cancel := context.WithTimeout(work, settleTimeout)
			defer cancel()
			s.returned <- s.publish(ctx, batch)
		}()
	}
	if len(s.ready) == 0 {
		s.ready = nil
	}
}

// dropAbandoned lets go of what nobody waits for any more, as when the stream was out of reach for
// long: the sender was told to try again, and what is stale must not stand before what is new.
func (s *streamCommitter) dropAbandoned() {
	if s.flying >= s.maxFlying() || !slices.ContainsFunc(s.ready, (*publication).isAbandoned) {
		return
	}
	ready := s.ready
	s.ready = nil
	for _, pub := range ready {
		if !pub.isAbandoned() {
			s.ready = append(s.ready, pub)
			continue
		}
		pub.err = fmt.Errorf("%w: given up", ErrUnavailable)
		s.settle(pub) // lets those go on that wait for it
	}
}

func (pub *publication) isAbandoned() bool { return pub.pending.ctx.Err() != nil }

// maxFlying commits may be under way: one batch, or as many single publishes as the
// connection takes, for those the server groups itself.
func (s *streamCommitter) maxFlying() int {
	if s.facts.atomic {
		return maxBatches
	}
	return maxPublishesInFlight
}

// take cuts the next batch off what is ready. What one delivery brought stays together.
func (s *streamCommitter) take() []publication {
	limit := 1
	if s.facts.atomic {
		limit = maxBatchEvents
	}
	var batch []publication
	bytes := 0
	for len(s.ready) > 0 {
		together := s.together()
		if len(batch) > 0 && (len(batch)+together > limit || bytes >= maxBatchBytes) {
			break
		}
		for i, pub := range s.ready[:together] {
			batch = append(batch, *pub)
			bytes += len(pub.pending.event.Body)
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
	delivery := s.ready[0].pending.delivery
	if delivery == nil || !s.facts.batches {
		return 1
	}
	n := 1
	for n < len(s.ready) && s.ready[n].pending.delivery == delivery {
		n++
	}
	return n
}
