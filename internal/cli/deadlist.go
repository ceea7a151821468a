package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
)

// defaultListed keeps a list readable, and what a program holds of it small.
const defaultListed = 100

func newDeadList(p *program) *cobra.Command {
	f := new(deadFlags)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, the oldest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			return p.withOperator(cmd, &f.mesh, func(ctx context.Context, op operating) error {
				return p.deadList(ctx, cmd, f, op, q)
			})
		},
	}
	f.add(cmd, defaultListed)
	p.outputFlag(cmd)
	return cmd
}

func (p *program) deadList(ctx context.Context, cmd *cobra.Command, f *deadFlags, op operating, q admin.DeadQuery) error {
	listed := []deadJSON{}
	err := f.find(ctx, op, q, func(letter admin.DeadLetter) { listed = append(listed, summary(letter)) })
	if err != nil {
		return err
	}
	if p.wantsJSON() {
		return writeJSON(cmd.OutOrStdout(), listed)
	}
	if len(listed) == 0 {
		say(cmd.OutOrStdout(), "no dead letters")
		return nil
	}
	var t table
	t.row("NUMBER", "SUBSCRIBER", "REASON", "STATUS", "ATTEMPTS", "INTERACTION", "TYPE", "BURIED", "ERROR")
	for _, d := range listed {
		t.row(strconv.FormatUint(d.Number, 10), d.Subscriber, d.Reason, orDash(d.Status), strconv.Itoa(d.Attempts),
			short(d.Interaction, 40), short(d.Type, 24), d.Buried.Local().Format(time.DateTime), short(d.Error, 80))
	}
	if err := t.write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if len(listed) == f.limit {
		say(cmd.ErrOrStderr(), "these are the first %d; --limit shows more", f.limit)
	}
	return nil
}

func orDash(status int) string {
	if status == 0 {
		return "-"
	}
	return strconv.Itoa(status)
}

// deadJSON is a dead letter for programs.
type deadJSON struct {
	Number       uint64     `json:"number"`
	Subscriber   string     `json:"subscriber"`
	Reason       string     `json:"reason"`
	Status       int        `json:"status,omitempty"`
	Attempts     int        `json:"attempts"`
	Error        string     `json:"error,omitempty"`
	Answer       string     `json:"answer,omitempty"`
	FirstAttempt *time.Time `json:"first_attempt,omitempty"`
	LastAttempt  *time.Time `json:"last_attempt,omitempty"`
	Buried       time.Time  `json:"buried"`
	Stream       string     `json:"stream"`
	Sequence     uint64     `json:"sequence"`
	Subject      string     `json:"subject"`
	Source       string     `json:"source"`
	Organization string     `json:"organization,omitempty"`
	Interaction  string     `json:"interaction"`
	EventID      string     `json:"event_id,omitempty"`
	Type         string     `json:"type"`
	Media        string     `json:"media,omitempty"`
	Occurred     *time.Time `json:"occurred,omitempty"`
	Received     *time.Time `json:"received,omitempty"`
	Body         any        `json:"body,omitempty"`
}

func summary(d admin.DeadLetter) deadJSON {
	return deadJSON{
		Number: d.Number, Subscriber: d.Subscriber, Reason: d.Reason, Status: d.Status, Attempts: d.Attempts,
		Error: d.Error, Answer: d.Answer, FirstAttempt: known(d.FirstAttempt), LastAttempt: known(d.LastAttempt),
		Buried: d.Buried.UTC(), Stream: d.Stream, Sequence: d.Sequence, Subject: d.Subject, Source: d.Source,
		Organization: d.Organization, Interaction: d.Interaction, EventID: d.EventID, Type: d.Type, Media: d.Media,
		Occurred: known(d.Occurred), Received: known(d.Received),
	}
}

// known is nil for the zero time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
