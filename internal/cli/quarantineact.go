package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
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
	all    bool
	yes    bool
	dryRun bool
}

func newQuarantineRelease(p *program) *cobra.Command {
	f := new(quarantineAct)
	cmd := f.command(p, "release", "Send events in quarantine on their way", releaseHelp, p.release)
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only tell which could be released")
	return cmd
}

const quarantineDiscardHelp = `Delete events in quarantine for good: no subscriber ever gets them.

Name the events by number, or choose them with --source, --reason, --since, --until, or --all.`

func newQuarantineDiscard(p *program) *cobra.Command {
	return new(quarantineAct).command(p, "discard", "Delete events in quarantine for good", quarantineDiscardHelp, p.discardQuarantined)
}

type quarantineDo func(ctx context.Context, cmd *cobra.Command, w ward, f *quarantineAct, numbers []uint64) error

func (f *quarantineAct) command(p *program, verb, short, long string, do quarantineDo) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb + " [NUMBER...]",
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
			filter, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			return p.withQuarantine(cmd, &f.cluster, func(ctx context.Context, w ward) error {
				if len(numbers) == 0 {
					err = f.find(ctx, w, filter, func(q mesh.Quarantined) { numbers = append(numbers, q.Number) })
				}
				if err != nil {
					return err
				}
				slices.Sort(numbers) // the order in which they came
				numbers = slices.Compact(numbers)
				if len(numbers) > 0 && !f.yes && !f.dryRun {
					if err := p.confirm(fmt.Sprintf("%s %s?", verb, plural(len(numbers), "event"))); err != nil {
						return err
					}
				}
				return do(ctx, cmd, w, f, numbers)
			})
		},
	}
	f.add(cmd, 0)
	cmd.Flags().BoolVar(&f.all, "all", false, "all that is in quarantine")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	p.outputFlag(cmd)
	return cmd
}

func (p *program) discardQuarantined(ctx context.Context, cmd *cobra.Command, w ward, _ *quarantineAct, numbers []uint64) error {
	result := actResult{Action: "discard", Failed: []actFailed{}}
	for _, number := range numbers {
		_, err := w.Get(ctx, number)
		if err == nil {
			err = w.Discard(ctx, number)
		}
		if err != nil {
			result.Failed = append(result.Failed, actFailed{number, err.Error()})
			continue
		}
		result.Done++
	}
	return p.reportQuarantine(cmd, result, "discarded", len(numbers))
}

// reportQuarantine tells what became of the chosen events; those that failed make the exit code 1.
func (p *program) reportQuarantine(cmd *cobra.Command, result actResult, past string, chosen int) error {
	if p.wantsJSON() {
		if err := writeJSON(cmd.OutOrStdout(), result); err != nil {
			return err
		}
	} else {
		say(cmd.OutOrStdout(), "%s %s", past, plural(result.Done, "event"))
		for _, failed := range result.Failed[:min(len(result.Failed), maxFailuresShown)] {
			say(cmd.ErrOrStderr(), "%d: %s", failed.Number, failed.Error)
		}
	}
	if len(result.Failed) == 0 {
		return nil
	}
	next := ""
	if result.Action == "release" {
		next = "; genmesh quarantine show says more of one. Release again once what refuses it is mended, or discard it"
	}
	return fmt.Errorf("%d of %s: not %s%s", len(result.Failed), plural(chosen, "event"), past, next)
}
