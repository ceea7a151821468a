package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
)

// deadAction is something that is done to dead letters.
type deadAction struct {
	verb string
	past string
	do   func(admin.Changer, context.Context, admin.By, admin.DeadSelection, admin.Progress) (admin.ActResult, error)
}

const replayHelp = `Hand the events of dead letters to their subscriber again, and to no other.

An event keeps its identity, its attempts begin anew, and its dead letter is gone. Those of one
interaction get there in the order in which they were buried. Name the dead letters by number, or
choose them with --subscriber, --reason, --cause, --since, --until, or --all.`

func newDeadReplay(p *program) *cobra.Command {
	return newDeadAct(p, replayHelp, "Hand dead letters to their subscriber again",
		deadAction{"replay", "replayed", admin.Changer.ReplayDeadLetters})
}

const discardHelp = `Delete dead letters for good. The events themselves stay in their streams.

Name the dead letters by number, or choose them with --subscriber, --reason, --cause, --since,
--until, or --all.`

func newDeadDiscard(p *program) *cobra.Command {
	return newDeadAct(p, discardHelp, "Delete dead letters for good",
		deadAction{"discard", "discarded", admin.Changer.DiscardDeadLetters})
}

// deadAct are the flags of replay and discard.
type deadAct struct {
	deadFlags
	consent
}

func newDeadAct(p *program, help, short string, action deadAction) *cobra.Command {
	f := new(deadAct)
	cmd := &cobra.Command{
		Use:   action.verb + " [NUMBER...]",
		Short: short,
		Long:  help,
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := parseNumbers(args, "dead letter", "genmesh dead list")
			if err != nil {
				return err
			}
			if len(numbers) > 0 == (f.chosen() || f.all) {
				return errors.New("name dead letters by number, or choose them with --subscriber, --reason, --cause, --since, --until or --all")
			}
			q, err := f.query(time.Now())
			if err := errors.Join(err, f.check()); err != nil {
				return err
			}
			selection := admin.DeadSelection{
				Numbers: numbers, All: f.all, Subscriber: q.Subscriber, Reason: q.Reason, Cause: q.Cause, Since: q.Since, Until: q.Until,
				Limit: f.limit,
			}
			return p.withOperator(cmd, &f.mesh, func(ctx context.Context, op operating) error {
				return p.deadAct(ctx, cmd, f, op, action, selection, q)
			})
		},
	}
	f.deadFlags.add(cmd, 0)
	f.consent.add(cmd.Flags(), "all dead letters")
	p.outputFlag(cmd)
	return cmd
}

func (p *program) deadAct(ctx context.Context, cmd *cobra.Command, f *deadAct, op operating, action deadAction, s admin.DeadSelection, q admin.DeadQuery) error {
	if !f.yes {
		number, last, err := f.count(ctx, op, s, q)
		if err != nil {
			return err
		}
		if number == 0 {
			return p.reportDead(cmd, action, admin.ActResult{Action: action.verb, Failed: []admin.ActFailed{}})
		}
		if err := p.confirm(fmt.Sprintf("%s %s?", action.verb, plural(number, "dead letter"))); err != nil {
			return err
		}
		s.Until = last // what is asked about is what is done, whatever is buried meanwhile
	}
	progress, end := p.showProgress(action.verb)
	result, err := action.do(op, ctx, op.by(f.because), s, progress)
	if end(); err != nil {
		return err
	}
	if result.Chosen > 0 {
		p.warnNoAudit(result.Trail)
	}
	return p.reportDead(cmd, action, result)
}

// count is how many are chosen, and until when those were buried: zero where they are chosen by number.
func (f *deadAct) count(ctx context.Context, op operating, s admin.DeadSelection, q admin.DeadQuery) (number int, last time.Time, err error) {
	if len(s.Numbers) > 0 {
		return len(s.Numbers), last, nil
	}
	err = f.find(ctx, op, q, func(letter admin.DeadLetter) { number, last = number+1, letter.Buried })
	return number, last, err
}

func (p *program) reportDead(cmd *cobra.Command, action deadAction, result admin.ActResult) error {
	if err := p.writeAct(cmd, result, action.past, "dead letter"); err != nil {
		return err
	}
	if result.Done < result.Chosen {
		return fmt.Errorf("%d of %s could not be %s", result.Chosen-result.Done, plural(result.Chosen, "dead letter"), action.past)
	}
	return nil
}
