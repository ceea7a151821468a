package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/genmesh/genmesh/mesh"
)

// PlanErasure tells what erasing an interaction would take. It changes nothing.
func (d *Direct) PlanErasure(ctx context.Context, interaction, source string) (ErasureResult, error) {
	erasure, err := d.planErasure(ctx, d.o.Topology(), interaction, source)
	return ErasureResult{Erasure: erasure, DryRun: true}, err
}

func (d *Direct) planErasure(ctx context.Context, t *mesh.Topology, interaction, source string) (*mesh.Erasure, error) {
	erasure, err := mesh.PlanErasure(ctx, d.o.JetStream, t, interaction, source)
	return erasure, asInvalid(err, namesNothing(t, interaction, source))
}

// namesNothing reports whether no interaction is named, or a source that is not there.
func namesNothing(t *mesh.Topology, interaction, source string) bool {
	isNamed := func(s mesh.Source) bool { return s.Name == source }
	return interaction == "" || source != "" && !slices.ContainsFunc(t.Sources, isNamed)
}

// asInvalid is an error as an ErrInvalid if what was asked for is why.
func asInvalid(err error, isWhy bool) error {
	if err == nil || !isWhy {
		return err
	}
	return Invalid(err.Error())
}

// Erase erases every copy of an interaction and tells its subscribers, of what was erased even if something is left: they need not wait
// for that. A reason is needed, and nothing is done that can't be recorded. What is left is in the result, and no error.
func (d *Direct) Erase(ctx context.Context, by By, ask EraseAsk, progress Progress) (ErasureResult, error) {
	if err := by.checkGiven("the audit and for subscribers"); err != nil {
		return ErasureResult{}, err
	}
	t := d.o.Topology()
	erasure, err := d.planErasure(ctx, t, ask.Interaction, ask.Source)
	if err != nil {
		return ErasureResult{}, err
	}
	result := ErasureResult{Erasure: erasure}
	if erasure.Found() == 0 && !ask.NotifyAgain {
		return result, nil
	}
	l := d.ledger(t, by, mesh.Audit{
		Action: ActionErase, InteractionSHA256: mesh.HashInteraction(erasure.Interaction), Source: ask.Source,
		Count: erasure.Found(), Streams: erasure.Streams,
	})
	if err := l.intend(ctx); err != nil {
		return ErasureResult{}, fmt.Errorf("nothing was erased: %w; is streams.json applied (genmesh plan)?", err)
	}
	failed := eraseAll(ctx, erasure, by.Reason, ask.NotifyAgain, progress)
	trail := l.erased(ctx, erasure, failed)
	result.Audited = trail.Audited
	if trail.AuditProblem != "" {
		failed = errors.Join(failed, errors.New(trail.AuditProblem))
	}
	return result, failed
}

// erased records what became of an erasure.
func (l *ledger) erased(ctx context.Context, e *mesh.Erasure, failed error) Trail {
	l.about.Streams, l.about.Count = e.Streams, e.Found()
	for _, s := range e.Streams {
		l.about.Done, l.about.Failed = l.about.Done+s.Erased, l.about.Failed+s.Left
	}
	switch {
	case failed != nil:
		return l.incomplete(ctx, failed.Error())
	case !e.Complete():
		return l.incomplete(ctx, "")
	}
	return l.done(ctx)
}

func eraseAll(ctx context.Context, e *mesh.Erasure, reason string, notifyAgain bool, progress Progress) error {
	done, of := 0, e.Found()
	err := e.Run(ctx, func() {
		done++
		progress.tell(done, max(of, done))
	})
	if err != nil {
		return err
	}
	if err := e.Notify(ctx, reason, notifyAgain); err != nil {
		return fmt.Errorf("%w; once that is cured, erase again and have subscribers notified again", err)
	}
	if notifyAgain && len(e.Notices) == 0 {
		return errors.New("nobody was told: nothing is stored that says which source the interaction came through; name the source")
	}
	return nil
}
