package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

const applyHelp = `Make the streams and consumers on the server as streams.json says.

What would lose data, such as shrinking a limit or deleting a stream, is refused and named
unless --allow-destroy is given. Applying again changes nothing.

A change of partitions or order waits for the subscriber's events under way, up to 15 seconds; what
takes longer, applying again goes on with.`

func newApply(p *program) *cobra.Command {
	var allowDestroy bool
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make the server as streams.json says",
		Long:  applyHelp,
		Args:  cobra.NoArgs,
	}
	p.clusterCommand(cmd, func(ctx context.Context, t *mesh.Topology, js jetstream.JetStream) error {
		result, err := apply(ctx, t, js, allowDestroy, p.sayWaits)
		if p.wantsJSON() {
			return errors.Join(writeJSON(cmd.OutOrStdout(), result), err)
		}
		if err == nil || !result.empty() {
			result.writeText(cmd.OutOrStdout())
		}
		return counted(err)
	})
	cmd.Flags().BoolVar(&allowDestroy, "allow-destroy", false, "also make the changes that lose data")
	p.outputFlag(cmd)
	return cmd
}

// applied is what became of a plan.
type applied struct {
	Done    []mesh.Step `json:"done"`
	Refused []mesh.Step `json:"refused"`
	Notes   []string    `json:"notes,omitempty"`
}

// sayWaits says what apply waits for, as mesh.Draining.Waits does.
func (p *program) sayWaits(subscriber string, events int) {
	say(p.Err, "%s: waiting for %s under way to its target, before its consumers change", subscriber, plural(events, "event"))
}

func apply(ctx context.Context, t *mesh.Topology, js jetstream.JetStream, allowDestroy bool, waits func(string, int)) (applied, error) {
	plan, err := t.Apply(ctx, js, allowDestroy, mesh.Draining{Waits: waits})
	result := applied{Done: []mesh.Step{}, Refused: []mesh.Step{}, Notes: plan.Notes}
	if err == nil {
		result.Done = append(result.Done, plan.Steps...)
		return result, nil
	}
	if len(plan.Steps) == 0 {
		return result, err // there is no plan
	}
	var refusal *mesh.DestructiveError
	if errors.As(err, &refusal) {
		result.Refused = refusal.Steps
	}
	// Only the server knows how far it came.
	left, planErr := t.Plan(ctx, js)
	if planErr != nil {
		return result, errors.Join(err, planErr)
	}
	result.Done = append(result.Done, without(plan.Steps, left.Steps)...)
	return result, err
}

// counted is err without the names of the steps that were refused, for where they were named one by one.
func counted(err error) error {
	switch err := err.(type) { //nolint:errorlint // what it is made of is taken apart, not what it wraps
	case *mesh.DestructiveError:
		return fmt.Errorf("refused without --allow-destroy: %s that would lose data", plural(len(err.Steps), "step"))
	case interface{ Unwrap() []error }:
		var each []error
		for _, one := range err.Unwrap() {
			each = append(each, counted(one))
		}
		return errors.Join(each...)
	}
	return err
}

func (a applied) empty() bool { return len(a.Done)+len(a.Refused) == 0 }

// without are the steps that are not among left.
func without(steps, left []mesh.Step) []mesh.Step {
	return slices.DeleteFunc(slices.Clone(steps), func(s mesh.Step) bool {
		return slices.ContainsFunc(left, func(l mesh.Step) bool { return l.Kind == s.Kind && l.Name == s.Name })
	})
}

func (a applied) writeText(w io.Writer) {
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
	if a.empty() {
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
