package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

const timelineHelp = `Show every stored event of one interaction, in the order in which they were stored, and beneath each
what became of it at each subscriber.

delivered, dead, passed          how it ended, as the DELIVERIES stream has it; a dead letter that is
                                 still there, too
waiting                          the subscriber's consumer has not handed it out yet
in hand                          a worker has it, or has settled it before an earlier one
not matched, before its start    the subscriber never gets it
settled, not recorded            the subscriber is through with it, and nobody kept how it ended

Dead letters and what is in quarantine follow. Quarantine is searched whole, and so is one of 64
partitions of a source whose subjects don't name the interaction. An interaction that is nowhere is
exit code 1.`

// timelineFlags are those of timeline.
type timelineFlags struct {
	mesh   operatorFlags
	source string
	since  string
	limit  int
	bodies bool
}

func newTimeline(p *program) *cobra.Command {
	f := new(timelineFlags)
	cmd := &cobra.Command{
		Use:   "timeline INTERACTION",
		Short: "Show what is stored of an interaction and what became of it",
		Long:  timelineHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			search, err := f.search(args[0], time.Now())
			if err != nil {
				return err
			}
			return p.withOperator(cmd, &f.mesh, func(ctx context.Context, op operating) error {
				return p.timeline(ctx, cmd, f, op, search)
			})
		},
	}
	flags := cmd.Flags()
	f.mesh.add(flags)
	flags.StringVar(&f.source, "source", "", "only what came through the source `NAME`")
	flags.StringVar(&f.since, "since", "", "only what was stored since `TIME`: RFC 3339, or how long ago, such as 2h or 7d")
	flags.IntVar(&f.limit, "limit", mesh.DefaultTimeline, "at most `N` events, the oldest first; up to "+strconv.Itoa(mesh.MaxTimeline))
	flags.BoolVar(&f.bodies, "bodies", false, "show the bodies, too")
	p.outputFlag(cmd)
	return cmd
}

func (f *timelineFlags) search(interaction string, now time.Time) (mesh.InteractionSearch, error) {
	search := mesh.InteractionSearch{Interaction: interaction, Source: f.source, Limit: f.limit, Bodies: f.bodies}
	if f.limit < 1 || f.limit > mesh.MaxTimeline {
		return search, fmt.Errorf("--limit must be 1 to %d", mesh.MaxTimeline)
	}
	var err error
	search.Since, err = parseTime("since", f.since, now)
	return search, err
}

func (p *program) timeline(ctx context.Context, cmd *cobra.Command, f *timelineFlags, op operating, search mesh.InteractionSearch) error {
	line, err := op.Timeline(ctx, search)
	switch {
	case err != nil:
		return err
	case p.wantsJSON():
		err = writeJSON(cmd.OutOrStdout(), line)
	case !line.Empty():
		err = writeTimeline(cmd, line, f.limit)
	}
	if err == nil && line.Empty() {
		err = nowhere(line, search.Since)
	}
	return err
}

// nowhere says where it looked and how far back that reaches.
func nowhere(line *mesh.Timeline, since time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "nothing of interaction %q", line.Interaction)
	if !since.IsZero() {
		fmt.Fprintf(&b, " since %s", since.Local().Format(time.DateTime))
	}
	b.WriteString("; looked into")
	for i, looked := range line.Looked {
		if i > 0 {
			b.WriteByte(',')
		}
		if looked.Messages == 0 {
			fmt.Fprintf(&b, " %s (empty)", looked.Stream)
			continue
		}
		fmt.Fprintf(&b, " %s (%s, back to %s)", looked.Stream, plural(int(looked.Messages), "message"), looked.Oldest.Local().Format(time.DateTime))
	}
	return fmt.Errorf("%s", b.String())
}

func writeTimeline(cmd *cobra.Command, line *mesh.Timeline, limit int) error {
	w := cmd.OutOrStdout()
	if err := writeTimelineEvents(w, line.Events); err != nil {
		return err
	}
	if err := writeTimelineLetters(w, line.DeadLetters); err != nil {
		return err
	}
	if err := writeTimelineQuarantined(w, line.Quarantined); err != nil {
		return err
	}
	if !line.Recorded && len(line.Events) > 0 {
		say(cmd.ErrOrStderr(), `how deliveries ended is not recorded: streams.json has no stream that takes "deliveries.>"`)
	}
	if line.Truncated {
		say(cmd.ErrOrStderr(), "there is more than %d; --limit shows more", limit)
	}
	return nil
}

// writeTimelineEvents lines the events up, with the deliveries of each beneath it.
func writeTimelineEvents(w io.Writer, events []mesh.TimelineEvent) error {
	if len(events) == 0 {
		say(w, "no events")
		return nil
	}
	var t table
	t.row("STORED", "SOURCE", "TYPE", "MEDIA", "STREAM", "SEQUENCE", "EVENT ID", "FINGERPRINT", "BYTES")
	for _, e := range events {
		t.row(e.Stored.Local().Format(momentOfDay), e.Source, short(e.Type, 40), short(e.Media, 16), e.Stream,
			strconv.FormatUint(e.Sequence, 10), short(e.EventID, 36), short(e.Fingerprint, 9), strconv.Itoa(e.Bytes))
	}
	rows, err := t.lines()
	if err != nil {
		return err
	}
	say(w, "%s", rows[0])
	for i, e := range events {
		say(w, "%s", rows[i+1])
		if err := writeDeliveries(w, e.Deliveries); err != nil {
			return err
		}
		writeBody(w, e.Body)
	}
	return nil
}

// momentOfDay is a time for people who compare times.
const momentOfDay = "2006-01-02 15:04:05.000"

// lines are the rows as write lines them up.
func (t *table) lines() ([]string, error) {
	var b bytes.Buffer
	err := t.write(&b)
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n"), err
}

func writeDeliveries(w io.Writer, deliveries []mesh.TimelineDelivery) error {
	if len(deliveries) == 0 {
		return nil
	}
	var t table
	for _, d := range deliveries {
		t.row(d.Subscriber, string(d.State), deliveryDetail(d))
		for _, attempt := range d.EachAttempt {
			t.row("", "", attemptDetail(attempt))
		}
	}
	rows, err := t.lines()
	for _, row := range rows {
		say(w, "    %s", row)
	}
	return err
}

// attemptDetail is one attempt of a delivery.
func attemptDetail(a mesh.Attempt) string {
	text := a.At.Local().Format(momentOfDay) + ", attempt " + a.Outcome
	if a.Status > 0 {
		text += " " + strconv.Itoa(a.Status)
	}
	return text + ", took " + time.Duration(a.Took).Round(time.Millisecond).String()
}

func deliveryDetail(d mesh.TimelineDelivery) string {
	var parts []string
	add := func(given bool, format string, args ...any) {
		if given {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(!d.Ended.IsZero(), "%s", d.Ended.Local().Format(momentOfDay))
	add(d.Reason != "", "%s", d.Reason)
	add(d.Attempts > 0, "%s", plural(d.Attempts, "attempt"))
	add(d.IsUnderWay() && !d.Began.IsZero(), "since %s", d.Began.Local().Format(momentOfDay))
	add(!d.NextAttempt.IsZero(), "next attempt %s", d.NextAttempt.Local().Format(momentOfDay))
	add(!d.Ended.IsZero() && !d.Began.IsZero(), "took %s", d.Ended.Sub(d.Began).Round(time.Millisecond))
	add(d.Waited > 0, "of which waited %s", time.Duration(d.Waited).Round(time.Millisecond))
	add(d.DeadLetter > 0, "dead letter %d", d.DeadLetter)
	add(d.Replay, "replay")
	return strings.Join(parts, ", ")
}

func writeTimelineLetters(w io.Writer, letters []mesh.TimelineDeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	say(w, "\ndead letters")
	var t table
	t.row("NUMBER", "BURIED", "SUBSCRIBER", "REASON", "STATUS", "ATTEMPTS", "EVENT", "ERROR")
	for _, d := range letters {
		t.row(strconv.FormatUint(d.Number, 10), d.Buried.Local().Format(momentOfDay), d.Subscriber, string(d.Reason), orDash(d.Status),
			strconv.Itoa(d.Attempts), fmt.Sprintf("%s %d", d.Stream, d.Sequence), short(d.Error, 80))
	}
	rows, err := t.lines()
	if err != nil {
		return err
	}
	say(w, "%s", rows[0])
	for i, d := range letters {
		say(w, "%s", rows[i+1])
		writeBody(w, d.Body)
	}
	return nil
}

func writeTimelineQuarantined(w io.Writer, quarantined []mesh.TimelineQuarantined) error {
	if len(quarantined) == 0 {
		return nil
	}
	say(w, "\nin quarantine")
	var t table
	t.row("NUMBER", "SINCE", "SOURCE", "REASON", "TYPE", "DETAIL")
	for _, q := range quarantined {
		t.row(strconv.FormatUint(q.Number, 10), q.Since.Local().Format(momentOfDay), q.Source, q.Reason, short(q.Type, 40), short(q.Detail, 80))
	}
	rows, err := t.lines()
	if err != nil {
		return err
	}
	say(w, "%s", rows[0])
	for i, q := range quarantined {
		say(w, "%s", rows[i+1])
		writeBody(w, q.Body)
	}
	return nil
}

// writeBody shows a body, indented; nil is none.
func writeBody(w io.Writer, body any) {
	text := ""
	switch b := body.(type) {
	case json.RawMessage:
		text = pretty(b)
	case string:
		text = b
	case nil:
	default: // JSON that a console has sent
		if raw, err := json.Marshal(b); err == nil {
			text = pretty(raw)
		}
	}
	for line := range strings.Lines(text) {
		say(w, "    %s", strings.TrimSuffix(line, "\n"))
	}
}
