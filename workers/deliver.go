package workers

import (
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
)

// deliver brings one event to its end: acknowledged, a dead letter, or given back because the
// runner is leaving. It returns the delay of the latter, or nil.
func (r *Runner) deliver(d *delivery) *time.Duration {
	if r.isLastDelivery(d) {
		// Whoever had it before died with it or gave it back. The last delivery is kept for the
		// burial, so that nothing ends without a trace.
		return r.bury(d, mesh.DeadAbandoned, errors.New("its deliveries are used up: workers died with it or gave it back"))
	}
	for {
		if !r.turn() {
			return r.back(d, 0)
		}
		err := r.attempt(d)
		if r.working.Err() != nil && err != nil {
			return r.back(d, 0)
		}
		switch fate, after := FateOf(err); fate {
		case Done:
			r.gate.opened()
			r.metrics.outcome(outcomeDelivered)
			r.acknowledge(d)
			return nil
		case Refuse:
			r.metrics.outcome(outcomeRejected)
			return r.bury(d, mesh.DeadRejected, err)
		case Wait:
			r.metrics.outcome(outcomeWaits)
			d.attempts--
			r.shut(after, err)
		case Retry:
			r.metrics.outcome(outcomeFailed)
			if r.spent(d) >= r.Subscriber.MaxAttempts {
				return r.bury(d, mesh.DeadExhausted, err)
			}
			delay := delayBefore(r.Subscriber.Backoff, d.attempts)
			r.explain(d, err).WithField("retry_in", delay.String()).Warn("the target failed; the event is tried again")
			if !sleep(r.leaving, delay) {
				return r.back(d, delay)
			}
		}
	}
}

func (r *Runner) back(d *delivery, delay time.Duration) *time.Duration {
	r.metrics.outcome(outcomeReturned)
	r.giveBack(d, delay)
	return &delay
}

// turn waits for a free slot while the gate is open, and takes it; false means that the runner is
// leaving. Who waited for a slot looks at the gate again: the one before may have shut it.
func (r *Runner) turn() bool {
	for r.gate.pass(r.leaving) {
		select {
		case r.slots <- struct{}{}:
		case <-r.working.Done():
			return false
		}
		if r.gate.isOpen() {
			return true
		}
		<-r.slots
	}
	return false
}

// attempt hands the event to the target once, and frees the slot that turn took.
func (r *Runner) attempt(d *delivery) error {
	defer func() { <-r.slots }()
	started := time.Now()
	if d.first.IsZero() {
		d.first = started
	}
	d.attempts++
	event := d.event
	event.Attempt = r.spent(d)
	err := call(r.working, r.Handler, event)
	r.metrics.seconds.Observe(time.Since(started).Seconds())
	return err
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
	if waits, news := r.gate.shut(after); news {
		r.log.WithError(err).WithField("wait", waits.String()).Warn("the target asks for air; the subscriber waits")
	}
}

// buryWait is the pause before another try when the dead-letter stream refuses.
const buryWait = time.Second

// bury makes the event a dead letter. The event is let go only after the dead letter is stored;
// while the dead-letter stream refuses, the event stays in hand, until the runner has to end and
// gives it back. It returns the delay of the latter, or nil.
func (r *Runner) bury(d *delivery, reason mesh.DeadReason, cause error) *time.Duration {
	letter := r.letter(d, reason, cause)
	for refused := false; ; refused = true {
		err := r.DeadLetters.Bury(r.working, letter)
		if err == nil {
			break
		}
		if !refused && r.working.Err() == nil {
			r.explain(d, err).Error("the dead letter can't be stored; the event is kept until it can")
		}
		if !sleep(r.working, buryWait) {
			return r.back(d, buryWait)
		}
	}
	r.metrics.dead(reason)
	r.explain(d, cause).WithFields(logrus.Fields{
		"reason": reason, "attempts": letter.Attempts, "status": letter.Status,
	}).Error("dead letter: look at it with genmesh dead list")
	r.terminate(d, reason)
	return nil
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
