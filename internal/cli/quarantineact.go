package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
)

const releaseHelp = `Read events in quarantine again, as streams.json and its schemas are now, and send those that are
good on their way, in the order in which they came.

Each is stored under its own key before it leaves quarantine: so a release that was cut off and is
done again stores nothing twice. What is still not good stays. As long as anything of an interaction
is in quarantine, for whatever reason and chosen or not, what came later of the same interaction
stays behind it. Of a delivery with several events, those that are good go, and the others are put
into quarantine again, each by itself and at the same place in the order.

Name the events by number, or choose them with --source, --reason, --since, --until, or --all.`

// quarantineAct are the flags of release and discard.
type quarantineAct struct {
	quarantineFlags
	consent
	dryRun bool
}

// quarantineAction is something that is done to events in quarantine.
type quarantineAction struct {
	verb string
	past string
	do   func(admin.Changer, context.Context, admin.By, admin.QuarantineSelection, admin.Progress) (admin.ActResult, error)
}

func newQuarantineRelease(p *program) *cobra.Command {
	f := new(quarantineAct)
	cmd := f.command(p, "Send events in quarantine on their way", releaseHelp,
		quarantineAction{"release", "released", admin.Changer.ReleaseQuarantined})
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only tell which could be released")
	return cmd
}

const quarantineDiscardHelp = `Delete events in quarantine for good: no subscriber ever gets them.

Name the events by number, or choose them with --source, --reason, --since, --until, or --all.`

func newQuarantineDiscard(p *program) *cobra.Command {
	return new(quarantineAct).command(p, "Delete events in quarantine for good", quarantineDiscardHelp,
		quarantineAction{"discard", "discarded", admin.Changer.DiscardQuarantined})
}

func (f *quarantineAct) command(p *program, short, long string, action quarantineAction) *cobra.Command {
	cmd := &cobra.Command{
		Use:   action.verb + " [NUMBER...]",
		Short: short,
		Long:  long,
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := parseNumbers(args, "quarantined event", "genmesh quarantine list")
			if err != nil {
				return err
			}
			if len(numbers) > 0 == (f.chosen() || f.all) {
				return errors.New("name events by number, or choose them with --source, --reason, --since, --until or --all")
			}
			q, err := f.query(time.Now())
			if err := errors.Join(err, f.check()); err != nil {
				return err
			}
			selection := admin.QuarantineSelection{
				Numbers: numbers, All: f.all, Source: q.Source, Reason: q.Reason, Since: q.Since, Until: q.Until, Limit: f.limit, DryRun: f.dryRun,
			}
			return p.withOperator(cmd, &f.mesh, func(ctx context.Context, op operating) error {
				return p.quarantineAct(ctx, cmd, f, op, action, selection, q)
			})
		},
	}
	f.quarantineFlags.add(cmd, 0)
	f.consent.add(cmd.Flags(), "all that is in quarantine")
	p.outputFlag(cmd)
	return cmd
}

func (p *program) quarantineAct(ctx context.Context, cmd *cobra.Command, f *quarantineAct, op operating, action quarantineAction,
	s admin.QuarantineSelection, q admin.QuarantineQuery,
) error {
	if f.dryRun {
		action.past = "releasable"
	}
	if !f.yes && !f.dryRun {
		number, last, err := f.count(ctx, op, s, q)
		if err != nil {
			return err
		}
		if number == 0 {
			return p.reportQuarantine(cmd, action, admin.ActResult{Action: action.verb, Failed: []admin.ActFailed{}})
		}
		if err := p.confirm(fmt.Sprintf("%s %s?", action.verb, plural(number, "event"))); err != nil {
			return err
		}
		s.Until = last // what is asked about is what is done, whatever comes meanwhile
	}
	progress, end := p.showProgress(action.verb)
	result, err := action.do(op, ctx, op.by(f.because), s, progress)
	if end(); err != nil {
		return err
	}
	if result.Chosen > 0 && !f.dryRun {
		p.warnNoAudit(result.Trail)
	}
	return p.reportQuarantine(cmd, action, result)
}

// count is how many are chosen, and until when those came: zero where they are chosen by number.
func (f *quarantineAct) count(ctx context.Context, op operating, s admin.QuarantineSelection, q admin.QuarantineQuery) (number int, last time.Time, err error) {
	if len(s.Numbers) > 0 {
		return len(s.Numbers), last, nil
	}
	err = f.find(ctx, op, q, func(q admin.Quarantined) { number, last = number+1, q.Since })
	return number, last, err
}

// reportQuarantine tells what became of the chosen events; those that failed make the exit code 1.
func (p *program) reportQuarantine(cmd *cobra.Command, action quarantineAction, result admin.ActResult) error {
	if err := p.writeAct(cmd, result, action.past, "event"); err != nil || result.Done == result.Chosen {
		return err
	}
	next := ""
	if result.Action == "release" {
		next = "; genmesh quarantine show says more of one. Release again once what refuses it is mended, or discard it"
	}
	return fmt.Errorf("%d of %s: not %s%s", result.Chosen-result.Done, plural(result.Chosen, "event"), action.past, next)
}
