package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

const applyHelp = `Make the streams and consumers on the server as streams.json says.

What would lose data, such as shrinking a limit or deleting a stream, is refused and named
unless --allow-destroy is given. Applying again changes nothing.

A change of partitions or order waits for the subscriber's events under way, up to 15 seconds; what
takes longer, applying again goes on with.`

func newApply(p *program) *cobra.Command {
	f := new(operatorFlags)
	var allowDestroy bool
	var because string
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make the server as streams.json says",
		Long:  applyHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withOperator(cmd, f, func(ctx context.Context, op operating) error {
				return p.apply(ctx, cmd, op, allowDestroy, because)
			})
		},
	}
	f.add(cmd.Flags())
	cmd.Flags().BoolVar(&allowDestroy, "allow-destroy", false, "also make the changes that lose data")
	becauseFlag(cmd.Flags(), &because)
	p.outputFlag(cmd)
	return cmd
}

func (p *program) apply(ctx context.Context, cmd *cobra.Command, op operating, allowDestroy bool, because string) error {
	result, err := op.Apply(ctx, op.by(because), allowDestroy)
	if !result.Empty() {
		p.warnNoAudit(result.Trail)
	}
	if p.wantsJSON() {
		return errors.Join(writeJSON(cmd.OutOrStdout(), result), err, refusal(result))
	}
	if err == nil || !result.Empty() {
		writeApplied(cmd.OutOrStdout(), result)
	}
	return errors.Join(err, refusal(result))
}

// refusal is what makes refused steps the exit code 1; they are named one by one elsewhere.
func refusal(result admin.Applied) error {
	if len(result.Refused) == 0 {
		return nil
	}
	return fmt.Errorf("refused without --allow-destroy: %s that would lose data", plural(len(result.Refused), "step"))
}

// sayWaits says what apply waits for, as mesh.Draining.Waits does.
func (p *program) sayWaits(subscriber string, events int) {
	say(p.Err, "%s: waiting for %s under way to its target, before its consumers change", subscriber, plural(events, "event"))
}

func writeApplied(w io.Writer, a admin.Applied) {
	past := map[mesh.Action]string{
		mesh.Create: "created", mesh.Update: "updated", mesh.Replace: "replaced", mesh.Delete: "deleted",
		mesh.Switch: "switched",
	}
	for _, s := range a.Done {
		say(w, "%s %s %s%s", past[s.Action], s.Kind, s.Name, changedFields(s))
	}
	for _, s := range a.Refused {
		say(w, "refused to %s %s %s: it loses %s", s.Action, s.Kind, s.Name, s.Loses)
	}
	for _, note := range a.Notes {
		say(w, "note: %s", note)
	}
	if a.Empty() {
		say(w, "nothing to do: the server is as streams.json says")
	}
}

func changedFields(s mesh.Step) string {
	if s.Action == mesh.Create {
		return ""
	}
	text := ""
	for _, c := range s.Changes {
		text += fmt.Sprintf(", %s %s → %s", c.Field, orUnset(c.From), orUnset(c.To))
	}
	return text
}

func orUnset(value string) string {
	if value == "" {
		return "(unset)"
	}
	return value
}
