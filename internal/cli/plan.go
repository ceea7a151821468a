package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

func newPlan(p *program) *cobra.Command {
	f := new(operatorFlags)
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show how the server differs from streams.json; exit 2 if it does",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withOperator(cmd, f, func(ctx context.Context, op operating) error {
				configuration, err := op.Configuration(ctx)
				if err != nil {
					return err
				}
				if err := p.writePlan(cmd, configuration.Plan); err != nil || configuration.Plan.Empty() {
					return err
				}
				return exitCode(exitChanges)
			})
		},
	}
	f.add(cmd.Flags())
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
