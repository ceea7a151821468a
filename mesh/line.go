package mesh

import (
	"slices"
	"sync/atomic"
	"time"
)

// line is where the events of one interaction, of one key or of one delivery stand one behind the
// other, from their admission until they are settled. An event stands in up to three lines, and it
// passes only as the head of each: so whatever becomes of the one before it, they are stored in the
// order in which they were admitted. No two lines wait for each other, for the event that was
// admitted before all others is the head of all its lines.
//
// A line belongs to the goroutine of run.
type line struct {
	id        string
	waiting   []*pending
	unsettled int       // that have passed: ready or under way
	flying    int       // that are under way
	delivery  *delivery // of the last that has passed

	// Of a key: an event waits while the first of its key is not settled, and while the same event
	// is. So no two of them race for one id, and one batch never holds a duplicate of itself.
	first        bool
	fingerprints map[string]bool
}

// delivery is what one call brought, where that is several events.
type delivery struct {
	line line
	// failed is set once one of them could not be stored: those behind it must not be either, for
	// the sender brings all of them again.
	failed atomic.Pointer[error]
}

// failure is what stopped the delivery, or nil. Of no delivery it is nil.
func (d *delivery) failure() error {
	if d == nil {
		return nil
	}
	if err := d.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// enter gives an event its lines.
func (s *streamCommitter) enter(p *pending) {
	p.lines[0] = s.line(p.id)
	if i := p.event.Interaction; i != "" && i != p.id {
		p.lines[1] = s.line(i)
	}
	if p.delivery != nil {
		p.lines[2] = &p.delivery.line
	}
}

// line is that of a key or an interaction. Where two of different sources are named alike they share
// one, which costs a wait and nothing else.
func (s *streamCommitter) line(id string) *line {
	l := s.lines[id]
	if l == nil {
		l = &line{id: id}
		s.lines[id] = l
	}
	return l
}

// admit answers a call from memory, makes its event ready to publish, or lets it wait in line.
func (s *streamCommitter) admit(p *pending) {
	if p.ctx.Err() != nil || s.remembers(p, time.Now()) {
		return
	}
	s.enter(p)
	if s.mustWait(p) {
		for _, l := range p.lines {
			if l != nil {
				l.waiting = append(l.waiting, p)
			}
		}
		return
	}
	s.pass(p)
	s.advance(p)
}

// remembers answers an event that is known to be stored, or that its source drops. What it answers
// needs no place in line.
func (s *streamCommitter) remembers(p *pending, now time.Time) bool {
	if p.same != nil {
		s.answer(p, p.same.id, p.same.sequence, true)
		return true
	}
	if p.repeat == repeatRestore {
		return false // only the stream knows what was taken out of it
	}
	if sequence, ok := s.memory.find(p.id, p.event.Fingerprint, now); ok {
		s.metrics.remembered.WithLabelValues(s.stream).Inc()
		s.answer(p, s.idOf(p), sequence, true)
		return true
	}
	sequence, ok := s.memory.first(p.id, now)
	if !ok || p.repeat != RepeatDrop {
		return false
	}
	s.metrics.repeats.WithLabelValues(s.stream, string(RepeatDrop)).Inc()
	s.answer(p, p.id, sequence, true)
	return true
}

// mustWait reports whether something stands before an event that its storing has to wait for. In
// batches, which go out one after another, it may follow what is not settled yet; single publishes
// overtake each other, so there it may not, but for a delivery that goes out as one.
func (s *streamCommitter) mustWait(p *pending) bool {
	for _, l := range p.lines {
		if l == nil {
			continue
		}
		if len(l.waiting) > 0 && l.waiting[0] != p {
			return true
		}
		if l.unsettled > 0 && !s.facts.atomic && !s.goesWith(p, l) {
			return true
		}
	}
	key := p.key()
	return key.first || key.fingerprints[p.event.Fingerprint]
}

// goesWith reports whether an event will go out in one batch with all that has passed in a line.
func (s *streamCommitter) goesWith(p *pending, l *line) bool {
	return s.facts.batches && p.delivery != nil && p.delivery == l.delivery && l.flying == 0
}

// pass makes an event ready that nothing stands before, unless it has become known meanwhile or
// nobody waits for it any more.
func (s *streamCommitter) pass(p *pending) {
	if err := p.givenUp(); err != nil {
		p.outcome <- outcome{err: err}
		return
	}
	now := time.Now()
	if s.remembers(p, now) {
		return
	}
	pub := &publication{pending: p, id: p.id, asked: now}
	key := p.key()
	if _, ok := s.memory.first(p.id, now); !ok || p.repeat == repeatRestore {
		pub.first, key.first = true, true
	} else {
		pub.id = repeatID(p.id, p.event.Fingerprint)
	}
	if key.fingerprints == nil {
		key.fingerprints = make(map[string]bool, 1)
	}
	key.fingerprints[p.event.Fingerprint] = true
	for _, l := range p.lines {
		if l != nil {
			l.unsettled++
			l.delivery = p.delivery
		}
	}
	s.ready = append(s.ready, pub)
}

// mayFly reports whether nothing is under way that a publication must come after.
func (pub *publication) mayFly() bool {
	return !slices.ContainsFunc(pub.pending.lines[:], func(l *line) bool { return l != nil && l.flying > 0 })
}

// takeOff counts a publication that goes under way.
func (pub *publication) takeOff() {
	pub.flies = true
	for _, l := range pub.pending.lines {
		if l != nil {
			l.flying++
		}
	}
}

// leave takes a settled event out of its lines and lets those pass that waited for it.
func (s *streamCommitter) leave(pub *publication) {
	p := pub.pending
	key := p.key()
	delete(key.fingerprints, p.event.Fingerprint)
	if pub.first {
		key.first = false
	}
	for _, l := range p.lines {
		if l == nil {
			continue
		}
		l.unsettled--
		if pub.flies {
			l.flying--
		}
	}
	s.advance(p)
}

// advance lets those pass that p stood before and, as each leaves the waiting, those behind it. A
// delivery comes first, so that it goes out as one.
func (s *streamCommitter) advance(p *pending) {
	open := append(make([]*line, 0, 2*len(p.lines)), p.lines[:]...)
	for len(open) > 0 {
		l := open[len(open)-1]
		next := s.next(l)
		if next == nil {
			s.forget(l)
			open = open[:len(open)-1]
			continue
		}
		for _, of := range next.lines {
			if of != nil {
				of.waiting[0] = nil
				of.waiting = of.waiting[1:]
			}
		}
		s.pass(next)
		open = append(open, next.lines[:]...)
	}
}

// next is the head of a line, if it may pass.
func (s *streamCommitter) next(l *line) *pending {
	if l == nil || len(l.waiting) == 0 || s.mustWait(l.waiting[0]) {
		return nil
	}
	return l.waiting[0]
}

// forget lets go of a line that nobody stands in.
func (s *streamCommitter) forget(l *line) {
	if l != nil && l.unsettled == 0 && len(l.waiting) == 0 && s.lines[l.id] == l {
		delete(s.lines, l.id)
	}
}
