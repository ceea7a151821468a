package workers

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// delivery is an event in this process' hands.
type delivery struct {
	b     *binding
	event mesh.Event
	// msg is the newest delivery of the event; guarded by Runner.mu.
	msg    jetstream.Msg
	before progress // when it came here, with this delivery
	alive  time.Time
	// began is when it came here; waited how long of its time since it was kept from its target.
	began  time.Time
	waited time.Duration
	// attempts and first are of this process; probed is how often it tried for an open breaker, in vain.
	attempts int
	probed   int
	// refused is when the target could not be used for it last, refusals how often so far. proofs are how often it was seen
	// that this was its own fault.
	refused  time.Time
	refusals int
	proofs   int
	first    time.Time
	told     uint64 // over which connection the server was told what became of it; 0 if it can't have been
	// each, tried and next are for those who look on, guarded by Runner.mu: the latest attempts, none while the target has refused nothing,
	// how many count so far, and when there is another one after a pause.
	each  []mesh.Attempt
	tried int
	next  time.Time
}

// place identifies an event. Stream and sequence alone would not: a stream that was deleted and
// made again counts from one.
type place struct {
	stream   string
	sequence uint64
	stored   int64 // Unix nanoseconds
	// consumer tells the copies apart that several consumers of a subscriber deliver: a live one and a
	// replay of the history.
	consumer string
}

func (d *delivery) place() place {
	return place{d.event.Stream, d.event.Sequence, d.event.Stored.UnixNano(), d.b.durable}
}

// lane is the events of one interaction, in stored order. One goroutine serves it while it is
// not empty, so that a waiting retry keeps the later ones behind it and nobody else.
type lane struct {
	key   string
	queue []*delivery
}

// take receives a message from the subscription. It must not block: what it may be handed is
// bounded by max_ack_pending.
func (b *binding) take(msg jetstream.Msg) {
	r := b.r
	meta, err := msg.Metadata()
	if err != nil {
		b.log.WithError(err).WithField("subject", msg.Subject()).Error("a message without JetStream metadata is ignored")
		return
	}
	at := place{meta.Stream, meta.Sequence.Stream, meta.Timestamp.UnixNano(), b.durable}
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.isStale(meta.Sequence.Consumer) {
		return
	}
	b.inSequence(meta.Sequence.Consumer)
	if d := r.held[at]; d != nil {
		// The server lost sight of it and sent it again: it is in hand already.
		d.msg, d.alive = msg, time.Now()
		return
	}
	if meta.NumDelivered > 1 && r.finished.has(ended{at, b.created}) { // the first delivery is never a lost acknowledgement
		r.settled(msg.Ack()) // our first acknowledgement was lost
		return
	}
	if b.skip.Has(msg.Subject(), at.sequence) {
		r.settled(msg.Ack()) // the consumer before this one delivered it
		return
	}
	event, err := mesh.ParseStored(msg)
	if b.history != nil && !(b.history.Has(event) && r.Subscriber.Matches(event.Subject)) {
		r.settled(msg.Ack()) // it is not asked for
		return
	}
	now := time.Now()
	d := &delivery{b: b, event: event, msg: msg, before: b.comes(at.sequence, meta.NumDelivered), alive: now, began: now}
	r.held[at] = d
	b.held++
	b.deliveries.Add(1)
	r.metrics.held.Inc()
	switch {
	case err != nil:
		go r.refuseUnreadable(d, err)
	case b.gathers:
		b.waiting = append(b.waiting, d)
	default:
		r.enqueue(d)
	}
}

// enqueue puts d at the end of its lane; the caller holds the lock.
func (r *Runner) enqueue(d *delivery) {
	key := r.laneKey(d)
	l := r.lanes[key]
	if l != nil {
		l.queue = append(l.queue, d)
		return
	}
	l = &lane{key: key, queue: []*delivery{d}}
	r.lanes[key] = l
	go r.runLane(l)
}

// laneKey is what orders an event: its interaction, or nothing but itself. A replay of the history has an order of its own: live
// events don't wait for it.
func (r *Runner) laneKey(d *delivery) string {
	e := d.event
	if !r.isOrdered(d) {
		return d.b.durable + "\x00\x00" + strconv.FormatUint(e.Sequence, 10)
	}
	key := e.Source + "\x00" + e.Interaction
	if d.b.history != nil {
		key += "\x00" + d.b.durable
	}
	return key
}

// isOrdered reports whether others may wait behind the event: it has an interaction, and order is asked for.
func (r *Runner) isOrdered(d *delivery) bool {
	return d.event.Interaction != "" && !d.b.shared && !(d.b.isReplay && r.Subscriber.Order == mesh.OrderNone)
}

// runLane brings the events of a lane to their ends, one after another.
func (r *Runner) runLane(l *lane) {
	for {
		r.mu.Lock()
		if len(l.queue) == 0 {
			delete(r.lanes, l.key)
			r.mu.Unlock()
			return
		}
		d := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		follows := d.b.givenBack[l.key] // one that its consumer delivered before it
		r.mu.Unlock()

		switch {
		case follows:
			r.giveBack(d, 0)
		case r.deliver(d):
			r.noteGivenBack(d.b, l.key)
		default:
			r.awaitReceipt(d)
		}
		d.b.deliveries.Done()
	}
}

// awaitReceipt waits until the server has read what became of an event, before the next one of its lane has its turn: a process that is
// killed with that on its way has delivered both, and the next one would begin with the older again. While NATS is out of
// reach the lane waits, until the lease ends.
func (r *Runner) awaitReceipt(d *delivery) {
	for r.isOrdered(d) {
		if d.told != 0 && d.b.crew.receipts.await(d.b.working, d.told) {
			return
		}
		if !sleep(d.b.working, minNakDelay) || !d.b.mayAct() {
			return
		}
		// Said again, whatever it was: that the event is done is all that counts now.
		r.tell(d, func() error { return r.JetStream.Conn().Publish(d.msg.Reply(), []byte("+ACK")) })
	}
}

// noteGivenBack keeps what else of a consumer is in a lane, or comes to it before the consumer is left, from overtaking what was given back.
func (r *Runner) noteGivenBack(b *binding, key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b.givenBack[key] = true
}

// returnQueued gives back what of a consumer waits in lanes behind other events, once no attempt is to begin any more: an event of another
// consumer may be at its lane's head for long.
func (r *Runner) returnQueued(b *binding) {
	r.mu.Lock()
	var back []*delivery
	for _, l := range r.lanes {
		isOurs := func(d *delivery) bool { return d.b == b }
		if !slices.ContainsFunc(l.queue, isOurs) {
			continue
		}
		var others []*delivery
		for _, d := range l.queue {
			if isOurs(d) {
				back = append(back, d)
			} else {
				others = append(others, d)
			}
		}
		l.queue = others
		b.givenBack[l.key] = true
	}
	r.mu.Unlock()
	for _, d := range back {
		r.giveBack(d, 0)
		b.deliveries.Done()
	}
}

// letGo forgets a delivery whose fate is settled at the server.
func (r *Runner) letGo(d *delivery, isFinished bool) jetstream.Msg {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, d.place())
	d.b.held--
	d.b.ends++
	if isFinished {
		r.finished.add(ended{d.place(), d.b.created})
		d.b.lastAck = d.msg.Reply()
	} else {
		d.b.givesBack(d)
	}
	r.metrics.held.Dec()
	return d.msg
}

// acknowledge, terminate and giveBack are the three ends of a delivery.

func (r *Runner) acknowledge(d *delivery) {
	r.tell(d, r.letGo(d, true).Ack)
	r.tidy(d)
}

func (r *Runner) terminate(d *delivery, reason mesh.DeadReason) {
	msg := r.letGo(d, true)
	r.tell(d, func() error { return msg.TermWithReason("genmesh: dead letter, " + string(reason)) })
	r.tidy(d)
}

// tidy deletes a replay that came to its end, so that replays don't fill the dead-letter stream.
// One that stays, because NATS is away, goes with the stream's max_age.
func (r *Runner) tidy(d *delivery) {
	if r.ReplayStream == "" || d.event.Stream != r.ReplayStream {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	stream, err := r.JetStream.Stream(ctx, r.ReplayStream)
	if err == nil {
		err = stream.DeleteMsg(ctx, d.event.Sequence)
	}
	if err != nil {
		r.log.WithError(err).WithField("sequence", d.event.Sequence).Debug("a replay that is done stays in its stream")
	}
}

// giveBack returns an event to the server, which delivers it again after the delay. A plain nak
// would come back at once. Where the order is kept the delay is short: who goes on with the consumer
// has to have all that was given back before it goes on with anything. A process whose consumer may be another's
// says nothing: its word would count for the other's delivery.
func (r *Runner) giveBack(d *delivery, delay time.Duration) {
	msg := r.letGo(d, false)
	if !d.b.shared {
		delay = 0
	}
	if !d.b.isFenced() {
		r.settled(msg.NakWithDelay(max(delay, minNakDelay)))
	}
}

const minNakDelay = 100 * time.Millisecond

// tell says what became of an event, and notes over which connection if others may wait for that.
func (r *Runner) tell(d *delivery, say func() error) {
	var connection uint64
	if r.isOrdered(d) {
		connection = d.b.crew.receipts.connection()
	}
	err := say()
	if d.told = connection; err != nil {
		d.told = 0
	}
	r.settled(err)
}

// settled notes that the server could not be told an event's fate. It will deliver the event
// again, and then it is told.
func (r *Runner) settled(err error) {
	if err != nil {
		r.log.WithError(err).Debug("an acknowledgement did not reach the server")
	}
}

// stale lists the messages of a consumer that the server has not heard of for the given age.
func (r *Runner) stale(b *binding, now time.Time, age time.Duration) []jetstream.Msg {
	r.mu.Lock()
	defer r.mu.Unlock()
	var messages []jetstream.Msg
	for _, d := range r.held {
		if d.b == b && now.Sub(d.alive) >= age {
			d.alive = now
			messages = append(messages, d.msg)
		}
	}
	return messages
}

// finished remembers, bounded, the latest events that are done, so that a lost acknowledgement
// does not bring the target the same event again.
type finished struct {
	places *simplelru.LRU[ended, struct{}]
}

// ended is an event that is done, as far as one consumer goes: one that was made anew delivers it again.
type ended struct {
	place
	created int64
}

const maxFinished = 16_384

func newFinished() *finished {
	places, err := simplelru.NewLRU[ended, struct{}](maxFinished, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &finished{places}
}

func (f *finished) add(e ended)      { f.places.Add(e, struct{}{}) }
func (f *finished) has(e ended) bool { return f.places.Contains(e) }

// sleep waits; false means that ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
