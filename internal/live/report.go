package live

import (
	"time"

	dto "github.com/prometheus/client_model/go"
)

// Report is what one process of the mesh says of itself.
type Report struct {
	// Process is its id, which differs for each start.
	Process string
	// Up is for how long it has run, by its own clock.
	Up time.Duration
	// Families are those of its metrics whose names begin with "genmesh_".
	Families []*dto.MetricFamily
	// Errors are the latest different ones of each subscriber, the newest first.
	Errors map[string][]Error
}
