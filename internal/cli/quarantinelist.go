package cli

import (
	"context"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
)

func newQuarantineList(p *program) *cobra.Command {
	f := new(quarantineFlags)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is in quarantine, the oldest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			return p.withOperator(cmd, &f.mesh, func(ctx context.Context, op operating) error {
				listed := []quarantinedJSON{}
				err := f.find(ctx, op, q, func(q admin.Quarantined) { listed = append(listed, quarantineSummary(q)) })
				if err != nil {
					return err
				}
				if p.wantsJSON() {
					return writeJSON(cmd.OutOrStdout(), listed)
				}
				return f.writeList(cmd, listed)
			})
		},
	}
	f.add(cmd, defaultListed)
	p.outputFlag(cmd)
	return cmd
}

func (f *quarantineFlags) writeList(cmd *cobra.Command, listed []quarantinedJSON) error {
	if len(listed) == 0 {
		say(cmd.OutOrStdout(), "nothing in quarantine")
		return nil
	}
	var t table
	t.row("NUMBER", "SOURCE", "REASON", "INTERACTION", "TYPE", "SINCE", "DETAIL")
	for _, q := range listed {
		t.row(strconv.FormatUint(q.Number, 10), q.Source, q.Reason, short(q.Interaction, 40), short(q.Type, 40),
			q.Since.Local().Format(time.DateTime), short(q.Detail, 80))
	}
	if err := t.write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if len(listed) == f.limit {
		say(cmd.ErrOrStderr(), "these are the first %d; --limit shows more", f.limit)
	}
	return nil
}

// quarantinedJSON is an event in quarantine for programs.
type quarantinedJSON struct {
	Number       uint64     `json:"number"`
	Source       string     `json:"source"`
	Reason       string     `json:"reason"`
	Detail       string     `json:"detail,omitempty"`
	Since        time.Time  `json:"since"`
	Organization string     `json:"organization,omitempty"`
	Interaction  string     `json:"interaction,omitempty"`
	EventID      string     `json:"event_id,omitempty"`
	Type         string     `json:"type,omitempty"`
	Media        string     `json:"media,omitempty"`
	Occurred     *time.Time `json:"occurred,omitempty"`
	Received     *time.Time `json:"received,omitempty"`
	Body         any        `json:"body,omitempty"`
}

func quarantineSummary(q admin.Quarantined) quarantinedJSON {
	return quarantinedJSON{
		Number: q.Number, Source: q.Source, Reason: q.Reason, Detail: q.Detail, Since: q.Since.UTC(), Organization: q.Organization,
		Interaction: q.Interaction, EventID: q.EventID, Type: q.Type, Media: q.Media, Occurred: known(q.Occurred), Received: known(q.Received),
	}
}

func newQuarantineShow(p *program) *cobra.Command {
	f := new(operatorFlags)
	cmd := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Show one event in quarantine with everything that is known about it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := parseNumbers(args, "quarantined event", "genmesh quarantine list")
			if err != nil {
				return err
			}
			return p.withOperator(cmd, f, func(ctx context.Context, op operating) error {
				q, err := op.QuarantinedEvent(ctx, numbers[0])
				if err != nil {
					return err
				}
				if p.wantsJSON() {
					shown := quarantineSummary(q)
					shown.Body = shownJSON(q.Body)
					return writeJSON(cmd.OutOrStdout(), shown)
				}
				return writeQuarantined(cmd.OutOrStdout(), q)
			})
		},
	}
	f.add(cmd.Flags())
	p.outputFlag(cmd)
	return cmd
}

// bodyJSON is a body as JSON where it is JSON, else as text.
func bodyJSON(body []byte) any {
	if json.Valid(body) {
		return json.RawMessage(body)
	}
	return string(body)
}

func writeQuarantined(w io.Writer, q admin.Quarantined) error {
	var t table
	t.row("number", strconv.FormatUint(q.Number, 10))
	t.row("reason", q.Reason)
	if q.Detail != "" {
		t.row("detail", q.Detail)
	}
	t.row("since", moment(q.Since))
	if err := t.write(w); err != nil {
		return err
	}
	writeEnvelope(w, q.Headers, q.Event, q.Body)
	return nil
}
