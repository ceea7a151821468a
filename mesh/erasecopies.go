package mesh

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// awaitCopies waits until the streams that copy others have what their origins had: a copy may be on
// its way while its original is erased.
func (e *Erasure) awaitCopies(ctx context.Context) error {
	deadline := time.Now().Add(copiesTimeout)
	for i := range e.places {
		p := &e.places[i]
		for p.copies() {
			var err error
			if p.lagging, err = lag(ctx, e.js, p.stream); err != nil {
				return err
			}
			if p.lagging == "" || time.Now().After(deadline) {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(lagInterval):
			}
		}
	}
	return nil
}

// lag says why a stream may not have copied everything yet, or is "".
func lag(ctx context.Context, js jetstream.JetStream, stream string) (string, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return "", fmt.Errorf("stream %s: %w", stream, err)
	}
	origins := slices.Clone(s.CachedInfo().Sources)
	if mirrored := s.CachedInfo().Mirror; mirrored != nil {
		origins = append(origins, mirrored)
	}
	for _, o := range origins {
		switch {
		case o.Lag > 0:
			return fmt.Sprintf("the stream is %d messages behind %s, which it copies; erase again once it has caught up", o.Lag, o.Name), nil
		case o.Active < 0 || o.Active > contactLost: // below zero: not heard from since the server started
			return fmt.Sprintf("the stream has no contact with %s, which it copies; erase again once it has", o.Name), nil
		}
	}
	return "", nil
}
