package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
  genmesh replay crm --since 2026-11-20T08:00:00Z --until 2026-11-20T09:00:00Z --reason "CRM lost an hour"
  genmesh replay billing --interaction 987654321
  genmesh replay warehouse --all --rate 500/s --yes --detach`

// replayFlags are those of replay.
type replayFlags struct {
	cluster     clusterFlags
	span        span
	interaction string
	eventType   string
	all         bool
	rate        string
	reason      string
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
			asked, err := f.parse(time.Now())
			if err != nil {
				return err
			}
			return p.withSubscriber(cmd, &f.cluster, args[0], func(ctx context.Context, on subscribed) error {
				return p.replay(ctx, cmd, f, on, asked)
			})
		},
	}
	flags := cmd.Flags()
	f.cluster.add(flags)
	f.span.add(flags, "events stored")
	flags.StringVar(&f.interaction, "interaction", "", "only events of the interaction `ID`")
	flags.StringVar(&f.eventType, "type", "", "only events of exactly this `TYPE`")
	flags.BoolVar(&f.all, "all", false, "everything that the stream holds")
	flags.StringVar(&f.rate, "rate", "50/s", "at most so many calls per time: `RATE` such as 50/s, 30/m or 1000/h")
	flags.StringVar(&f.reason, "reason", "", "why, as a `TEXT` for those who see it")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only tell what it would come to")
	flags.BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	flags.BoolVar(&f.detach, "detach", false, "don't wait for its end")
	p.outputFlag(cmd)
	cmd.AddCommand(newReplayList(p), newReplayWatch(p), newReplayCancel(p))
	return cmd
}

// replayAsked is what the flags ask for.
type replayAsked struct {
	mesh.HistorySpan
	rate mesh.Rate
}

func (f *replayFlags) parse(now time.Time) (replayAsked, error) {
	asked := replayAsked{HistorySpan: mesh.HistorySpan{Type: f.eventType, Interaction: f.interaction}}
	chosen := f.span.since != "" || f.interaction != "" || f.eventType != ""
	if chosen == f.all {
		return asked, errors.New("choose what to replay by --since, --interaction or --type, or take it --all")
	}
	var err error
	if asked.Since, asked.Until, err = f.span.times(now); err != nil {
		return asked, err
	}
	if !asked.Until.IsZero() && !asked.Since.Before(asked.Until) {
		return asked, errors.New("--until must be later than --since")
	}
	if asked.rate, err = parseRate(f.rate); err != nil {
		return asked, fmt.Errorf("--rate: %w", err)
	}
	return asked, checkReason(f.reason)
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
	mesh.HistoryReplay
	Subscriber string              `json:"subscriber"`
	Stream     string              `json:"stream"`
	DryRun     bool                `json:"dry_run,omitempty"`
	Estimate   mesh.ReplayEstimate `json:"estimate"`
	// Ended is true if it has come to its end.
	Ended bool `json:"ended"`
}

func (p *program) replay(ctx context.Context, cmd *cobra.Command, f *replayFlags, on subscribed, asked replayAsked) error {
	h, err := on.t.PlanReplay(ctx, on.js, on.Subscriber, asked.HistorySpan)
	if errors.Is(err, mesh.ErrNothingToReplay) {
		err = fmt.Errorf("%w%s", err, on.aboutType(ctx, f.eventType))
	}
	if err != nil {
		return fmt.Errorf("replay to %s: %w", on.Name, err)
	}
	h.Rate, h.By, h.Reason = asked.rate, operator(), f.reason
	plan := replayPlan{HistoryReplay: h, Subscriber: on.Name, Stream: on.Stream, DryRun: f.dryRun}
	if plan.Estimate, err = on.t.EstimateReplay(ctx, on.js, on.Subscriber, h); err != nil {
		return err
	}
	if f.dryRun && p.wantsJSON() {
		return writeJSON(cmd.OutOrStdout(), plan)
	}
	if f.dryRun {
		return writeReplayPlan(cmd.OutOrStdout(), plan)
	}
	if !f.yes {
		if isTerminal(p.In) {
			if err := writeReplayPlan(p.Err, plan); err != nil {
				return err
			}
		}
		question := fmt.Sprintf("replay %s to %s?", plural(int(h.Events), "event"), on.Name)
		if err := p.confirm(question); err != nil {
			return err
		}
	}
	if plan.HistoryReplay, err = on.t.StartReplay(ctx, on.js, on.Subscriber, h); err != nil {
		return err
	}
	p.audit(ctx, on, "replay", auditedReplay(plan.HistoryReplay))
	return p.attend(ctx, cmd, f, on, plan)
}

// maxTypesNamed bounds the types that somebody is told who has asked for another.
const maxTypesNamed = 5

// aboutType says what may be wrong with the type of which there is no event; "" if none was asked for.
func (on subscribed) aboutType(ctx context.Context, eventType string) string {
	if eventType == "" {
		return ""
	}
	text := fmt.Sprintf("; --type %q is the type of an event", eventType)
	types, media, err := mesh.LatestKinds(ctx, on.js, on.Stream)
	if err != nil {
		return text // it is only a hint
	}
	if slices.Contains(media, eventType) && !slices.Contains(types, eventType) {
		text += fmt.Sprintf(", and %q is a media type", eventType)
	}
	if len(types) > 0 && !slices.Contains(types, eventType) {
		text += "; the latest events are of " + strings.Join(types[:min(len(types), maxTypesNamed)], ", ")
	}
	return text
}

// auditedReplay says what was replayed, without the interaction's id: the audit keeps none.
func auditedReplay(h mesh.HistoryReplay) string {
	return fmt.Sprintf("replay %s of %s, sequences %d to %d; %s", h.ID, plural(int(h.Events), "event"), h.From, h.Until, h.Reason)
}

// attend watches a replay that has begun, unless nobody wants to.
func (p *program) attend(ctx context.Context, cmd *cobra.Command, f *replayFlags, on subscribed, plan replayPlan) error {
	if !p.wantsJSON() {
		say(cmd.OutOrStdout(), "replay %s to %s has begun: %s, at most %s", plan.ID, on.Name, plural(int(plan.Events), "event"), plan.Rate)
	}
	if f.detach {
		if p.wantsJSON() {
			return writeJSON(cmd.OutOrStdout(), plan)
		}
		sayReplayCommands(cmd.OutOrStdout(), on.Name, plan.ID)
		return nil
	}
	err := p.watchReplay(ctx, cmd, on, plan.HistoryReplay)
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

func writeReplayPlan(w io.Writer, plan replayPlan) error {
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
	t.row("size", fmt.Sprintf("about %.3g MB", float64(plan.Estimate.Bytes)/1e6))
	t.row("takes", fmt.Sprintf("%s at %s, longer while live events need the target", roughly(time.Duration(plan.Estimate.Takes)), plan.Rate))
	t.row("costs", fmt.Sprintf("%d calls of the target, up to %d if it fails", plan.Events, plan.Estimate.MostCalls))
	return t.write(w)
}

// set shows that so many steps are done.
func (p progress) set(done int) {
	if p.bar != nil {
		_ = p.bar.Set(done) // a bar that can't be drawn is no reason to stop
	}
}
