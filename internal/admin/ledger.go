package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// The actions by which audit records name what was done.
const (
	ActionDeadReplay        = "dead-replay"
	ActionDeadDiscard       = "dead-discard"
	ActionQuarantineRelease = "quarantine-release"
	ActionQuarantineDiscard = "quarantine-discard"
	ActionPause             = "pause"
	ActionResume            = "resume"
	ActionReplay            = "replay"
	ActionReplayCancel      = "replay-cancel"
	ActionApply             = "apply"
	ActionErase             = "erase"
	ActionScrubAccept       = "scrub-accept"
	// ActionScrub is what a scrub found; nobody did anything.
	ActionScrub    = "scrub"
	ActionLogLevel = "log-level"
)

// Actions are all of them.
func Actions() []string {
	return []string{
		ActionDeadReplay, ActionDeadDiscard, ActionQuarantineRelease, ActionQuarantineDiscard, ActionPause, ActionResume,
		ActionReplay, ActionReplayCancel, ActionApply, ActionErase, ActionScrubAccept, ActionScrub,
		ActionLogLevel,
	}
}

// auditTimeout bounds the storing of a record, also after an interruption.
const auditTimeout = 10 * time.Second

// ledger keeps the records of one change. Each begins as about.
type ledger struct {
	d     *Direct
	t     *mesh.Topology
	about mesh.Audit
}

func (d *Direct) ledger(t *mesh.Topology, by By, about mesh.Audit) *ledger {
	about.Who, about.Reason = by.Who, by.Reason
	return &ledger{d: d, t: t, about: about}
}

// intend records what is about to be done. If it fails, nothing may be done; it does not where streams.json has no stream for the
// audit.
func (l *ledger) intend(ctx context.Context) error {
	err := l.record(ctx, mesh.AuditIntended)
	if errors.Is(err, mesh.ErrNoAudit) {
		return nil
	}
	return err
}

// done records that it was done, and incomplete that not all of it was: problem says why, without anything of an event.
func (l *ledger) done(ctx context.Context) Trail { return trailOf(l.record(ctx, mesh.AuditDone)) }

func (l *ledger) incomplete(ctx context.Context, problem string) Trail {
	l.about.Problem = problem
	return trailOf(l.record(ctx, mesh.AuditIncomplete))
}

// doneOrLogged is done for a change whose result has no place for a Trail.
func (l *ledger) doneOrLogged(ctx context.Context) {
	if trail := l.done(ctx); trail.AuditProblem != "" {
		l.d.o.Logger.WithField("action", l.about.Action).WithField("problem", trail.AuditProblem).Warn("a change is not audited")
	}
}

func (l *ledger) record(ctx context.Context, result mesh.AuditResult) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	record := l.about
	record.At, record.Result = time.Now().UTC(), result
	return mesh.RecordAudit(ctx, l.d.o.JetStream, l.t, record)
}

func trailOf(err error) Trail {
	switch {
	case err == nil:
		return Trail{Audited: true}
	case errors.Is(err, mesh.ErrNoAudit):
		return Trail{}
	}
	return Trail{AuditProblem: err.Error()}
}

// recorded does something to the chosen between two records. What can't be recorded is not done.
func (l *ledger) recorded(ctx context.Context, action string, chosen []uint64, do func() (outcome, error)) (ActResult, error) {
	l.about.Count, l.about.Numbers = len(chosen), ranges(chosen)
	if len(chosen) == 0 {
		return (&outcome{}).result(action), nil
	}
	if err := l.intend(ctx); err != nil {
		return ActResult{}, fmt.Errorf("nothing was done: %w; is streams.json applied (genmesh plan)?", err)
	}
	o, err := do()
	l.about.Done, l.about.Failed = o.done, o.failed
	r := o.result(action)
	switch {
	case err != nil:
		r.Trail = l.incomplete(ctx, "it could not be done")
	case o.done < o.of:
		r.Trail = l.incomplete(ctx, fmt.Sprintf("%d could not be, %d were left", o.failed, r.Left))
	default:
		r.Trail = l.done(ctx)
	}
	return r, err
}

// check refuses a reason that is longer than is kept.
func (by By) check() error {
	if len(by.Reason) > mesh.MaxReasonBytes {
		return Invalid(fmt.Sprintf("the reason has %d bytes; at most %d are kept", len(by.Reason), mesh.MaxReasonBytes))
	}
	return nil
}

// checkGiven refuses a missing reason, too; whom it is for says who reads it.
func (by By) checkGiven(whom string) error {
	if strings.TrimSpace(by.Reason) == "" {
		return Invalid("a reason is missing: say why, for " + whom)
	}
	return by.check()
}
