package workers

import (
	"maps"
	"slices"
)

// How often an event was tried, over hand-overs.
//
// The server counts deliveries and not attempts, and it can't tell a process that died with an event, and may have
// tried it, from one that gave it back untried. So a process that lets a consumer go leaves in its claim what it
// knows of each event that it gave back, and whoever serves the consumer next goes on from there. A delivery that ended
// without a word, as in a crash, is lost: it counts for itself, so that an event that kills its process comes to an end.
// A consumer that is shared by all processes has no claim: there every delivery that did not settle its event is lost.

// progress is how far an event had come when it was given back.
type progress struct {
	Attempts  int    `json:"a,omitempty"`
	Lost      int    `json:"l,omitempty"`
	Delivered uint64 `json:"d"` // how often, at that time
}

// handover is what a process leaves to the next one that serves a consumer.
type handover struct {
	// Created is when the consumer was made, in Unix nanoseconds: one that was made anew counts from one again, and so
	// may its stream.
	Created int64 `json:"created"`
	// Events are those that were given back, by stream sequence.
	Events map[uint64]progress `json:"events,omitempty"`
}

// of is the handover if it is of that consumer, or else an empty one.
func (h handover) of(u *unit) handover {
	if created := u.created.UnixNano(); h.Created != created {
		return handover{Created: created}
	}
	return h
}

const (
	// crashes is how many deliveries may be lost beyond the attempts that an event has: then it is not tried any more.
	crashes = 3
	// maxHandover bounds what a claim holds: max_ack_pending is not above it.
	maxHandover = 10_000
)

// comes says how far an event has come that is delivered for the n-th time; the caller holds the runner's lock.
func (b *binding) comes(sequence, n uint64) progress {
	p, ok := b.known[sequence]
	delete(b.known, sequence)
	if !ok {
		return progress{Lost: int(n) - 1, Delivered: n}
	}
	if n > p.Delivered { // a server that was killed may count less than it had
		p.Lost += int(n-p.Delivered) - 1
	}
	p.Delivered = n
	return p
}

// givesBack notes how far an event has come that is given back; the caller holds the runner's lock.
func (b *binding) givesBack(d *delivery) {
	if b.shared {
		return
	}
	p := d.before
	p.Attempts += d.attempts
	if meta, err := d.msg.Metadata(); err == nil {
		p.Delivered = meta.NumDelivered
	}
	b.returned[d.event.Sequence] = p
}

// handover is what whoever serves the consumer next has to know: of what came here and was given back, and what was known
// of events that did not come here.
func (b *binding) handover() handover {
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	all := maps.Clone(b.returned)
	for sequence, p := range b.known {
		if _, newer := all[sequence]; !newer {
			all[sequence] = p
		}
	}
	if len(all) > maxHandover {
		sequences := slices.Sorted(maps.Keys(all))
		for _, sequence := range sequences[:len(all)-maxHandover] {
			delete(all, sequence)
		}
	}
	return handover{b.created, all}
}

// handed is what is known of a consumer's events that is to be claimed; the caller holds the crew's lock. What this process let go
// without a word, because it could not be heard, counts if nobody has had the consumer since.
func (c *Crew) handed(u *unit) handover {
	claim := c.claims[u.key()]
	if own := u.own; own != nil && claim.owner == c.id {
		return own.of(u)
	}
	return claim.handover.of(u)
}
