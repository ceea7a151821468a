package cli

import (
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of streams.json, for editors",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(mesh.Schema())
			return err
		},
	}
}
