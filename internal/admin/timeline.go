package admin

import (
	"context"
	"slices"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// Timeline is what is stored of an interaction and what became of it at each subscriber. An interaction that is nowhere makes an empty one,
// and no error.
func (d *Direct) Timeline(ctx context.Context, search mesh.InteractionSearch) (*mesh.Timeline, error) {
	if err := checkSpan(search.Since, time.Time{}); err != nil {
		return nil, err
	}
	t := d.o.Topology()
	line, err := mesh.FindInteraction(ctx, d.o.JetStream, t, search)
	if line != nil {
		d.tellUnderWay(ctx, line.Events)
	}
	isTooLong := search.Limit < 0 || search.Limit > mesh.MaxTimeline
	return line, asInvalid(err, isTooLong || namesNothing(t, search.Interaction, search.Source))
}

// tellUnderWay adds to deliveries that have not ended what the processes say that have them in hand. Without an answer they stay as they are.
func (d *Direct) tellUnderWay(ctx context.Context, events []mesh.TimelineEvent) {
	if d.o.Processes == nil {
		return
	}
	var places []mesh.Place
	for _, e := range events {
		if slices.ContainsFunc(e.Deliveries, mesh.TimelineDelivery.IsUnderWay) {
			places = append(places, mesh.Place{Stream: e.Stream, Sequence: e.Sequence, Stored: e.Stored})
		}
	}
	if len(places) == 0 {
		return
	}
	known, err := d.o.Processes.UnderWay(ctx, places)
	if err != nil {
		d.o.Logger.WithError(err).Debug("the processes can't be asked what is under way")
	}
	for i := range events {
		events[i].Tell(known)
	}
}
