package admin

import (
	"context"
	"fmt"

	"github.com/genmesh/genmesh/mesh"
)

// Configuration is streams.json as this process has it, and how the server differs from it. Where nobody told of the file only the difference
// is known. What may be a key is left out of both. If the server can't be asked, what is known of the file comes beside the error.
func (d *Direct) Configuration(ctx context.Context) (Configuration, error) {
	var c Configuration
	if d.o.File != nil {
		c = d.o.File()
		c.Text = withoutSecrets(c.Text)
	}
	plan, err := d.o.Topology().Plan(ctx, d.o.JetStream)
	if err != nil {
		c.Plan = mesh.Plan{Steps: []mesh.Step{}}
		return c, fmt.Errorf("compare streams.json with the server: %w", err)
	}
	c.Plan = plan
	c.Plan.Steps = stepsWithoutSecrets(plan.Steps)
	return c, nil
}
