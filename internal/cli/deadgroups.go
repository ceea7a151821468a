package cli

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
)

const deadGroupsHelp = `List why dead letters are there, the most frequent cause first. Those of one cause have the subscriber,
the reason, the status and the error in common, but for its numbers and ids.

The CAUSE of a line is what genmesh dead list, replay and discard take as --cause.`

func newDeadGroups(p *program) *cobra.Command {
	f := new(deadFlags)
	cmd := &cobra.Command{
		Use:   "groups",
		Short: "List dead letters by cause, the most frequent first",
		Long:  deadGroupsHelp,
		Example: `  genmesh dead groups --subscriber crm
  genmesh dead replay --cause 9f86d081884c7d65 --because 'the contacts are there now'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(time.Now())
			if err != nil {
				return err
			}
			return p.withOperator(cmd, &f.mesh, func(ctx context.Context, op operating) error {
				return p.deadGroups(ctx, cmd, op, q)
			})
		},
	}
	f.choose(cmd.Flags())
	p.outputFlag(cmd)
	return cmd
}

// groupWords are what went wrong, and the target's own words.
func groupWords(g admin.DeadGroup) string {
	if g.Answer == "" {
		return g.Error
	}
	return g.Error + ": " + g.Answer
}

func (p *program) deadGroups(ctx context.Context, cmd *cobra.Command, op operating, q admin.DeadQuery) error {
	grouped, err := op.DeadGroups(ctx, q)
	switch {
	case err != nil:
		return err
	case p.wantsJSON():
		return writeJSON(cmd.OutOrStdout(), grouped)
	case len(grouped.Groups) == 0:
		say(cmd.OutOrStdout(), "no dead letters")
		return nil
	}
	var t table
	t.row("CAUSE", "COUNT", "SUBSCRIBER", "REASON", "STATUS", "FIRST", "LAST", "NEWEST", "ERROR")
	for _, g := range grouped.Groups {
		t.row(g.Cause, strconv.FormatUint(g.Count, 10), g.Subscriber, g.Reason, orDash(g.Status), momentText(g.First), momentText(g.Last), strconv.FormatUint(g.Sample, 10), short(groupWords(g), 120))
	}
	if err := t.write(cmd.OutOrStdout()); err != nil {
		return err
	}
	if grouped.Looked < grouped.Total {
		say(cmd.ErrOrStderr(), "these are the causes of the newest %d of %s", grouped.Looked, plural(int(grouped.Total), "dead letter"))
	}
	return nil
}
