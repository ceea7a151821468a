package workers

import (
	"errors"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
)

// ending is how this process is done with an event.
type ending struct {
	// outcome is "" for an event that is given back, because its consumer is left.
	outcome mesh.Outcome
	delay   time.Duration // of what is given back
	passed  string        // why an event was passed by
	reason  mesh.DeadReason
	cause   error // of a dead letter
}

func givenBack(delay time.Duration) ending { return ending{delay: delay} }

func deadFor(reason mesh.DeadReason, cause error) ending {
	return ending{outcome: mesh.OutcomeDead, reason: reason, cause: cause}
}

// deliver brings one event to its end: acknowledged, a dead letter, or given back because the
// consumer is left. For the latter it returns true.
func (r *Runner) deliver(d *delivery) (returned bool) {
	// Thousands may wait in bring: what else needs the stack is called after it.
	switch end := r.bring(d); end.outcome {
	case mesh.OutcomeDelivered:
		r.metrics.outcome(outcomeDelivered)
		r.record(d, mesh.OutcomeDelivered, "")
		r.acknowledge(d)
		return false
	case mesh.OutcomePassed:
		r.metrics.outcome(outcomePassed)
		r.record(d, mesh.OutcomePassed, end.passed)
		r.acknowledge(d)
		return false
	case mesh.OutcomeDead:
		return r.bury(d, end.reason, end.cause)
	default:
		return r.back(d, end.delay)
	}
}

// bring shapes the event and hands it to the target until its fate is known.
func (r *Runner) bring(d *delivery) ending {
	if r.isLeftForBurial(d) || !d.b.shared && d.before.Lost >= r.Subscriber.MaxAttempts+crashes {
		return deadFor(mesh.DeadAbandoned, errAbandoned)
	}
	if r.Shape == nil {
		return r.try(d, &d.event)
	}
	event, why, err := r.shape(d)
	switch {
	case d.b.working.Err() != nil || err != nil && d.b.leaving.Err() != nil:
		return givenBack(0)
	case err != nil:
		return deadFor(mesh.DeadShape, err)
	case event == nil:
		return ending{outcome: mesh.OutcomePassed, passed: why}
	}
	return r.try(d, event)
}

// shape makes of the event what the subscriber gets; nil, and why, for what it does not get. An error that
// a retry may cure, as when the machine was too busy for the time that a step has, counts as an attempt.
func (r *Runner) shape(d *delivery) (event *mesh.Event, why string, err error) {
	for {
		shaped, gets, why, err := r.Shape.Shape(d.b.working, d.event)
		fate, _ := FateOf(err)
		switch {
		case err == nil && gets:
			return &shaped, "", nil
		case fate != Retry || d.b.working.Err() != nil:
			return nil, why, err
		}
		if d.attempts++; r.spent(d) >= r.Subscriber.MaxAttempts {
			return nil, "", err
		}
		if !sleep(d.b.leaving, delayBefore(r.Subscriber.Backoff, r.spent(d))) {
			return nil, "", err
		}
	}
}

// try hands the event to the target until its fate is known.
func (r *Runner) try(d *delivery, event *mesh.Event) ending {
	for {
		probes, ok := r.turn(d)
		if !ok {
			return givenBack(0)
		}
		began := time.Now()
		err := r.attempt(d, event)
		fate, after := FateOf(err)
		suspect, alone := r.suspects(d, err)
		if suspect {
			fate = Retry
		}
		isCut := err != nil && (d.b.working.Err() != nil || errors.Is(err, errLeaseLost))
		if !isCut && fate == Wait && !alone {
			r.shut(after, err) // before the slot is another's
		}
		counts := isCut || fate != Retry || r.turnstile.breaker.failed(probes, err)
		r.turnstile.leave(d.b.history != nil)
		if isCut {
			r.turnstile.breaker.gaveUp(probes)
			if errors.Is(err, errLeaseLost) {
				d.b.fence(wasSilent) // what is behind it must not overtake
			}
			return givenBack(0)
		}
		r.metrics.noteAttempt(&d.event, fate, err)
		r.keepAttempt(d, began, fate, counts, err)
		switch fate {
		case Done:
			r.answered(began)
			return ending{outcome: mesh.OutcomeDelivered}
		case Refuse:
			r.answered(began)
			r.metrics.outcome(outcomeRejected)
			return deadFor(mesh.DeadRejected, err)
		case Wait:
			r.turnstile.breaker.gaveUp(probes)
			r.metrics.outcome(outcomeWaits)
			d.attempts--
			if alone && !sleep(d.b.leaving, delayBefore(r.Subscriber.Backoff, d.refusals)) {
				return givenBack(0)
			}
		case Retry:
			r.metrics.outcome(outcomeFailed)
			if !counts {
				d.attempts--
				d.probed++
				continue // the breaker says when to try again, and who
			}
			if r.spent(d) >= r.Subscriber.MaxAttempts {
				return deadFor(mesh.DeadExhausted, err)
			}
			delay := delayBefore(r.Subscriber.Backoff, r.spent(d))
			r.warnOfRetry(d, err, delay)
			r.noteNext(d, delay)
			if !sleep(d.b.leaving, delay) {
				return givenBack(delay)
			}
		}
	}
}

// answered notes that the target is well enough to judge an event, in a call that began then.
func (r *Runner) answered(began time.Time) {
	r.turnstile.taken(began)
	r.turnstile.breaker.answered()
	r.metrics.waiting.Set(0)
	if r.standing.endWait() {
		r.log.Info("the target answers again: the subscriber goes on")
	}
}

// enoughProofs is how often it must be seen that an event alone is refused before that is believed without another event to compare with:
// one that nothing follows must come to an end, too.
const enoughProofs = 2

// suspects looks at an error that would meet every event alike. It is the event's own fault if the target has answered a call
// for another one since, that began after it was refused; and if the target has done so just now, only this event waits, to
// find that out. The event gives way to the others.
func (r *Runner) suspects(d *delivery, err error) (itself, alone bool) {
	if !isUnusable(err) {
		return false, false
	}
	others, lately := r.turnstile.tookSince(d.refused)
	if d.refusals > 0 && others {
		d.proofs++
	}
	itself = d.refusals > 0 && others || d.proofs >= enoughProofs
	d.refusals++
	d.probed++
	d.refused = time.Now()
	return itself, lately
}

func (r *Runner) warnOfRetry(d *delivery, err error, delay time.Duration) {
	r.explain(d, err).WithField("retry_in", delay.String()).Warn("the target failed; the event is tried again")
}

func (r *Runner) back(d *delivery, delay time.Duration) (returned bool) {
	r.metrics.outcome(outcomeReturned)
	r.giveBack(d, delay)
	return true
}

// turn waits until the event may be tried; false means that its consumer is left.
func (r *Runner) turn(d *delivery) (probes, ok bool) {
	began := time.Now()
	// Who has tried in vain while the breaker was open gives way to the others: it may be the event's own fault.
	at := turn{age: d.event.Sequence + uint64(d.probed)<<48, replay: d.b.history != nil, rate: d.b.limiter}
	probes, ok = r.turnstile.enter(d.b.leaving, d.b.starting, at)
	d.waited += time.Since(began)
	if ok && !d.b.mayAct() { // this process may have been frozen while it waited
		r.turnstile.leave(d.b.history != nil)
		r.turnstile.breaker.gaveUp(probes)
		d.b.fence(wasSilent)
		return false, false
	}
	return probes, ok
}

// attempt hands the event to the target once. The caller frees the slot that turn took, once it knows what that means for the others.
func (r *Runner) attempt(d *delivery, event *mesh.Event) error {
	started := time.Now()
	if d.first.IsZero() {
		d.first = started
	}
	d.attempts++
	ctx := WithLease(withPace(d.b.working, r.turnstile.noteLimit), d.b.mayAct)
	own := *event
	own.Attempt = r.spent(d)
	ctx, traced := r.tracing.attempt(ctx, d, &own)
	err := call(ctx, r.Handler, own)
	traced.end(err)
	r.metrics.seconds.Observe(time.Since(started).Seconds())
	return err
}

// record keeps how a delivery ended.
func (r *Runner) record(d *delivery, outcome mesh.Outcome, reason string) {
	if r.Records == nil {
		return
	}
	at := d.event.FirstPlace()
	r.Records.Record(mesh.Delivery{
		Stream: at.Stream, Sequence: at.Sequence, Stored: at.Stored, Subscriber: r.Subscriber.Name,
		Outcome: outcome, Reason: reason, Attempts: max(r.spent(d), 0), Began: d.began, Ended: time.Now(),
		Waited: mesh.Duration(d.waited.Round(time.Millisecond)), Replay: d.b.isReplay, EachAttempt: d.each,
	}, mesh.Partition(d.event.Interaction))
}

// keepAttempt keeps an attempt for the record of the delivery, and for those who look on. An event that is taken at once needs none: the
// record itself says when.
func (r *Runner) keepAttempt(d *delivery, began time.Time, fate Fate, counts bool, err error) {
	if fate == Done && len(d.each) == 0 {
		return
	}
	attempt := mesh.Attempt{At: began.UTC(), Took: mesh.Duration(time.Since(began).Round(time.Microsecond)), Outcome: classOf(fate, err)}
	if failure, ok := errors.AsType[*Failure](err); ok {
		attempt.Status = failure.Status
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(d.each) == mesh.MaxEachAttempt {
		d.each = slices.Delete(d.each, 0, 1)
	}
	d.each, d.next = append(d.each, attempt), time.Time{}
	if d.tried = r.spent(d); fate == Wait || !counts {
		d.tried--
	}
}

func (r *Runner) noteNext(d *delivery, delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d.next = time.Now().Add(delay)
}

// spent is how many attempts the event has had: those of this process, and those that others left word of.
func (r *Runner) spent(d *delivery) int { return d.before.Attempts + d.attempts }

// errAbandoned is why an event is a dead letter that no target refused.
var errAbandoned = errors.New("it was delivered again and again and came to no end: workers died with it or gave it back")

// isLeftForBurial reports whether this is one of the last deliveries that the server allows. They are kept for the burial, so that nothing
// ends without a trace.
func (r *Runner) isLeftForBurial(d *delivery) bool {
	last := r.Subscriber.MaxDeliver - (r.Subscriber.MaxDeliver-r.Subscriber.MaxAttempts)/spareForBurial
	return d.before.Delivered > 1 && int(d.before.Delivered) >= last
}

// spareForBurial is which part of the deliveries beyond an event's attempts is left for its burial: one
// may be lost on its way, when its process or NATS ends, and the server tells of the last one only once, which may be lost, too.
const spareForBurial = 5

// shut makes the whole subscriber wait, because its target asked for air.
func (r *Runner) shut(after time.Duration, err error) {
	waits, news := r.turnstile.asksForAir(after)
	if !news {
		return
	}
	r.metrics.waiting.Set(1)
	level := logrus.DebugLevel
	if r.standing.setWait(waits, err.Error()) {
		level = logrus.WarnLevel
	}
	r.log.WithError(err).WithField("wait", waits.String()).Log(level, "the subscriber waits: its target asks for air, or can't be used")
}

// buryWait is the pause before another try when the dead-letter stream refuses.
const buryWait = time.Second

// bury makes the event a dead letter. The event is let go only after the dead letter is stored;
// while the dead-letter stream refuses, the event stays in hand, until the consumer is left and
// gives it back. For the latter it returns true.
func (r *Runner) bury(d *delivery, reason mesh.DeadReason, cause error) (returned bool) {
	letter := r.letter(d, reason, cause)
	ctx, traced := r.tracing.burial(d.b.working, &letter)
	r.metrics.noteBurial(&d.event, reason, cause)
	for refused := false; ; refused = true {
		err := r.DeadLetters.Bury(ctx, letter)
		if err == nil {
			traced.end(nil)
			break
		}
		if !refused && d.b.working.Err() == nil {
			r.metrics.faults.note(faultUnburied, &d.event, err)
			r.explain(d, err).Error("the dead letter can't be stored; the event is kept until it can")
		}
		if !sleep(d.b.working, buryWait) {
			traced.end(err)
			return r.back(d, buryWait)
		}
	}
	r.metrics.dead(reason)
	r.explain(d, cause).WithFields(logrus.Fields{
		"reason": reason, "attempts": letter.Attempts, "status": letter.Status,
	}).Error("dead letter: look at it with genmesh dead list")
	r.record(d, mesh.OutcomeDead, string(reason))
	r.terminate(d, reason)
	return false
}

func (r *Runner) letter(d *delivery, reason mesh.DeadReason, cause error) mesh.DeadLetter {
	letter := mesh.DeadLetter{
		Event:        d.event,
		Subscriber:   r.Subscriber.Name,
		Reason:       reason,
		Attempts:     r.spent(d),
		Error:        cause.Error(),
		FirstAttempt: d.first,
		LastAttempt:  time.Now(),
	}
	if d.attempts == 0 {
		letter.LastAttempt = time.Time{}
	}
	if reason == mesh.DeadAbandoned {
		letter.Attempts += d.before.Lost // as far as anybody knows
	}
	var failure *Failure
	if errors.As(cause, &failure) {
		letter.Status, letter.Answer = failure.Status, string(failure.Answer)
	}
	return letter
}

// refuseUnreadable buries a message that is no event.
func (r *Runner) refuseUnreadable(d *delivery, cause error) {
	r.bury(d, mesh.DeadUnreadable, cause)
	d.b.deliveries.Done()
}

func (r *Runner) explain(d *delivery, err error) *logrus.Entry {
	return r.log.WithError(err).WithFields(d.event.LogFields()).WithField("attempt", r.spent(d))
}
