package workers

import (
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
)

// deliver brings one event to its end: acknowledged, a dead letter, or given back because the
// consumer is left. For the latter it returns the delay and true.
func (r *Runner) deliver(d *delivery) (time.Duration, bool) {
	if r.isLastDelivery(d) {
		// Whoever had it before died with it or gave it back. The last delivery is kept for the
		// burial, so that nothing ends without a trace.
		return r.bury(d, mesh.DeadAbandoned, errors.New("its deliveries are used up: workers died with it or gave it back"))
	}
	event, gets, why, err := r.shape(d)
	switch {
	case d.b.working.Err() != nil || err != nil && d.b.leaving.Err() != nil:
		return r.back(d, 0)
	case err != nil:
		return r.bury(d, mesh.DeadShape, err)
	case !gets:
		r.metrics.outcome(outcomePassed)
		r.record(d, mesh.OutcomePassed, why)
		r.acknowledge(d)
		return 0, false
	}
	return r.try(d, event)
}

// shape makes of the event what the subscriber gets. An error that a retry may cure, as when the
// machine was too busy for the time that a step has, counts as an attempt.
func (r *Runner) shape(d *delivery) (event mesh.Event, gets bool, why string, err error) {
	if r.Shape == nil {
		return d.event, true, "", nil
	}
	for {
		event, gets, why, err = r.Shape.Shape(d.b.working, d.event)
		if fate, _ := FateOf(err); fate != Retry || d.b.working.Err() != nil {
			return event, gets, why, err
		}
		if d.attempts++; r.spent(d) >= r.Subscriber.MaxAttempts {
			return event, gets, why, err
		}
		if !sleep(d.b.leaving, delayBefore(r.Subscriber.Backoff, d.attempts)) {
			return event, gets, why, err
		}
	}
}

// try hands the event to the target until its fate is settled.
func (r *Runner) try(d *delivery, event mesh.Event) (time.Duration, bool) {
	for {
		probes, ok := r.turn(d)
		if !ok {
			return r.back(d, 0)
		}
		err := r.attempt(d, event)
		if err != nil && (d.b.working.Err() != nil || errors.Is(err, errLeaseLost)) {
			r.turnstile.breaker.gaveUp(probes)
			if errors.Is(err, errLeaseLost) {
				d.b.fence() // what is behind it must not overtake
			}
			return r.back(d, 0)
		}
		switch fate, after := FateOf(err); fate {
		case Done:
			r.turnstile.taken()
			r.turnstile.breaker.answered()
			r.metrics.outcome(outcomeDelivered)
			r.record(d, mesh.OutcomeDelivered, "")
			r.acknowledge(d)
			return 0, false
		case Refuse:
			r.turnstile.breaker.answered()
			r.metrics.outcome(outcomeRejected)
			return r.bury(d, mesh.DeadRejected, err)
		case Wait:
			r.turnstile.breaker.gaveUp(probes)
			r.metrics.outcome(outcomeWaits)
			d.attempts--
			r.shut(after, err)
		case Retry:
			r.metrics.outcome(outcomeFailed)
			if !r.turnstile.breaker.failed(probes, err) {
				d.attempts--
				d.probed++
				continue // the breaker says when to try again, and who
			}
			if r.spent(d) >= r.Subscriber.MaxAttempts {
				return r.bury(d, mesh.DeadExhausted, err)
			}
			delay := delayBefore(r.Subscriber.Backoff, d.attempts)
			r.explain(d, err).WithField("retry_in", delay.String()).Warn("the target failed; the event is tried again")
			if !sleep(d.b.leaving, delay) {
				return r.back(d, delay)
			}
		}
	}
}

func (r *Runner) back(d *delivery, delay time.Duration) (time.Duration, bool) {
	r.metrics.outcome(outcomeReturned)
	r.giveBack(d, delay)
	return delay, true
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
		d.b.fence()
		return false, false
	}
	return probes, ok
}

// attempt hands the event to the target once, and frees the slot that turn took.
func (r *Runner) attempt(d *delivery, event mesh.Event) error {
	defer r.turnstile.leave(d.b.history != nil)
	started := time.Now()
	if d.first.IsZero() {
		d.first = started
	}
	d.attempts++
	event.Attempt = r.spent(d)
	ctx := WithLease(withPace(d.b.working, r.turnstile.noteLimit), d.b.mayAct)
	err := call(ctx, r.Handler, event)
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
		Waited: mesh.Duration(d.waited.Round(time.Millisecond)), Replay: d.b.isReplay,
	}, mesh.Partition(d.event.Interaction))
}

// spent is how many attempts the event has had: those of this process, and one for each
// delivery that ended without a word. A process that was given only a few of its deliveries
// tries at least once.
func (r *Runner) spent(d *delivery) int { return int(d.delivered) - 1 + d.attempts }

func (r *Runner) isLastDelivery(d *delivery) bool {
	return d.delivered > 1 && int(d.delivered) >= r.Subscriber.MaxDeliver
}

// shut makes the whole subscriber wait, because its target asked for air.
func (r *Runner) shut(after time.Duration, err error) {
	if waits, news := r.turnstile.asksForAir(after); news {
		r.log.WithError(err).WithField("wait", waits.String()).Warn("the subscriber waits: its target asks for air, or can't be used")
	}
}

// buryWait is the pause before another try when the dead-letter stream refuses.
const buryWait = time.Second

// bury makes the event a dead letter. The event is let go only after the dead letter is stored;
// while the dead-letter stream refuses, the event stays in hand, until the consumer is left and
// gives it back. For the latter it returns the delay and true.
func (r *Runner) bury(d *delivery, reason mesh.DeadReason, cause error) (time.Duration, bool) {
	letter := r.letter(d, reason, cause)
	for refused := false; ; refused = true {
		err := r.DeadLetters.Bury(d.b.working, letter)
		if err == nil {
			break
		}
		if !refused && d.b.working.Err() == nil {
			r.explain(d, err).Error("the dead letter can't be stored; the event is kept until it can")
		}
		if !sleep(d.b.working, buryWait) {
			return r.back(d, buryWait)
		}
	}
	r.metrics.dead(reason)
	r.explain(d, cause).WithFields(logrus.Fields{
		"reason": reason, "attempts": letter.Attempts, "status": letter.Status,
	}).Error("dead letter: look at it with genmesh dead list")
	r.record(d, mesh.OutcomeDead, string(reason))
	r.terminate(d, reason)
	return 0, false
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
	var failure *Failure
	if errors.As(cause, &failure) {
		letter.Status, letter.Answer = failure.Status, string(failure.Answer)
	}
	return letter
}

// refuseUnreadable buries a message that is no event.
func (r *Runner) refuseUnreadable(d *delivery, cause error) {
	r.bury(d, mesh.DeadUnreadable, cause)
}

func (r *Runner) explain(d *delivery, err error) *logrus.Entry {
	return r.log.WithError(err).WithFields(logrus.Fields{
		"interaction": d.event.Interaction, "sequence": d.event.Sequence, "attempt": r.spent(d),
	})
}
