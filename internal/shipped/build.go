//go:build linux

// Package shipped builds genmesh and nats-server as they ship, and runs them as processes of their own: for tests that kill, freeze,
// measure and replace what users run.
package shipped

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build makes the programs under test in a folder: genmesh and nats-server.
func Build(folder string) error {
	for _, what := range [][]string{
		{"-trimpath", "-o", filepath.Join(folder, "genmesh"), "github.com/genmesh/genmesh"},
		{"-o", filepath.Join(folder, "nats-server"), "github.com/nats-io/nats-server/v2"},
	} {
		compile := exec.Command("go", append([]string{"build"}, what...)...)
		if out, err := compile.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", compile.Args, err, out)
		}
	}
	return nil
}
