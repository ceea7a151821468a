package workers

import (
	"context"
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
	msg       jetstream.Msg
	delivered uint64 // deliveries when it came here, that one included
	alive     time.Time
	// began is when it came here; waited how long of its time since it was kept from its target.
	began  time.Time
	waited time.Duration
	// attempts and first are of this process; probed is how often it tried for an open breaker, in vain.
	attempts int
	probed   int
	first    time.Time
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
	// returned is who gave the head back: those behind it that are its own follow it.
	returned *binding
	delay    time.Duration
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
	b.inSequence(meta.Sequence.Consumer)
	if d := r.held[at]; d != nil {
		// The server lost sight of it and sent it again: it is in hand already.
		d.msg, d.alive = msg, time.Now()
		return
	}
	if meta.NumDelivered > 1 && r.finished.has(at) { // the first delivery is never a lost acknowledgement
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
	d := &delivery{b: b, event: event, msg: msg, delivered: meta.NumDelivered, alive: now, began: now}
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

// laneKey is what orders an event: its interaction, or nothing but itself if it has none or no order
// is asked for. A replay of the history has an order of its own: live events don't wait for it.
func (r *Runner) laneKey(d *delivery) string {
	e := d.event
	if e.Interaction == "" || r.Subscriber.Order == mesh.OrderNone {
		return d.b.durable + "\x00\x00" + strconv.FormatUint(e.Sequence, 10)
	}
	key := e.Source + "\x00" + e.Interaction
	if d.b.history != nil {
		key += "\x00" + d.b.durable
	}
	return key
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
		r.mu.Unlock()

		if l.returned == d.b {
			r.giveBack(d, l.delay)
			continue
		}
		if delay, given := r.deliver(d); given {
			l.returned, l.delay = d.b, delay
		}
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
		r.finished.add(d.place())
		d.b.lastAck = d.msg.Reply()
	}
	r.metrics.held.Dec()
	return d.msg
}

// acknowledge, terminate and giveBack are the three ends of a delivery.

func (r *Runner) acknowledge(d *delivery) {
	r.settled(r.letGo(d, true).Ack())
	r.tidy(d)
	d.b.deliveries.Done()
}

func (r *Runner) terminate(d *delivery, reason mesh.DeadReason) {
	r.settled(r.letGo(d, true).TermWithReason("genmesh: dead letter, " + string(reason)))
	r.tidy(d)
	d.b.deliveries.Done()
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
	d.b.deliveries.Done()
}

const minNakDelay = 100 * time.Millisecond

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
	places *simplelru.LRU[place, struct{}]
}

const maxFinished = 16_384

func newFinished() *finished {
	places, err := simplelru.NewLRU[place, struct{}](maxFinished, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &finished{places}
}

func (f *finished) add(p place)      { f.places.Add(p, struct{}{}) }
func (f *finished) has(p place) bool { return f.places.Contains(p) }

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
