package cli

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

func newPlan(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show how the server differs from streams.json; exit 2 if it does",
		Args:  cobra.NoArgs,
	}
	p.clusterCommand(cmd, func(ctx context.Context, t *mesh.Topology, js jetstream.JetStream) error {
		plan, err := t.Plan(ctx, js)
		if err != nil {
			return err
		}
		if err := p.writePlan(cmd, plan); err != nil {
			return err
		}
		if !plan.Empty() {
			return exitCode(exitChanges)
		}
		return nil
	})
	p.outputFlag(cmd)
	return cmd
}

func (p *program) writePlan(cmd *cobra.Command, plan mesh.Plan) error {
	if p.wantsJSON() {
		if plan.Steps == nil {
			plan.Steps = []mesh.Step{} // an empty list, not null
		}
		return writeJSON(cmd.OutOrStdout(), plan)
	}
	var text strings.Builder
	if err := plan.WriteText(&text); err != nil {
		return err
	}
	writeLines(cmd.OutOrStdout(), text.String())
	return nil
}
