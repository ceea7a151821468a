package workers

import (
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// Order over crashes, hand-overs and lost messages.
//
// Whoever begins to serve a consumer may be handed new events while the server still waits for the
// acknowledgement of older ones, which an earlier process held, or which were lost on their way. It
// will deliver those again, but later, behind events of the same interactions. So a process that
// begins to serve a consumer, or finds a gap in its consumer sequence, first gathers: it takes
// events in and tries none, until it holds everything that the server waits for. Then it goes on in
// the order of storing.

const (
	gatherInterval = 25 * time.Millisecond
	// gatherPatience lets what is on its way to us arrive before it is asked for, and asked for again after four times that, and so on:
	// each time that it is delivered counts towards max_deliver.
	gatherPatience = 250 * time.Millisecond
	// maxRecalled bounds how many sequences are asked for, the oldest and the newest: where more lie between them, the ack_wait of those brings
	// them back.
	maxRecalled = 20_000
	// gatherTimes ack_wait is how long it may take before something must be wrong.
	gatherTimes = 3
)

// gather makes new deliveries wait until settle says that all is in hand. What the consumers before this one delivered
// is what it says itself, now: one that was made anew under the name of the one that was claimed may say more.
func (b *binding) gather(info *jetstream.ConsumerInfo) {
	served, _ := mesh.ServedBy(info.Config)
	b.r.mu.Lock()
	b.skip, b.next, b.stale, b.gathers = served.Skip, 0, false, !b.shared
	if created := info.Created.UnixNano(); created != b.created {
		b.created = created
		clear(b.known)
		clear(b.returned)
	}
	b.r.mu.Unlock()
	if !b.shared {
		signal(b.unsettled)
	}
}

// isStale reports whether a delivery is one of a consumer that was made anew, and delivers to the subject of the one that
// was bound: its sequence goes back. Such a delivery is dropped, and comes again once the new one is bound. The caller
// holds the runner's lock.
func (b *binding) isStale(sequence uint64) bool {
	if !b.stale && b.next != 0 && sequence < b.next {
		b.stale = true
		signal(b.remade)
	}
	return b.stale
}

// inSequence notes a delivery's consumer sequence. A gap means that one was lost on its way to us.
// The caller holds the runner's lock.
func (b *binding) inSequence(sequence uint64) {
	if !b.shared && b.next != 0 && sequence > b.next && !b.gathers {
		b.gathers = true
		b.log.WithField("missing", sequence-b.next).Debug("deliveries were lost on their way; gathering")
		signal(b.unsettled)
	}
	b.next = sequence + 1
}

// settle waits until everything that the server waits for is in hand, and lets it go its way then.
func (b *binding) settle(consumer jetstream.PushConsumer, subscription jetstream.ConsumeContext) {
	began, recallAfter := time.Now(), gatherPatience
	if b.before != nil && b.before.NumAckPending > 0 {
		b.recall(b.before, b.r.onTheirWay(b)) // what was given back comes by itself, and each time counts
		recallAfter = 4 * gatherPatience      // if something of that does not come
	}
	b.before = nil
	patience := gatherTimes * max(time.Duration(b.r.Subscriber.AckWait), time.Second)
	for b.leaving.Err() == nil {
		// Held before, asked, and nothing ended meanwhile: only so do the two numbers tell that all that
		// the server waits for is among what is held.
		held, ends := b.r.heldBy(b)
		info, err := b.info(consumer)
		_, after := b.r.heldBy(b)
		switch {
		case err != nil: // NATS is away
		case info.NumAckPending <= held && ends == after:
			b.r.release(b)
			return
		case info.Paused:
			began, recallAfter = time.Now(), gatherPatience // what was out comes when the pause ends
		case time.Since(began) > recallAfter:
			recallAfter *= 4 // what is sent again may be lost, too
			b.recall(info, b.r.sequencesOf(b))
		}
		switch {
		case err != nil || info.Paused:
		case time.Since(began) > patience:
			b.log.WithField("missing", info.NumAckPending-held).
				Warn("what the server waits for did not come; going on without, possibly out of order")
			b.r.release(b)
			return
		}
		select {
		case <-b.leaving.Done():
		case <-subscription.Closed():
			return
		case <-b.remade:
			signal(b.remade)
			return
		case <-time.After(gatherInterval):
		}
	}
}

// recall asks the server to deliver what it waits for at once, and not only after its ack_wait: it
// takes a nak for everything that may be out, and ignores those for what is not. What is in hand already, or on its way,
// is left alone. The subject's form is that of ADR-15, github.com/nats-io/nats-architecture-and-design.
func (b *binding) recall(info *jetstream.ConsumerInfo, leave map[uint64]bool) {
	first, last := info.AckFloor.Stream+1, info.Delivered.Stream
	for sequence := first; sequence <= last; sequence++ {
		if last-first >= maxRecalled && sequence == first+maxRecalled/2 {
			sequence = last - maxRecalled/2
			continue
		}
		if leave[sequence] {
			continue
		}
		subject := fmt.Sprintf("$JS.ACK.%s.%s.1.%d.%d.0.0", b.stream, b.durable, sequence, info.Delivered.Consumer)
		b.r.settled(b.r.JetStream.Conn().Publish(subject, []byte("-NAK")))
	}
}

// heldBy counts what is in hand of a consumer, and what came to its end so far.
func (r *Runner) heldBy(b *binding) (held, ends int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return b.held, b.ends
}

func (r *Runner) sequencesOf(b *binding) map[uint64]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	sequences := make(map[uint64]bool, b.held)
	for at, d := range r.held {
		if d.b == b {
			sequences[at.sequence] = true
		}
	}
	return sequences
}

// onTheirWay are those in hand, and those that were given back by whoever had the consumer before.
func (r *Runner) onTheirWay(b *binding) map[uint64]bool {
	sequences := r.sequencesOf(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	for sequence := range b.known {
		sequences[sequence] = true
	}
	return sequences
}

// release lets what was gathered go its way, in the order of storing.
func (r *Runner) release(b *binding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(b.waiting, func(x, y *delivery) int {
		switch {
		case x.event.Sequence < y.event.Sequence:
			return -1
		case x.event.Sequence > y.event.Sequence:
			return 1
		}
		return 0
	})
	for _, d := range b.waiting {
		r.enqueue(d)
	}
	b.waiting, b.gathers = nil, false
}

// dropGathered gives back what was gathered and never went its way, because the consumer is left.
func (r *Runner) dropGathered(b *binding) {
	r.mu.Lock()
	waiting := b.waiting
	b.waiting = nil
	r.mu.Unlock()
	for _, d := range waiting {
		r.giveBack(d, 0)
		b.deliveries.Done()
	}
}
