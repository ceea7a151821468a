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
	event mesh.Event
	// msg is the newest delivery of the event; guarded by Runner.mu.
	msg       jetstream.Msg
	delivered uint64 // deliveries when it came here, that one included
	alive     time.Time
	// attempts and first are of this process.
	attempts int
	first    time.Time
}

// place identifies an event. Stream and sequence alone would not: a stream that was deleted and
// made again counts from one.
type place struct {
	stream   string
	sequence uint64
	stored   int64 // Unix nanoseconds
}

func (d *delivery) place() place {
	return place{d.event.Stream, d.event.Sequence, d.event.Stored.UnixNano()}
}

// lane is the events of one interaction, in stored order. One goroutine serves it while it is
// not empty, so that a waiting retry keeps the later ones behind it and nobody else.
type lane struct {
	key   string
	queue []*delivery
	// returned is the delay that the head was given back with: those behind it follow it.
	returned *time.Duration
}

// take receives a message from the subscription. It must not block: what it may be handed is
// bounded by max_ack_pending.
func (r *Runner) take(msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		r.log.WithError(err).WithField("subject", msg.Subject()).Error("a message without JetStream metadata is ignored")
		return
	}
	at := place{meta.Stream, meta.Sequence.Stream, meta.Timestamp.UnixNano()}
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.held[at]; d != nil {
		// The server lost sight of it and sent it again: it is in hand already.
		d.msg, d.alive = msg, time.Now()
		return
	}
	if meta.NumDelivered > 1 && r.finished.has(at) { // the first delivery is never a lost acknowledgement
		r.settled(msg.Ack()) // our first acknowledgement was lost
		return
	}
	event, err := mesh.ParseStored(msg)
	d := &delivery{event: event, msg: msg, delivered: meta.NumDelivered, alive: time.Now()}
	r.held[at] = d
	r.metrics.held.Inc()
	if err != nil {
		r.lanesRun.Go(func() { r.refuseUnreadable(d, err) })
		return
	}
	r.enqueue(d)
}

// enqueue puts d at the end of its lane; the caller holds the lock.
func (r *Runner) enqueue(d *delivery) {
	key := laneKey(d.event)
	l := r.lanes[key]
	if l != nil {
		l.queue = append(l.queue, d)
		return
	}
	l = &lane{key: key, queue: []*delivery{d}}
	r.lanes[key] = l
	r.lanesRun.Go(func() { r.runLane(l) })
}

// laneKey is what orders an event: its interaction, or nothing but itself if it has none.
func laneKey(e mesh.Event) string {
	if e.Interaction == "" {
		return e.Stream + "\x00\x00" + strconv.FormatUint(e.Sequence, 10)
	}
	return e.Source + "\x00" + e.Interaction
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

		if l.returned == nil {
			l.returned = r.deliver(d)
		} else {
			r.giveBack(d, *l.returned)
		}
	}
}

// letGo forgets a delivery whose fate is settled at the server.
func (r *Runner) letGo(d *delivery, isFinished bool) jetstream.Msg {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, d.place())
	if isFinished {
		r.finished.add(d.place())
		r.lastAck[d.event.Stream] = d.msg.Reply()
	}
	r.metrics.held.Dec()
	return d.msg
}

// acknowledge, terminate and giveBack are the three ends of a delivery.

func (r *Runner) acknowledge(d *delivery) {
	r.settled(r.letGo(d, true).Ack())
	r.tidy(d)
}

func (r *Runner) terminate(d *delivery, reason mesh.DeadReason) {
	r.settled(r.letGo(d, true).TermWithReason("genmesh: dead letter, " + string(reason)))
	r.tidy(d)
}

// tidy deletes a replay that came to its end, so that replays don't fill the dead-letter stream.
// One that stays, because NATS is away, goes with the stream's max_age.
func (r *Runner) tidy(d *delivery) {
	if r.ReplayStream == "" || d.event.Stream != r.ReplayStream {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.working), apiTimeout)
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
// would come back at once.
func (r *Runner) giveBack(d *delivery, delay time.Duration) {
	r.settled(r.letGo(d, false).NakWithDelay(max(delay, minNakDelay)))
}

const minNakDelay = 100 * time.Millisecond

// settled notes that the server could not be told an event's fate. It will deliver the event
// again, and then it is told.
func (r *Runner) settled(err error) {
	if err != nil {
		r.log.WithError(err).Debug("an acknowledgement did not reach the server")
	}
}

// keepAlive tells the server of everything held, well before its ack_wait ends: that runs from
// the moment of sending, so an event that only waits its turn would be sent again.
func (r *Runner) keepAlive() {
	every := max(time.Duration(r.Subscriber.AckWait)/3, minKeepAlive)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			for _, msg := range r.stale(now, every/2) {
				r.settled(msg.InProgress())
			}
		case <-r.working.Done():
			return
		}
	}
}

const minKeepAlive = 50 * time.Millisecond

// stale lists the messages that the server has not heard of for the given age.
func (r *Runner) stale(now time.Time, age time.Duration) []jetstream.Msg {
	r.mu.Lock()
	defer r.mu.Unlock()
	var messages []jetstream.Msg
	for _, d := range r.held {
		if now.Sub(d.alive) >= age {
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
