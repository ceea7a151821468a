package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// Event is one event with its body and what became of it at each subscriber. It fails with ErrNotFound if the stream does not have it. Of a
// message that is no event the body and the place are shown.
func (d *Direct) Event(ctx context.Context, stream string, sequence uint64) (EventDetail, error) {
	t := d.o.Topology()
	if err := knownStream(t, stream); err != nil {
		return EventDetail{}, err
	}
	if sequence == 0 {
		return EventDetail{}, NotFound("0 is no sequence: the first is 1")
	}
	e, err := mesh.GetEvent(ctx, d.o.JetStream, stream, sequence)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return EventDetail{}, NotFound(fmt.Sprintf("the server has no stream %s; apply streams.json", stream))
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return EventDetail{}, NotFound(fmt.Sprintf("stream %s has no event %d: it was never stored, or is deleted by now", stream, sequence))
	case err != nil && !errors.Is(err, mesh.ErrNotEvent):
		return EventDetail{}, err
	}
	detail := EventDetail{Event: eventOf(e), Body: bodyOf(e.Body), Headers: headersOf(e)}
	if detail.Deliveries, err = t.EventDeliveries(ctx, d.o.JetStream, e); err != nil {
		return detail, err
	}
	at := mesh.TimelineEvent{Stream: e.Stream, Sequence: e.Sequence, Stored: e.Stored, Deliveries: detail.Deliveries}
	d.tellUnderWay(ctx, []mesh.TimelineEvent{at})
	return detail, nil
}
