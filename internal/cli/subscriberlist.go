package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

func newSubscriberList(p *program) *cobra.Command {
	f := new(operatorFlags)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the subscribers: what waits for them, who is paused or waits, whose target fails",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withOperator(cmd, f, func(ctx context.Context, op operating) error {
				states, err := op.states(ctx)
				if err != nil {
					return err
				}
				if p.wantsJSON() {
					return writeJSON(cmd.OutOrStdout(), states)
				}
				return writeSubscribers(cmd.OutOrStdout(), states, time.Now())
			})
		},
	}
	f.add(cmd.Flags())
	p.outputFlag(cmd)
	return cmd
}

func writeSubscribers(w io.Writer, states []mesh.SubscriberState, now time.Time) error {
	if len(states) == 0 {
		say(w, "no subscribers")
		return nil
	}
	var t table
	t.row("SUBSCRIBER", "STREAM", "WAITING", "IN HAND", "OLDEST", "SERVED", "REPLAYS", "STATE")
	for _, s := range states {
		t.row(s.Name, s.Stream, strconv.FormatUint(s.Waiting, 10), strconv.FormatUint(s.InHand, 10), oldestAge(s, now),
			yesNo(s.Served), strconv.Itoa(len(s.Replays)), short(standing(s, now), 80))
	}
	return t.write(w)
}

func oldestAge(s mesh.SubscriberState, now time.Time) string {
	if s.Oldest == nil {
		return "-"
	}
	return roughly(now.Sub(s.Oldest.Stored))
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// standing says in a few words why a subscriber gets nothing, if so.
func standing(s mesh.SubscriberState, now time.Time) string {
	var parts []string
	heldBack := time.Time{}
	live := 0
	for _, c := range s.Consumers {
		if !c.Replays {
			live++
		}
		if c.PausedUntil.After(heldBack) {
			heldBack = c.PausedUntil
		}
	}
	if live == 0 {
		parts = append(parts, "not applied")
	}
	switch {
	case s.Pause != nil:
		parts = append(parts, "paused"+untilText(s.Pause.Until)+": "+s.Pause.Reason)
	case !heldBack.IsZero():
		parts = append(parts, "the server holds back until "+momentText(heldBack))
	}
	if s.Breaker != nil && s.Breaker.Open {
		parts = append(parts, fmt.Sprintf("breaker still open after %s: %s", roughly(now.Sub(s.Breaker.Since)), s.Breaker.Error))
	}
	if s.Wait != nil {
		parts = append(parts, "waits"+untilText(s.Wait.Until)+": "+s.Wait.Reason)
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, "; ")
}

func untilText(until time.Time) string {
	if until.IsZero() {
		return ""
	}
	return " until " + momentText(until)
}

func momentText(t time.Time) string { return t.Local().Format(time.DateTime) }

func newSubscriberShow(p *program) *cobra.Command {
	f := new(operatorFlags)
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show how one subscriber stands",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withOperator(cmd, f, func(ctx context.Context, op operating) error {
				s, err := op.state(ctx, args[0])
				if err != nil {
					return err
				}
				if p.wantsJSON() {
					return writeJSON(cmd.OutOrStdout(), s)
				}
				return writeSubscriber(cmd.OutOrStdout(), s, time.Now())
			})
		},
	}
	f.add(cmd.Flags())
	p.outputFlag(cmd)
	return cmd
}

// states are how subscribers stand: those of the names, or without names all.
func (op operating) states(ctx context.Context, names ...string) ([]mesh.SubscriberState, error) {
	subscribers, err := op.Subscribers(ctx, names...)
	if err != nil {
		return nil, err
	}
	states := make([]mesh.SubscriberState, len(subscribers))
	for i, s := range subscribers {
		states[i] = s.SubscriberState
	}
	return states, nil
}

func (op operating) state(ctx context.Context, name string) (mesh.SubscriberState, error) {
	states, err := op.states(ctx, name)
	if err == nil && len(states) == 0 {
		err = fmt.Errorf("there is no subscriber %q", name)
	}
	if err != nil {
		return mesh.SubscriberState{}, err
	}
	return states[0], nil
}

func writeSubscriber(w io.Writer, s mesh.SubscriberState, now time.Time) error {
	var t table
	t.row("subscriber", s.Name)
	t.row("stream", s.Stream)
	t.row("order", fmt.Sprintf("%s, %s", s.Order, plural(s.Partitions, "partition")))
	t.row("served", yesNo(s.Served))
	t.row("waiting", strconv.FormatUint(s.Waiting, 10))
	t.row("in hand", strconv.FormatUint(s.InHand, 10))
	if s.Oldest != nil {
		t.row("oldest", fmt.Sprintf("event %d, stored %s ago", s.Oldest.Sequence, oldestAge(s, now)))
	}
	if s.Pause != nil {
		t.row("paused", pauseText(*s.Pause))
	}
	if b := s.Breaker; b != nil && b.Open {
		t.row("breaker", fmt.Sprintf("open since %s, next try %s", momentText(b.Since), momentText(b.Until)))
		t.row("last error", b.Error)
	}
	if w := s.Wait; w != nil {
		t.row("waits", fmt.Sprintf("since %s, next try %s; nothing is spent meanwhile", momentText(w.Since), momentText(w.Until)))
		t.row("because", w.Reason)
	}
	if err := t.write(w); err != nil {
		return err
	}
	if err := writeConsumers(w, s.Consumers); err != nil || len(s.Replays) == 0 {
		return err
	}
	say(w, "\nreplays")
	return writeReplays(w, s.Replays)
}

func pauseText(p mesh.Pause) string {
	text := "since " + momentText(p.Since) + untilText(p.Until)
	if p.By != "" {
		text += " by " + p.By
	}
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

func writeConsumers(w io.Writer, consumers []mesh.ConsumerState) error {
	if len(consumers) == 0 {
		say(w, "\nit has no consumers: genmesh apply makes them")
		return nil
	}
	say(w, "\nconsumers")
	var t table
	t.row("STREAM", "CONSUMER", "READS", "WAITING", "IN HAND", "SERVED", "HELD BACK UNTIL")
	for _, c := range consumers {
		reads, until := "events", "-"
		if c.Replays {
			reads = "replayed dead letters"
		}
		if !c.PausedUntil.IsZero() {
			until = momentText(c.PausedUntil)
		}
		t.row(c.Stream, c.Name, reads, strconv.FormatUint(c.Waiting, 10), strconv.FormatUint(c.InHand, 10), yesNo(c.Served), until)
	}
	return t.write(w)
}
