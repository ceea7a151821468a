package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// commits is what the committer has counted for one stream so far.
type commits struct {
	events  float64
	batches float64
	refused float64
}

// readCommits reads a stream's counts out of genmesh's own metrics. They are zero for a stream
// that genmesh stores nothing in.
func readCommits(metrics prometheus.Gatherer, stream string) (commits, error) {
	families, err := metrics.Gather()
	if err != nil {
		return commits{}, fmt.Errorf("genmesh's metrics: %w", err)
	}
	var c commits
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if !isOfStream(m, stream) {
				continue
			}
			switch family.GetName() {
			case "genmesh_commit_batch_events":
				c.events = m.GetHistogram().GetSampleSum()
				c.batches = float64(m.GetHistogram().GetSampleCount())
			case "genmesh_commit_batches_refused_total":
				c.refused = m.GetCounter().GetValue()
			}
		}
	}
	return c, nil
}

func isOfStream(m *dto.Metric, stream string) bool {
	for _, label := range m.GetLabel() {
		if label.GetName() == "stream" && label.GetValue() == stream {
			return true
		}
	}
	return false
}

// since is the events of an average commit, and the batches refused, after before.
func (c commits) since(before commits) (batch, refused float64) {
	if made := c.batches - before.batches; made > 0 {
		batch = (c.events - before.events) / made
	}
	return batch, c.refused - before.refused
}
