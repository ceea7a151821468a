package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// MaxPause bounds a pause that has an end.
const MaxPause = 365 * 24 * time.Hour

// halfway is what a record says of a change that failed: a part of it may have been made.
const halfway = "it failed, and may have been done in part"

// Pause keeps everything from a subscriber for a length of time, or where that is 0 until Resume. A reason is needed, for those who see that
// it is paused.
func (d *Direct) Pause(ctx context.Context, by By, subscriber string, length mesh.Duration) (PauseResult, error) {
	if err := by.checkGiven("those who see that it is paused"); err != nil {
		return PauseResult{}, err
	}
	if length < 0 || time.Duration(length) > MaxPause {
		return PauseResult{}, Invalid(fmt.Sprintf("a pause of %s: it lasts up to %dd", length, MaxPause/(24*time.Hour)))
	}
	t := d.o.Topology()
	s, err := subscriberOf(t, subscriber)
	if err != nil {
		return PauseResult{}, err
	}
	pause := mesh.Pause{Since: time.Now().UTC(), Reason: by.Reason, By: by.Who.String()}
	about := "until it is resumed"
	if length > 0 {
		pause.Until = pause.Since.Add(time.Duration(length))
		about = "for " + length.String()
	}
	l := d.ledger(t, by, mesh.Audit{Action: ActionPause, Subscriber: s.Name, About: about})
	if err := mesh.PauseSubscriber(ctx, d.o.JetStream, t, s, pause); err != nil {
		return PauseResult{Trail: l.incomplete(ctx, halfway)}, fmt.Errorf("pause %s: %w", s.Name, err)
	}
	trail := l.done(ctx)
	return d.pauseResult(ctx, t, s, time.Duration(length), trail)
}

// Resume ends a pause: also what the server alone was told. A subscriber that is not paused stays as it is.
func (d *Direct) Resume(ctx context.Context, by By, subscriber string) (PauseResult, error) {
	if err := by.check(); err != nil {
		return PauseResult{}, err
	}
	t := d.o.Topology()
	s, err := subscriberOf(t, subscriber)
	if err != nil {
		return PauseResult{}, err
	}
	l := d.ledger(t, by, mesh.Audit{Action: ActionResume, Subscriber: s.Name})
	if err := mesh.ResumeSubscriber(ctx, d.o.JetStream, t, s); err != nil {
		return PauseResult{Trail: l.incomplete(ctx, halfway)}, fmt.Errorf("resume %s: %w", s.Name, err)
	}
	trail := l.done(ctx)
	result, err := d.pauseResult(ctx, t, s, 0, trail)
	if s.PauseUntil != nil && s.PauseUntil.After(time.Now()) {
		result.Warning = fmt.Sprintf("pause_until in streams.json is %s: the next apply pauses it again", s.PauseUntil.Local().Format(time.DateTime))
	}
	return result, err
}

// subscriberOf fails with ErrNotFound if streams.json has no subscriber of that name.
func subscriberOf(t *mesh.Topology, name string) (mesh.Subscriber, error) {
	var names []string
	for _, s := range t.Subscribers {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		return mesh.Subscriber{}, NotFound(fmt.Sprintf("there is no subscriber %q: streams.json has none", name))
	}
	return mesh.Subscriber{}, NotFound(fmt.Sprintf("there is no subscriber %q in streams.json; there are %s", name, strings.Join(names, ", ")))
}

func (d *Direct) pauseResult(ctx context.Context, t *mesh.Topology, s mesh.Subscriber, length time.Duration, trail Trail) (PauseResult, error) {
	result := PauseResult{Trail: trail}
	states, err := mesh.SubscriberStates(ctx, d.o.JetStream, t, s.Name)
	if err != nil {
		return result, err
	}
	result.SubscriberState = states[0] // its name is in streams.json
	perSecond, over, err := mesh.Arrivals(ctx, d.o.JetStream, s)
	if err != nil {
		return result, err
	}
	result.CatchUp = estimate(result.Waiting+result.InHand, perSecond, s.RateLimit, length)
	result.CatchUp.MeasuredOver = mesh.Duration(over.Round(time.Second))
	result.CatchUp.MaxInFlight = s.MaxInFlight
	for _, stream := range t.Streams {
		if stream.Name == s.Stream {
			result.MaxAge = mesh.Duration(stream.MaxAge)
		}
	}
	return result, nil
}

// estimate tells by the rate of arrivals what a backlog comes to after a pause of that length.
func estimate(unsettled uint64, perSecond float64, limit mesh.Rate, length time.Duration) CatchUp {
	c := CatchUp{Arrivals: perSecond, RateLimit: limit, Backlog: unsettled + uint64(perSecond*length.Seconds())}
	out := limit.PerSecond()
	switch {
	case out == 0 || c.Backlog == 0:
	case out <= perSecond:
		c.Never = true
	default:
		seconds := min(float64(c.Backlog)/(out-perSecond), (100 * MaxPause).Seconds())
		c.Takes = mesh.Duration(time.Duration(seconds * float64(time.Second)).Round(time.Millisecond))
	}
	return c
}
