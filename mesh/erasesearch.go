package mesh

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// search looks for copies in every place, and reports whether there are any that could be erased.
func (e *Erasure) search(ctx context.Context) (again bool, err error) {
	for i := range e.places {
		p := &e.places[i]
		clear(p.left)
		for _, filter := range p.filters {
			if err := e.searchUnder(ctx, p, filter); err != nil {
				return false, err
			}
		}
		again = again || len(p.left) > 0 && p.refuses() == ""
	}
	return again, nil
}

func (e *Erasure) searchUnder(ctx context.Context, p *place, filter string) error {
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{filter}, HeadersOnly: true}
	for msg, err := range readStream(ctx, e.js, p.stream, config) {
		if err != nil {
			return err
		}
		of, ours := e.trace.match(msg.Subject(), msg.Headers())
		if !ours {
			continue
		}
		if msg.Headers().Get(HeaderNotice) == NoticeErasure {
			e.toldAlong = append(e.toldAlong, of.source)
			continue
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("message on %s: %w", msg.Subject(), err)
		}
		p.found[meta.Sequence.Stream], p.left[meta.Sequence.Stream] = stored{of.source, msg.Subject()}, true
		e.sources[of.source] = cmp.Or(e.sources[of.source], of.organization)
		if len(p.left) == maxErasedAtOnce {
			return nil // the next round finds the others
		}
	}
	return nil
}

// eraseFrom erases what was found in one place, the oldest first.
func (e *Erasure) eraseFrom(ctx context.Context, p *place, erased func()) error {
	if len(p.left) == 0 || p.refuses() != "" {
		return nil
	}
	handle, err := e.js.Stream(ctx, p.stream)
	if err != nil {
		return fmt.Errorf("stream %s: %w", p.stream, err)
	}
	failures := 0
	for _, sequence := range slices.Sorted(maps.Keys(p.left)) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("erase from stream %s: %w", p.stream, err)
		}
		if err := handle.SecureDeleteMsg(ctx, sequence); err != nil {
			// If it is gone already, the next search tells: a look at it alone may be answered by a mirror.
			p.refused = fmt.Sprintf("message %d: %v", sequence, err)
			if failures++; failures == maxEraseFailures {
				return nil
			}
			continue
		}
		failures = 0
		delete(p.left, sequence)
		if erased != nil {
			erased()
		}
	}
	return nil
}
