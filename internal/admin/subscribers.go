package admin

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// Subscribers are those of the names, or without names all, in the order of streams.json. It fails with ErrNotFound if there is none of one of
// the names.
func (d *Direct) Subscribers(ctx context.Context, names ...string) ([]Subscriber, error) {
	t := d.o.Topology()
	for _, name := range names {
		if _, err := subscriberOf(t, name); err != nil {
			return nil, err
		}
	}
	surveyed, err := t.SurveySubscribers(ctx, d.o.JetStream, names...)
	if err != nil {
		return nil, err
	}
	return describeSubscribers(t, surveyed, d.flows(), time.Now()), nil
}

func describeSubscribers(t *mesh.Topology, surveyed []mesh.SurveyedSubscriber, flows live.Snapshot, now time.Time) []Subscriber {
	subscribers := []Subscriber{}
	for _, read := range surveyed {
		at := slices.IndexFunc(t.Subscribers, func(s mesh.Subscriber) bool { return s.Name == read.Name })
		wanted := t.Subscribers[at] // it was read for that
		s := plannedSubscriber(wanted)
		s.SubscriberState, s.DeadLetters = read.SubscriberState, read.DeadLetters
		s.Flow = flowOf(flows.Subscribers, s.Name)
		s.Health, s.Why = subscriberHealth(now, wanted, s, read.Err)
		subscribers = append(subscribers, s)
	}
	return subscribers
}

// plannedSubscriber is a subscriber of which only streams.json tells.
func plannedSubscriber(s mesh.Subscriber) Subscriber {
	target, kind := shownTarget(s.Target)
	return Subscriber{
		SubscriberState: mesh.SubscriberState{
			Name: s.Name, Stream: s.Stream, Order: s.Order, Partitions: max(s.Partitions, 1),
			Consumers: []mesh.ConsumerState{}, Replays: []mesh.RunningReplay{},
		},
		Description: s.Description, Target: target, Kind: kind,
	}
}

// servedByCode is the kind of a subscriber that has no target.
const servedByCode = "code"

// shownTarget is where events go, without what may be a secret there, and by which kind of target.
func shownTarget(target *mesh.Target) (shown, kind string) {
	if target == nil {
		return "", servedByCode
	}
	u, err := url.Parse(target.URL)
	if err != nil {
		return "", "unknown" // streams.json was checked
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String(), cmp.Or(u.Scheme, "unknown")
}
