package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

func newReplayList(p *program) *cobra.Command {
	f := new(operatorFlags)
	cmd := &cobra.Command{
		Use:   "list [SUBSCRIBER]",
		Short: "List the replays that have not come to their end",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return p.withOperator(cmd, f, func(ctx context.Context, op operating) error {
				running, err := op.Replays(ctx, name)
				if err != nil {
					return err
				}
				if p.wantsJSON() {
					return writeJSON(cmd.OutOrStdout(), running)
				}
				if len(running) == 0 {
					say(cmd.OutOrStdout(), "no replays")
					return nil
				}
				return writeReplays(cmd.OutOrStdout(), running)
			})
		},
	}
	f.add(cmd.Flags())
	p.outputFlag(cmd)
	return cmd
}

func writeReplays(w io.Writer, running []mesh.RunningReplay) error {
	var t table
	t.row("ID", "SUBSCRIBER", "EVENTS", "LEFT", "IN HAND", "RATE", "SERVED", "BEGAN", "TYPE", "INTERACTION", "BY", "REASON")
	for _, r := range running {
		t.row(r.ID, r.Subscriber, strconv.FormatUint(r.Events, 10), strconv.FormatUint(r.Left, 10), strconv.FormatUint(r.InHand, 10),
			r.Rate.String(), yesNo(r.Served), momentText(r.Began), textOrDash(short(r.Type, 40)), textOrDash(short(r.Interaction, 40)),
			textOrDash(r.By), textOrDash(short(r.Reason, 60)))
	}
	return t.write(w)
}

func textOrDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func newReplayWatch(p *program) *cobra.Command {
	f := new(operatorFlags)
	cmd := &cobra.Command{
		Use:   "watch SUBSCRIBER ID",
		Short: "Watch a replay until its end",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withOperator(cmd, f, func(ctx context.Context, op operating) error {
				r, running, err := op.findReplay(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				if !running {
					return fmt.Errorf("no replay %s to %s is running; genmesh replay list shows those that are", args[1], args[0])
				}
				return p.watchReplay(ctx, cmd, op, args[0], r.HistoryReplay)
			})
		},
	}
	f.add(cmd.Flags())
	return cmd
}

const cancelHelp = `End a replay before its end. What was delivered is delivered, and what the workers have in hand,
some dozens of events at most, may still arrive.`

func newReplayCancel(p *program) *cobra.Command {
	f := new(operatorFlags)
	var because string
	cmd := &cobra.Command{
		Use:   "cancel SUBSCRIBER ID",
		Short: "End a replay before its end",
		Long:  cancelHelp,
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withOperator(cmd, f, func(ctx context.Context, op operating) error {
				r, err := op.CancelReplay(ctx, op.by(because), args[0], args[1])
				if err != nil {
					return err
				}
				if p.wantsJSON() {
					return writeJSON(cmd.OutOrStdout(), r)
				}
				say(cmd.OutOrStdout(), "canceled replay %s to %s: %d of %s were left", r.ID, r.Subscriber, r.Left, plural(int(r.Events), "event"))
				return nil
			})
		},
	}
	f.add(cmd.Flags())
	becauseFlag(cmd.Flags(), &because)
	p.outputFlag(cmd)
	return cmd
}

// findReplay reports whether a replay runs, and how far it is.
func (op operating) findReplay(ctx context.Context, subscriber, id string) (mesh.RunningReplay, bool, error) {
	running, err := op.Replays(ctx, subscriber)
	if err != nil {
		return mesh.RunningReplay{}, false, err
	}
	i := slices.IndexFunc(running, func(r mesh.RunningReplay) bool { return r.ID == id })
	if i < 0 {
		return mesh.RunningReplay{}, false, nil
	}
	return running[i], true, nil
}

const (
	replayPoll = 500 * time.Millisecond
	// unservedFor is how long a replay may have no worker before that is said: they look for new ones every few seconds.
	unservedFor = 8 * time.Second
)

// watchReplay shows how far a replay is until it comes to its end, or until ctx ends: then the replay goes on.
func (p *program) watchReplay(ctx context.Context, cmd *cobra.Command, op operating, subscriber string, h mesh.HistoryReplay) error {
	bar := newProgress(p.Err, int(h.Events), "replay")
	defer bar.end()
	w := replayWatch{p: p, op: op, subscriber: subscriber, left: h.Events, warns: time.Now().Add(unservedFor)}
	ticker := time.NewTicker(replayPoll)
	defer ticker.Stop()
	for {
		r, running, err := w.look(ctx, h.ID)
		switch {
		case ctx.Err() != nil:
			bar.end()
			say(cmd.ErrOrStderr(), "the replay goes on without this command:")
			sayReplayCommands(cmd.ErrOrStderr(), subscriber, h.ID)
			return exitCode(exitError)
		case err != nil:
			return fmt.Errorf("%w; the replay goes on: genmesh replay watch %s %s", err, subscriber, h.ID)
		case !running:
			bar.end()
			if !p.wantsJSON() {
				say(cmd.OutOrStdout(), "replay %s to %s has ended; what it could not take is in genmesh dead list --subscriber %s", h.ID, subscriber, subscriber)
			}
			return nil
		}
		bar.set(int(h.Events - min(r.Left, h.Events)))
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// replayWatch looks at one replay, and says once why it does not go on, if it does not.
type replayWatch struct {
	p          *program
	op         operating
	subscriber string
	left       uint64 // when it was looked at last
	warns      time.Time
	said       bool
}

func (w *replayWatch) look(ctx context.Context, id string) (mesh.RunningReplay, bool, error) {
	r, running, err := w.op.findReplay(ctx, w.subscriber, id)
	if err == nil && running && !w.said && r.Left == w.left {
		w.warn(ctx, r)
	}
	w.left = r.Left
	return r, running, err
}

func (w *replayWatch) warn(ctx context.Context, r mesh.RunningReplay) {
	if state, err := w.op.state(ctx, w.subscriber); err == nil && state.Pause != nil {
		w.said = true
		say(w.p.Err, "%s is paused %s: the replay waits", w.subscriber, pauseText(*state.Pause))
		return
	}
	if !r.Served && time.Now().After(w.warns) {
		w.said = true
		say(w.p.Err, "nobody serves %s: the replay waits for genmesh serve workers (or dev) to run", w.subscriber)
	}
}
