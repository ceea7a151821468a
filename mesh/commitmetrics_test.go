package mesh_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/meshtest"
)

// histogram is how often a histogram with one label was observed, by the label's value, and the sum of all.
func (c *commits) histogram(name string) (counts map[string]uint64, sum float64) {
	c.t.Helper()
	families, err := c.registry.Gather()
	require.NoError(c.t, err)
	counts = map[string]uint64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name {
				counts[m.GetLabel()[0].GetValue()] = m.GetHistogram().GetSampleCount()
				sum += m.GetHistogram().GetSampleSum()
			}
		}
	}
	return counts, sum
}

// TestEachStoredEventIsTimed: what memory answers took no commit.
func TestEachStoredEventIsTimed(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	for i := range 5 {
		c.commit(event(fmt.Sprint(i), "connected"))
		c.commit(event(fmt.Sprint(i), "connected"))
	}
	_, err := c.Quarantine(t.Context(), event("5", "connected"), "schema")
	require.NoError(t, err)

	counts, sum := c.histogram("genmesh_commit_seconds")
	assert.Equal(t, map[string]uint64{"INTERACTIONS": 5, "QUARANTINE": 1}, counts)
	assert.Positive(t, sum)
	assert.Equal(t, 5.0, c.metric("genmesh_commit_remembered_total"))
}
