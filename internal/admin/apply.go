package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/genmesh/genmesh/mesh"
)

// Apply makes the server as streams.json says. Steps that would lose data are made only with allowDestroy; else they are in Refused, which
// is no error. It is recorded if anything is to be done. An audit that can't be kept holds nothing up: it may be what is to be mended.
func (d *Direct) Apply(ctx context.Context, by By, allowDestroy bool) (Applied, error) {
	if err := by.check(); err != nil {
		return Applied{}, err
	}
	t := d.o.Topology()
	plan, err := t.Plan(ctx, d.o.JetStream)
	if err != nil || plan.Empty() {
		return Applied{Done: []mesh.Step{}, Refused: []mesh.Step{}, Notes: plan.Notes}, err
	}
	l := d.ledger(t, by, mesh.Audit{Action: ActionApply, About: aboutSteps(plan.Steps, allowDestroy), Count: len(plan.Steps)})
	if !makesAudit(t, plan) {
		if err := l.intend(ctx); err != nil {
			d.o.Logger.WithError(err).Warn("what is about to be applied is not audited")
		}
	}
	result, err := d.apply(ctx, t, allowDestroy)
	result.Done, result.Refused = stepsWithoutSecrets(result.Done), stepsWithoutSecrets(result.Refused)
	result.Trail = l.applied(ctx, result, err)
	return result, err
}

// applied records what became of a plan.
func (l *ledger) applied(ctx context.Context, result Applied, err error) Trail {
	l.about.Done, l.about.Failed = len(result.Done), max(l.about.Count-len(result.Done), 0)
	switch {
	case err != nil:
		return l.incomplete(ctx, err.Error())
	case len(result.Refused) > 0:
		return l.incomplete(ctx, fmt.Sprintf("%d would lose data and were refused", len(result.Refused)))
	}
	return l.done(ctx)
}

// makesAudit reports whether the plan makes the stream of the audit: before that there is nowhere to record what is intended.
func makesAudit(t *mesh.Topology, plan mesh.Plan) bool {
	audit, ok := t.AuditRecords()
	return ok && slices.ContainsFunc(plan.Steps, func(s mesh.Step) bool {
		return s.Kind == mesh.KindStream && s.Name == audit.Name && s.Action == mesh.Create
	})
}

// RecordApplied records what a process has applied by itself, as it was started or as streams.json was changed: plan and err are what
// mesh.Topology.Apply returned. Where nothing was changed, or nobody can tell, there is no record; what can't be recorded is logged, for it is done.
func (d *Direct) RecordApplied(ctx context.Context, t *mesh.Topology, by By, plan mesh.Plan, err error) {
	if plan.Empty() {
		return
	}
	result, err := d.outcomeOf(ctx, t, plan, err)
	if len(result.Done) == 0 {
		return
	}
	l := d.ledger(t, by, mesh.Audit{Action: ActionApply, About: aboutSteps(plan.Steps, false), Count: len(plan.Steps)})
	if trail := l.applied(ctx, result, err); trail.AuditProblem != "" {
		d.o.Logger.WithField("problem", trail.AuditProblem).Warn("what was applied is not audited")
	}
}

// maxStepsNamed bounds the steps that a record names.
const maxStepsNamed = 20

func aboutSteps(steps []mesh.Step, allowDestroy bool) string {
	var named []string
	for _, s := range steps[:min(len(steps), maxStepsNamed)] {
		named = append(named, fmt.Sprintf("%s %s %s", s.Action, s.Kind, s.Name))
	}
	if more := len(steps) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	text := strings.Join(named, ", ")
	if allowDestroy {
		text += "; with --allow-destroy"
	}
	return text
}

// apply tells what was done and what was refused. Its error is what else went wrong.
func (d *Direct) apply(ctx context.Context, t *mesh.Topology, allowDestroy bool) (Applied, error) {
	plan, err := t.Apply(ctx, d.o.JetStream, allowDestroy, mesh.Draining{Waits: d.waits})
	return d.outcomeOf(ctx, t, plan, err)
}

// outcomeOf tells by an error of an apply how far it came.
func (d *Direct) outcomeOf(ctx context.Context, t *mesh.Topology, plan mesh.Plan, err error) (Applied, error) {
	result := Applied{Done: []mesh.Step{}, Refused: []mesh.Step{}, Notes: plan.Notes}
	if err == nil {
		result.Done = append(result.Done, plan.Steps...)
		return result, nil
	}
	if len(plan.Steps) == 0 {
		return result, err // there is no plan
	}
	var refusal *mesh.DestructiveError
	if errors.As(err, &refusal) {
		result.Refused = refusal.Steps
	}
	err = withoutRefusal(err)
	// Only the server knows how far it came.
	left, planErr := t.Plan(ctx, d.o.JetStream)
	if planErr != nil {
		return result, errors.Join(err, planErr)
	}
	result.Done = append(result.Done, without(plan.Steps, left.Steps)...)
	return result, err
}

func (d *Direct) waits(subscriber string, events int) {
	if d.o.Waits != nil {
		d.o.Waits(subscriber, events)
		return
	}
	d.o.Logger.WithField("subscriber", subscriber).WithField("events", events).
		Info("apply waits for events under way, before the subscriber's consumers change")
}

// withoutRefusal is what else went wrong; nil if nothing.
func withoutRefusal(err error) error {
	switch err := err.(type) { //nolint:errorlint // what it is made of is taken apart, not what it wraps
	case *mesh.DestructiveError:
		return nil
	case interface{ Unwrap() []error }:
		var each []error
		for _, one := range err.Unwrap() {
			each = append(each, withoutRefusal(one))
		}
		return errors.Join(each...)
	}
	return err
}

// without are the steps that are not among left.
func without(steps, left []mesh.Step) []mesh.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s mesh.Step) bool {
		return slices.ContainsFunc(left, func(l mesh.Step) bool { return l.Kind == s.Kind && l.Name == s.Name })
	})
}
