package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

const auditHelp = `List what operators did, the newest first: who, when, what, why, and how far it came. What was
intended and has no later record was cut off.

The records are in the stream of streams.json that takes "audit.>", for as long as that keeps them.
They name no interaction.`

// auditFlags choose audit records.
type auditFlags struct {
	mesh       operatorFlags
	span       span
	action     string
	subscriber string
	by         string
	limit      int
}

func newAudit(p *program) *cobra.Command {
	f := new(auditFlags)
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "List who changed what, when and why",
		Long:  auditHelp,
		Example: `  genmesh audit --since 7d --action erase
  genmesh audit --by alice -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			return p.withOperator(cmd, &f.mesh, func(ctx context.Context, op operating) error {
				return p.auditList(ctx, cmd, f, op, q)
			})
		},
	}
	flags := cmd.Flags()
	f.mesh.add(flags)
	f.span.add(flags, "what was done")
	flags.StringVar(&f.action, "action", "", "only the `ACTION`: "+strings.Join(admin.Actions(), ", "))
	flags.StringVar(&f.subscriber, "subscriber", "", "only what was done to the subscriber `NAME`")
	flags.StringVar(&f.by, "by", "", "only what the user `NAME` did")
	flags.IntVar(&f.limit, "limit", defaultListed, "at most `N` records, the newest first; 0 is no limit")
	p.outputFlag(cmd)
	return cmd
}

func (f *auditFlags) query(now time.Time) (admin.AuditQuery, error) {
	q := admin.AuditQuery{Action: f.action, Subscriber: f.subscriber, User: f.by}
	if err := checkLimit(f.limit); err != nil {
		return q, err
	}
	var err error
	q.Since, q.Until, err = f.span.times(now)
	return q, err
}

func (p *program) auditList(ctx context.Context, cmd *cobra.Command, f *auditFlags, op operating, q admin.AuditQuery) error {
	records := []admin.AuditRecord{}
	err := readPages(f.limit, func(limit int, cursor string) ([]admin.AuditRecord, string, error) {
		q.Limit, q.Cursor = limit, cursor
		page, err := op.Audit(ctx, q)
		return page.Records, page.Next, err
	}, func(record admin.AuditRecord) { records = append(records, record) })
	switch {
	case err != nil:
		return err
	case p.wantsJSON():
		return writeJSON(cmd.OutOrStdout(), records)
	case len(records) == 0:
		say(cmd.OutOrStdout(), "no records")
		return nil
	}
	if err := writeAudit(cmd.OutOrStdout(), records); err != nil {
		return err
	}
	if len(records) == f.limit {
		say(cmd.ErrOrStderr(), "these are the latest %d; --limit shows more", f.limit)
	}
	return nil
}

func writeAudit(w io.Writer, records []admin.AuditRecord) error {
	var t table
	t.row("NUMBER", "AT", "WHO", "ACTION", "RESULT", "DONE", "ABOUT", "REASON")
	for _, r := range records {
		t.row(strconv.FormatUint(r.Number, 10), momentText(r.At), short(r.Who.String(), 40), short(r.Action, 24), resultText(r.Audit),
			countText(r.Audit), short(textOrDash(aboutText(r.Audit)), 80), short(textOrDash(r.Reason), 60))
	}
	return t.write(w)
}

func resultText(r mesh.Audit) string {
	if r.Problem == "" {
		return string(r.Result)
	}
	return string(r.Result) + ": " + short(r.Problem, 60)
}

// countText is how many of how many were done; "-" where nothing was counted.
func countText(r mesh.Audit) string {
	if r.Count == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", r.Done, r.Count)
}

// aboutText says to what it was done.
func aboutText(r mesh.Audit) string {
	var parts []string
	for _, part := range []string{r.Subscriber, r.Source, r.About, r.Numbers} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 && r.InteractionSHA256 != "" {
		parts = append(parts, "interaction with the hash "+short(r.InteractionSHA256, 12))
	}
	return strings.Join(parts, ", ")
}
