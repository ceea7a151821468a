package mesh

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
)

// streamCommitter stores the events of one stream.
//
// It commits like a database: the events that arrive while a commit is under way form the next
// one. There is no timer, so an event that finds the stream idle goes out alone and at once,
// and the busier the stream the larger the batches. Its state belongs to the goroutine of run;
// only the queue and the channels are shared.
type streamCommitter struct {
	js      jetstream.JetStream
	stream  string
	log     logrus.FieldLogger
	metrics *commitMetrics

	failing atomic.Pointer[failures] // nil while events are stored
	trial   atomic.Int64             // when an event was last let through although the stream is mute, in Unix nanoseconds
	mirrors atomic.Pointer[string]   // the stream that this one copies, as far as is known; it takes no events then

	queue    chan []pending // each holds the events of one delivery
	stopped  chan struct{}
	returned chan []*publication
	learned  chan streamFacts
	doubted  chan struct{} // the facts are wanted now

	acked   uint64 // the highest sequence that the stream has told it stored
	facts   streamFacts
	asked   bool      // the server was asked for the facts, with whatever success
	inDoubt bool      // the facts were asked for because a publication got no answer
	steady  time.Time // since when one server has answered each question for the facts; zero if it did not answer the latest
	memory  *memory
	lines   map[string]*line // of interactions and keys
	ready   []*publication   // in the order in which they go out
	flying  int              // commits under way
}

// pending is one event of a call. Whoever takes it out of the queue sends one outcome, unless nobody
// waits for it any more.
type pending struct {
	ctx      context.Context
	event    Event
	handed   time.Time // to the committer
	id       string    // of the event's key
	repeat   Repeat
	outcome  chan outcome
	delivery *delivery    // nil for a single event
	lines    [3]*line     // of its key, its interaction and its delivery, where it has them
	same     *publication // the same event, known to be there since this one came; nil if there is none
}

func newPending(ctx context.Context, e Event, repeat Repeat) pending {
	return pending{ctx: ctx, event: e, handed: time.Now(), id: msgID(e.Key), repeat: repeat, outcome: make(chan outcome, 1)}
}

// key is the line of the event's key.
func (p *pending) key() *line { return p.lines[0] }

// givenUp is why the event shall not be stored any more, or nil.
func (p *pending) givenUp() error {
	if err := p.delivery.failure(); err != nil {
		return err
	}
	if p.ctx.Err() != nil {
		return fmt.Errorf("%w: given up", ErrUnavailable)
	}
	return nil
}

type outcome struct {
	receipt Receipt
	err     error
}

// streamFacts is what the server says about the stream; the zero value is safe for any.
type streamFacts struct {
	known      bool
	atomic     bool // atomic batches are the faster way
	batches    bool // the stream takes them
	replicated bool
	from       informant
	window     time.Duration
	created    time.Time
	recent     []recentEvent
}

const (
	queueLength   = 1024
	factsInterval = 5 * time.Second
	// settleTimeout bounds one commit with all its retries.
	settleTimeout = 5 * time.Second
)

func newStreamCommitter(js jetstream.JetStream, stream string, log logrus.FieldLogger, metrics *commitMetrics) *streamCommitter {
	return &streamCommitter{
		js: js, stream: stream, log: log.WithField("stream", stream), metrics: metrics,
		queue:    make(chan []pending, queueLength),
		stopped:  make(chan struct{}),
		returned: make(chan []*publication),
		learned:  make(chan streamFacts),
		doubted:  make(chan struct{}, 1),
		facts:    streamFacts{window: defaultDuplicateWindow},
		memory:   newMemory(defaultDuplicateWindow),
		lines:    make(map[string]*line),
	}
}

// commit stores the events of one delivery, in their order. It returns once all of them are, or at the
// first error.
func (s *streamCommitter) commit(ctx context.Context, events []pending) ([]Receipt, error) {
	if err := s.refusal(); err != nil {
		return nil, err
	}
	if err := s.enqueue(ctx, events); err != nil {
		return nil, err
	}
	return s.awaitAll(ctx, events)
}

// enqueue hands the events of one delivery over; they are admitted in the order of these calls.
func (s *streamCommitter) enqueue(ctx context.Context, events []pending) error {
	if len(events) > 1 {
		d := new(delivery)
		for i := range events {
			events[i].delivery = d
		}
	}
	select {
	case s.queue <- events:
		return nil
	case <-s.stopped:
		return fmt.Errorf("%w: shutting down", ErrUnavailable)
	case <-ctx.Done():
		return fmt.Errorf("%w: stream %s has no room: %w", ErrUnavailable, s.stream, ctx.Err())
	}
}

func (s *streamCommitter) awaitAll(ctx context.Context, events []pending) ([]Receipt, error) {
	receipts := make([]Receipt, len(events))
	for i := range events {
		var err error
		if receipts[i], err = s.await(ctx, &events[i]); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}

func (s *streamCommitter) await(ctx context.Context, p *pending) (Receipt, error) {
	select {
	case o := <-p.outcome:
		return o.receipt, o.err
	case <-s.stopped:
		return p.last(fmt.Errorf("%w: shutting down", ErrUnavailable))
	case <-ctx.Done():
		return p.last(fmt.Errorf("%w: stream %s did not answer in time: %w", ErrUnavailable, s.stream, ctx.Err()))
	}
}

// last is the outcome if there is one after all, and otherwise err.
func (p *pending) last(err error) (Receipt, error) {
	select {
	case o := <-p.outcome:
		return o.receipt, o.err
	default:
		return Receipt{}, err
	}
}

// run commits until ctx ends, then lets the commits under way end.
func (s *streamCommitter) run(ctx context.Context) {
	defer close(s.stopped)
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		s.watchFacts(ctx)
	}()
	for ctx.Err() == nil || s.flying > 0 {
		s.step(ctx, work)
	}
	<-watcher
}

// step takes in what there is and sends off what may go.
func (s *streamCommitter) step(ctx, work context.Context) {
	stopping, queue := ctx.Done(), s.queue
	if ctx.Err() != nil {
		if s.flying == 0 {
			return // it has ended since run asked
		}
		stopping = nil // only waiting for what flies
	}
	if !s.asked {
		queue = nil // who may go out beside whom depends on the stream
	}
	select {
	case events := <-queue:
		s.admitAll(events)
		s.admitQueued()
	case back := <-s.returned:
		s.flying--
		for i := range back {
			s.settle(back[i])
		}
		s.admitQueued()
	case f := <-s.learned:
		s.learn(f)
	case <-stopping:
		return
	}
	if ctx.Err() == nil && s.asked {
		s.launch(work)
	}
}

func (s *streamCommitter) admitQueued() {
	for range queueLength {
		select {
		case events := <-s.queue:
			s.admitAll(events)
		default:
			return
		}
	}
}

func (s *streamCommitter) admitAll(events []pending) {
	for i := range events {
		s.admit(&events[i])
	}
}

// idOf is the id that a remembered event was stored under.
func (s *streamCommitter) idOf(p *pending) string {
	if s.memory.holder(p.id) == p.event.Fingerprint {
		return p.id
	}
	return repeatID(p.id, p.event.Fingerprint)
}

func (s *streamCommitter) answer(p *pending, id string, sequence uint64, duplicate bool) {
	p.outcome <- outcome{receipt: Receipt{Stream: s.stream, Sequence: sequence, MsgID: id, Duplicate: duplicate}}
}

// settle answers the call of a publication that came back and lets those go on that waited.
func (s *streamCommitter) settle(pub *publication) {
	p := pub.pending
	if pub.err == nil && pub.duplicate {
		pub.err = s.unproven()
	}
	switch {
	case pub.err != nil:
		s.noteFailure(pub)
		p.outcome <- outcome{err: pub.err}
	default:
		s.noteSuccess()
		s.noteAcknowledged(pub.sequence)
		s.metrics.seconds.WithLabelValues(s.stream).Observe(time.Since(p.handed).Seconds())
		s.note(pub)
		s.answer(p, pub.id, pub.sequence, pub.duplicate)
	}
	s.leave(pub)
}

// note remembers what a publication told about its key.
func (s *streamCommitter) note(pub *publication) {
	p := pub.pending
	if pub.repeat {
		s.metrics.repeats.WithLabelValues(s.stream, string(p.repeat)).Inc()
	}
	if p.repeat == repeatRestore {
		p.answerThoseBehind(pub) // memory would answer for what is taken out again
		return
	}
	if pub.holder.fingerprint != "" {
		s.memory.rememberFirst(p.id, pub.holder.fingerprint, pub.holder.sequence, pub.holder.since)
	}
	if pub.holder.fingerprint != p.event.Fingerprint && !(pub.duplicate && p.repeat == RepeatDrop) {
		s.memory.remember(p.id, p.event.Fingerprint, pub.sequence, pub.asked)
	}
}

// answerThoseBehind lets the same event that waits be answered by what became of this one, which was
// seen to be in the stream after the other had come.
func (p *pending) answerThoseBehind(pub *publication) {
	for _, w := range p.key().waiting {
		if w.repeat == repeatRestore && w.id == p.id && w.event.Fingerprint == p.event.Fingerprint {
			w.same = pub
		}
	}
}

// learn takes over what the server says about the stream. A stream that was deleted and made
// again has forgotten all, and so must the memory.
func (s *streamCommitter) learn(f streamFacts) {
	s.asked = true
	s.judgeFailures(f)
	if !f.known {
		return
	}
	if !f.created.Equal(s.facts.created) {
		s.acked = 0 // it counts anew
	}
	if !f.created.Equal(s.facts.created) || f.window != s.facts.window {
		s.memory = newMemory(f.window)
	}
	for _, e := range f.recent {
		if e.first {
			s.memory.rememberFirst(e.id, e.fingerprint, e.sequence, e.stored)
		} else {
			s.memory.remember(e.id, e.fingerprint, e.sequence, e.stored)
		}
	}
	f.recent = nil
	s.facts = f
}

// noteAcknowledged tells up to where the stream can't end before, for a scrub to compare.
func (s *streamCommitter) noteAcknowledged(sequence uint64) {
	s.acked = max(s.acked, sequence)
	s.metrics.acknowledged.WithLabelValues(s.stream).Set(float64(s.acked))
}
