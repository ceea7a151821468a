package workers

import (
	"maps"
	"slices"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// The bounds of what is told at once of deliveries that are under way: together they stay below what a message may have.
const (
	maxUnderWay         = 1500
	maxUnderWayAttempts = 4000
)

// UnderWay tells of the events that were first stored at these places what becomes of them here: nothing of those that this process does not
// have in hand. It tells of at most 1,500 deliveries, and one by one of at most 4,000 attempts.
func (c *Crew) UnderWay(places []mesh.Place) []mesh.UnderWay {
	asked := make(map[place]bool, len(places))
	for _, at := range places {
		asked[placeOf(at)] = true
	}
	c.mu.Lock()
	runners := slices.Collect(maps.Values(c.runners))
	c.mu.Unlock()
	var told []mesh.UnderWay
	attempts := 0
	for _, r := range runners {
		for _, u := range r.underWay(asked) {
			if len(told) == maxUnderWay {
				return told
			}
			if attempts += len(u.EachAttempt); attempts > maxUnderWayAttempts {
				u.EachAttempt = nil
			}
			told = append(told, u)
		}
	}
	return told
}

func placeOf(at mesh.Place) place {
	return place{stream: at.Stream, sequence: at.Sequence, stored: at.Stored.UnixNano()}
}

func (r *Runner) underWay(asked map[place]bool) []mesh.UnderWay {
	r.mu.Lock()
	defer r.mu.Unlock()
	var told []mesh.UnderWay
	for _, d := range r.held {
		at := d.event.FirstPlace()
		if !asked[placeOf(at)] {
			continue
		}
		u := mesh.UnderWay{
			Place: at, Subscriber: r.Subscriber.Name, Replay: d.b.isReplay,
			Attempts: max(d.tried, d.before.Attempts), Began: d.began.UTC(), EachAttempt: slices.Clone(d.each),
		}
		if d.next.After(time.Now()) {
			u.NextAttempt = d.next.UTC()
		}
		told = append(told, u)
	}
	return told
}
