package cli

import (
	"runtime"

	"github.com/spf13/cobra"
)

// versions is what genmesh version prints.
type versions struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	System  string `json:"system"`
}

func newVersion(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := versions{p.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if p.wantsJSON() {
				return writeJSON(cmd.OutOrStdout(), v)
			}
			say(cmd.OutOrStdout(), "genmesh %s (%s, %s)", v.Version, v.Go, v.System)
			return nil
		},
	}
	p.outputFlag(cmd)
	return cmd
}
