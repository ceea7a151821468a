package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

func newReplayList(p *program) *cobra.Command {
	f := new(clusterFlags)
	cmd := &cobra.Command{
		Use:   "list [SUBSCRIBER]",
		Short: "List the replays that have not come to their end",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return p.withSubscriber(cmd, f, name, func(ctx context.Context, on subscribed) error {
				running, err := on.replays(ctx)
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

// replays are those to the subscriber, or to all if none is named.
func (on subscribed) replays(ctx context.Context) ([]mesh.RunningReplay, error) {
	running := []mesh.RunningReplay{}
	for _, s := range on.t.Subscribers {
		if on.Name != "" && s.Name != on.Name {
			continue
		}
		some, err := mesh.Replays(ctx, on.js, s)
		if on.Name == "" && errors.Is(err, jetstream.ErrStreamNotFound) {
			continue // not applied yet
		}
		if err != nil {
			return nil, err
		}
		running = append(running, some...)
	}
	return running, nil
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
	f := new(clusterFlags)
	cmd := &cobra.Command{
		Use:   "watch SUBSCRIBER ID",
		Short: "Watch a replay until its end",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withSubscriber(cmd, f, args[0], func(ctx context.Context, on subscribed) error {
				r, err := on.findReplay(ctx, args[1])
				if err != nil {
					return err
				}
				return p.watchReplay(ctx, cmd, on, r.HistoryReplay)
			})
		},
	}
	f.add(cmd.Flags())
	return cmd
}

const cancelHelp = `End a replay before its end. What was delivered is delivered, and what the workers have in hand,
some dozens of events at most, may still arrive.`

func newReplayCancel(p *program) *cobra.Command {
	f := new(clusterFlags)
	cmd := &cobra.Command{
		Use:   "cancel SUBSCRIBER ID",
		Short: "End a replay before its end",
		Long:  cancelHelp,
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withSubscriber(cmd, f, args[0], func(ctx context.Context, on subscribed) error {
				r, err := on.findReplay(ctx, args[1])
				if err != nil {
					return err
				}
				if err := mesh.EndReplay(ctx, on.js, on.Subscriber, r.ID); err != nil {
					return err
				}
				p.audit(ctx, on, "replay-cancel", "replay "+r.ID)
				if p.wantsJSON() {
					return writeJSON(cmd.OutOrStdout(), r)
				}
				say(cmd.OutOrStdout(), "canceled replay %s to %s: %d of %s were left", r.ID, on.Name, r.Left, plural(int(r.Events), "event"))
				return nil
			})
		},
	}
	f.add(cmd.Flags())
	p.outputFlag(cmd)
	return cmd
}

func (on subscribed) findReplay(ctx context.Context, id string) (mesh.RunningReplay, error) {
	running, err := mesh.Replays(ctx, on.js, on.Subscriber)
	if err != nil {
		return mesh.RunningReplay{}, err
	}
	i := slices.IndexFunc(running, func(r mesh.RunningReplay) bool { return r.ID == id })
	if i < 0 {
		return mesh.RunningReplay{}, fmt.Errorf("no replay %s to %s is running; genmesh replay list shows those that are", id, on.Name)
	}
	return running[i], nil
}

const (
	replayPoll = 500 * time.Millisecond
	// unservedFor is how long a replay may have no worker before that is said: they look for new ones every few seconds.
	unservedFor = 8 * time.Second
)

// watchReplay shows how far a replay is until it comes to its end, or until ctx ends: then the replay goes on.
func (p *program) watchReplay(ctx context.Context, cmd *cobra.Command, on subscribed, h mesh.HistoryReplay) error {
	bar := newProgress(p.Err, int(h.Events), "replay")
	defer bar.end()
	w := replayWatch{p: p, on: on, warns: time.Now().Add(unservedFor)}
	ticker := time.NewTicker(replayPoll)
	defer ticker.Stop()
	for {
		r, running, err := w.look(ctx, h.ID)
		switch {
		case ctx.Err() != nil:
			bar.end()
			say(cmd.ErrOrStderr(), "the replay goes on without this command:")
			sayReplayCommands(cmd.ErrOrStderr(), on.Name, h.ID)
			return exitCode(exitError)
		case err != nil:
			return fmt.Errorf("%w; the replay goes on: genmesh replay watch %s %s", err, on.Name, h.ID)
		case !running:
			bar.end()
			if !p.wantsJSON() {
				say(cmd.OutOrStdout(), "replay %s to %s has ended; what it could not take is in genmesh dead list --subscriber %s", h.ID, on.Name, on.Name)
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

// replayWatch looks at one replay, and says once why it does not go on.
type replayWatch struct {
	p     *program
	on    subscribed
	warns time.Time
	said  bool
}

func (w *replayWatch) look(ctx context.Context, id string) (mesh.RunningReplay, bool, error) {
	running, err := mesh.Replays(ctx, w.on.js, w.on.Subscriber)
	if err != nil {
		return mesh.RunningReplay{}, false, err
	}
	i := slices.IndexFunc(running, func(r mesh.RunningReplay) bool { return r.ID == id })
	if i < 0 {
		return mesh.RunningReplay{}, false, nil
	}
	if !w.said {
		w.warn(ctx, running[i])
	}
	return running[i], true, nil
}

func (w *replayWatch) warn(ctx context.Context, r mesh.RunningReplay) {
	if state, err := mesh.OpenState(ctx, w.on.js); err == nil {
		if pause, err := state.Pause(ctx, w.on.Name); err == nil && pause.Holds(time.Now()) {
			w.said = true
			say(w.p.Err, "%s is paused %s: the replay waits", w.on.Name, pauseText(pause))
			return
		}
	}
	if !r.Served && time.Now().After(w.warns) {
		w.said = true
		say(w.p.Err, "nobody serves %s: the replay waits for genmesh serve workers (or dev) to run", w.on.Name)
	}
}
