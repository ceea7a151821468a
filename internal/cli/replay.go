package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

const historyHelp = `Hand a part of what a stream holds to one subscriber again, and to no other: what was stored in a
time, one interaction, one event type, or all.

The workers of the subscriber do it, beside what comes in live, which goes first. It goes on over
restarts of the workers and needs nobody to watch it: Ctrl-C or --detach leave it running. Each event
keeps its Idempotency-Key. --until is at most now; what waits for the subscriber anyway and lies in
that time comes twice.

A part of the history is chosen by --since, --until, --interaction and --type together. --dry-run tells how many
events that are at most: where the subscriber has a "when" it gets fewer.

Where a subscriber is called as one of the commands below, write: genmesh replay [flags] -- NAME`

const historyExample = `  genmesh replay crm --since 2h --dry-run
  genmesh replay crm --since 2026-11-20T08:00:00Z --until 2026-11-20T09:00:00Z --because "CRM lost an hour"
  genmesh replay billing --interaction 987654321
  genmesh replay warehouse --all --rate 500/s --yes --detach`

// replayFlags are those of replay.
type replayFlags struct {
	mesh        operatorFlags
	span        span
	interaction string
	eventType   string
	all         bool
	rate        string
	because     string
	dryRun      bool
	yes         bool
	detach      bool
}

func newReplay(p *program) *cobra.Command {
	f := new(replayFlags)
	cmd := &cobra.Command{
		Use:     "replay SUBSCRIBER",
		Short:   "Hand a part of the history to one subscriber again",
		Long:    historyHelp,
		Example: historyExample,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ask, err := f.parse(time.Now())
			if err != nil {
				return err
			}
			ask.Subscriber = args[0]
			return p.withOperator(cmd, &f.mesh, func(ctx context.Context, op operating) error {
				return p.replay(ctx, cmd, f, op, ask)
			})
		},
	}
	flags := cmd.Flags()
	f.mesh.add(flags)
	f.span.add(flags, "events stored")
	flags.StringVar(&f.interaction, "interaction", "", "only events of the interaction `ID`")
	flags.StringVar(&f.eventType, "type", "", "only events of exactly this `TYPE`")
	flags.BoolVar(&f.all, "all", false, "everything that the stream holds")
	flags.StringVar(&f.rate, "rate", "50/s", "at most so many calls per time: `RATE` such as 50/s, 30/m or 1000/h")
	flags.StringVar(&f.because, "because", "", "why, as a `TEXT` for those who see it")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only tell what it would come to")
	flags.BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	flags.BoolVar(&f.detach, "detach", false, "don't wait for its end")
	p.outputFlag(cmd)
	cmd.AddCommand(newReplayList(p), newReplayWatch(p), newReplayCancel(p))
	return cmd
}

func (f *replayFlags) parse(now time.Time) (admin.ReplayAsk, error) {
	ask := admin.ReplayAsk{Type: f.eventType, Interaction: f.interaction, All: f.all}
	chosen := f.span.since != "" || f.interaction != "" || f.eventType != ""
	if chosen == f.all {
		return ask, errors.New("choose what to replay by --since, --interaction or --type, or take it --all")
	}
	var err error
	if ask.Since, ask.Until, err = f.span.times(now); err != nil {
		return ask, err
	}
	if !ask.Until.IsZero() && !ask.Since.Before(ask.Until) {
		return ask, errors.New("--until must be later than --since")
	}
	if ask.Rate, err = parseRate(f.rate); err != nil {
		return ask, fmt.Errorf("--rate: %w", err)
	}
	return ask, checkBecause(f.because)
}

// parseRate reads a rate as streams.json has it.
func parseRate(text string) (mesh.Rate, error) {
	var rate mesh.Rate
	raw, err := json.Marshal(text)
	if err != nil {
		return rate, err
	}
	if err := rate.UnmarshalJSON(raw); err != nil {
		return rate, err
	}
	if rate.Events == 0 {
		return rate, errors.New("write a rate such as 50/s")
	}
	return rate, nil
}

// replayPlan is what genmesh replay -o json prints of a replay that is about to begin, or has begun.
type replayPlan struct {
	admin.ReplayPlan
	// Ended is true if it has come to its end.
	Ended bool `json:"ended"`
}

func (p *program) replay(ctx context.Context, cmd *cobra.Command, f *replayFlags, op operating, ask admin.ReplayAsk) error {
	if f.dryRun {
		return p.planReplay(ctx, cmd, op, ask)
	}
	if !f.yes {
		plan, err := op.PlanReplay(ctx, ask)
		if err != nil {
			return err
		}
		if isTerminal(p.In) {
			if err := writeReplayPlan(p.Err, plan); err != nil {
				return err
			}
		}
		if err := p.confirm(fmt.Sprintf("replay %s to %s?", plural(int(plan.Events), "event"), plan.Subscriber)); err != nil {
			return err
		}
		if ask.Until.IsZero() && !plan.Estimate.Last.IsZero() {
			ask.Until = plan.Estimate.Last.Add(1) // what is asked about is what is replayed, whatever is stored meanwhile
		}
	}
	plan, err := op.StartReplay(ctx, op.by(f.because), ask)
	if err != nil {
		return err
	}
	p.warnUnaudited(plan.Trail)
	return p.attend(ctx, cmd, f, op, replayPlan{ReplayPlan: plan})
}

func (p *program) planReplay(ctx context.Context, cmd *cobra.Command, op operating, ask admin.ReplayAsk) error {
	plan, err := op.PlanReplay(ctx, ask)
	if err != nil {
		return err
	}
	if p.wantsJSON() {
		return writeJSON(cmd.OutOrStdout(), replayPlan{ReplayPlan: plan})
	}
	return writeReplayPlan(cmd.OutOrStdout(), plan)
}

// attend watches a replay that has begun, unless nobody wants to.
func (p *program) attend(ctx context.Context, cmd *cobra.Command, f *replayFlags, op operating, plan replayPlan) error {
	if !p.wantsJSON() {
		say(cmd.OutOrStdout(), "replay %s to %s has begun: %s, at most %s", plan.ID, plan.Subscriber, plural(int(plan.Events), "event"), plan.Rate)
	}
	if f.detach {
		if p.wantsJSON() {
			return writeJSON(cmd.OutOrStdout(), plan)
		}
		sayReplayCommands(cmd.OutOrStdout(), plan.Subscriber, plan.ID)
		return nil
	}
	err := p.watchReplay(ctx, cmd, op, plan.Subscriber, plan.HistoryReplay)
	plan.Ended = err == nil
	if p.wantsJSON() {
		return errors.Join(writeJSON(cmd.OutOrStdout(), plan), err)
	}
	return err
}

func sayReplayCommands(w io.Writer, subscriber, id string) {
	say(w, "  genmesh replay watch %s %s   watch it", subscriber, id)
	say(w, "  genmesh replay cancel %s %s  end it", subscriber, id)
}

func writeReplayPlan(w io.Writer, plan admin.ReplayPlan) error {
	var t table
	t.row("replay to", plan.Subscriber)
	t.row("events", fmt.Sprintf("at most %d", plan.Events))
	stored := "from " + momentText(plan.Estimate.First)
	if !plan.Estimate.Last.IsZero() {
		stored += " to " + momentText(plan.Estimate.Last)
	}
	t.row("sequences", fmt.Sprintf("%d to %d of stream %s", plan.From, plan.Until, plan.Stream))
	t.row("stored", stored)
	if plan.Type != "" {
		t.row("type", plan.Type)
	}
	if plan.Interaction != "" {
		t.row("interaction", plan.Interaction)
	}
	t.row("size", "about "+bytesText(int64(plan.Estimate.Bytes)))
	t.row("takes", fmt.Sprintf("%s at %s, longer while live events need the target", roughly(time.Duration(plan.Estimate.Takes)), plan.Rate))
	t.row("costs", fmt.Sprintf("%d calls of the target, up to %d if it fails", plan.Events, plan.Estimate.MostCalls))
	return t.write(w)
}
