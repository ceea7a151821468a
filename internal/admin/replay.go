package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// DefaultReplayRate is how fast the history is replayed where nobody says otherwise.
func DefaultReplayRate() mesh.Rate { return mesh.Rate{Events: 50, Per: time.Second} }

// PlanReplay tells what a replay of the history would come to. It fails with ErrNotFound if there is nothing to replay.
func (d *Direct) PlanReplay(ctx context.Context, ask ReplayAsk) (ReplayPlan, error) {
	t := d.o.Topology()
	s, err := ask.subscriber(t)
	if err != nil {
		return ReplayPlan{}, err
	}
	plan, err := d.planReplay(ctx, t, s, ask)
	plan.DryRun = true
	return plan, err
}

// StartReplay begins a replay. It goes on by itself; Replays tells how far it is.
func (d *Direct) StartReplay(ctx context.Context, by By, ask ReplayAsk) (ReplayPlan, error) {
	t := d.o.Topology()
	s, err := ask.subscriber(t)
	if err := errors.Join(err, by.check()); err != nil {
		return ReplayPlan{}, err
	}
	plan, err := d.planReplay(ctx, t, s, ask)
	if err != nil {
		return plan, err
	}
	plan.By, plan.Reason = by.Who.String(), by.Reason
	if plan.HistoryReplay, err = t.StartReplay(ctx, d.o.JetStream, s, plan.HistoryReplay); err != nil {
		return plan, err
	}
	plan.Trail = d.ledger(t, by, auditedReplay(plan)).done(ctx)
	return plan, nil
}

// auditedReplay says what is replayed, without the interaction's id: the audit keeps none.
func auditedReplay(plan ReplayPlan) mesh.Audit {
	record := mesh.Audit{
		Action: ActionReplay, Subscriber: plan.Subscriber, Count: int(plan.Events),
		About: fmt.Sprintf("replay %s, sequences %d to %d of stream %s, at most %s", plan.ID, plan.From, plan.Until, plan.Stream, plan.Rate),
	}
	if plan.Type != "" {
		record.About += ", only of type " + plan.Type
	}
	if plan.Interaction != "" {
		record.About += ", only of one interaction"
		record.InteractionSHA256 = mesh.HashInteraction(plan.Interaction)
	}
	return record
}

// subscriber checks what is asked for, and finds whom it is for.
func (ask ReplayAsk) subscriber(t *mesh.Topology) (mesh.Subscriber, error) {
	chosen := !ask.Since.IsZero() || ask.Type != "" || ask.Interaction != ""
	switch {
	case chosen == ask.All:
		return mesh.Subscriber{}, Invalid("choose what to replay by since, interaction or type, or take all")
	case !ask.Until.IsZero() && !ask.Since.Before(ask.Until):
		return mesh.Subscriber{}, Invalid("until must be later than since")
	case ask.Rate.Events < 0 || ask.Rate.Per < 0 || ask.Rate.Events > 0 && ask.Rate.Per == 0:
		return mesh.Subscriber{}, Invalid("the rate must be one such as 50/s")
	}
	if err := checkSpan(ask.Since, ask.Until); err != nil {
		return mesh.Subscriber{}, err
	}
	return subscriberOf(t, ask.Subscriber)
}

func (d *Direct) planReplay(ctx context.Context, t *mesh.Topology, s mesh.Subscriber, ask ReplayAsk) (ReplayPlan, error) {
	plan := ReplayPlan{Subscriber: s.Name, Stream: s.Stream}
	span := mesh.HistorySpan{Since: ask.Since, Until: ask.Until, Type: ask.Type, Interaction: ask.Interaction}
	h, err := t.PlanReplay(ctx, d.o.JetStream, s, span)
	if errors.Is(err, mesh.ErrNothingToReplay) {
		return plan, NotFound(fmt.Sprintf("replay to %s: %v%s", s.Name, err, d.aboutType(ctx, s, ask.Type)))
	}
	if err != nil {
		return plan, fmt.Errorf("replay to %s: %w", s.Name, err)
	}
	h.Rate = cmp.Or(ask.Rate, DefaultReplayRate())
	plan.HistoryReplay = h
	plan.Estimate, err = t.EstimateReplay(ctx, d.o.JetStream, s, h)
	return plan, err
}

// maxTypesNamed bounds the types that somebody is told who has asked for another.
const maxTypesNamed = 5

// aboutType says what may be wrong with the type of which there is no event; "" if none was asked for.
func (d *Direct) aboutType(ctx context.Context, s mesh.Subscriber, eventType string) string {
	if eventType == "" {
		return ""
	}
	text := fmt.Sprintf("; type %q is the type of an event", eventType)
	types, media, err := mesh.LatestKinds(ctx, d.o.JetStream, s.Stream)
	if err != nil {
		return text // it is only a hint
	}
	if slices.Contains(media, eventType) && !slices.Contains(types, eventType) {
		text += fmt.Sprintf(", and %q is a media type", eventType)
	}
	if len(types) > 0 && !slices.Contains(types, eventType) {
		text += "; the latest events are of " + strings.Join(types[:min(len(types), maxTypesNamed)], ", ")
	}
	return text
}

// Replays are those that have not come to their end, to one subscriber or, if that is "", to all in the order of streams.json.
func (d *Direct) Replays(ctx context.Context, subscriber string) ([]mesh.RunningReplay, error) {
	t := d.o.Topology()
	if subscriber != "" {
		s, err := subscriberOf(t, subscriber)
		if err != nil {
			return nil, err
		}
		return mesh.Replays(ctx, d.o.JetStream, s)
	}
	running := []mesh.RunningReplay{}
	for _, s := range t.Subscribers {
		some, err := mesh.Replays(ctx, d.o.JetStream, s)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue // not applied yet
		}
		if err != nil {
			return nil, err
		}
		running = append(running, some...)
	}
	return running, nil
}

// CancelReplay ends a replay before its end, and returns how far it was. What the workers have in hand may still arrive. It fails with
// ErrNotFound if it does not run.
func (d *Direct) CancelReplay(ctx context.Context, by By, subscriber, id string) (mesh.RunningReplay, error) {
	if err := by.check(); err != nil {
		return mesh.RunningReplay{}, err
	}
	t := d.o.Topology()
	s, err := subscriberOf(t, subscriber)
	if err != nil {
		return mesh.RunningReplay{}, err
	}
	running, err := mesh.Replays(ctx, d.o.JetStream, s)
	if err != nil {
		return mesh.RunningReplay{}, err
	}
	i := slices.IndexFunc(running, func(r mesh.RunningReplay) bool { return r.ID == id })
	if i < 0 {
		return mesh.RunningReplay{}, NotFound(fmt.Sprintf("no replay %s to %s is running; genmesh replay list shows those that are", id, s.Name))
	}
	r := running[i]
	if err := mesh.EndReplay(ctx, d.o.JetStream, s, id); err != nil {
		return r, err
	}
	d.ledger(t, by, mesh.Audit{
		Action: ActionReplayCancel, Subscriber: s.Name, About: "replay " + id, Count: int(r.Events), Done: int(r.Events - min(r.Left, r.Events)),
	}).doneOrLogged(ctx)
	return r, nil
}
