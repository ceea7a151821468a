package mesh_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

func (c *commits) commitAll(events ...mesh.Event) []mesh.Receipt {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	receipts, err := c.CommitAll(ctx, events)
	require.NoError(c.t, err)
	return receipts
}

func several(n int) []mesh.Event {
	events := make([]mesh.Event, n)
	for i := range events {
		events[i] = event(fmt.Sprintf("several-%d", i), "started")
	}
	return events
}

// batchesOf lists how many events each batch had that was sent off.
func (c *commits) batchesOf() (count uint64, events float64) {
	c.t.Helper()
	families, err := c.registry.Gather()
	require.NoError(c.t, err)
	for _, f := range families {
		if f.GetName() == "genmesh_commit_batch_events" {
			for _, m := range f.GetMetric() {
				count += m.GetHistogram().GetSampleCount()
				events += m.GetHistogram().GetSampleSum()
			}
		}
	}
	return count, events
}

func TestEventsOfOneDeliveryGoOutTogether(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	receipts := c.commitAll(several(20)...)

	for i, r := range receipts {
		assert.Equal(t, uint64(i+1), r.Sequence, "stored in the order of the delivery")
		assert.False(t, r.Duplicate)
	}
	batches, events := c.batchesOf()
	assert.Equal(t, uint64(1), batches, "one atomic batch")
	assert.Equal(t, 20.0, events)
}

func TestPartlyKnownDeliveryIsDedupedOneByOne(t *testing.T) {
	s := meshtest.Start(t)
	c := newCommits(t, s)
	all := several(6)
	c.commitAll(all[1], all[4])

	for i, r := range c.commitAll(all...) {
		assert.Equal(t, i == 1 || i == 4, r.Duplicate, "event %d", i)
	}
	assert.Equal(t, uint64(6), c.stored("INTERACTIONS"))

	// A process that has not seen any of it meets the duplicates in the server's window.
	stranger := startCommits(t, s.JetStream(), meshtest.Topology(t, committerTopology))
	for i, r := range stranger.commitAll(all...) {
		assert.True(t, r.Duplicate, "event %d", i)
	}
	assert.Equal(t, uint64(6), c.stored("INTERACTIONS"))
}

func TestEventsOfOneInteractionInOneDeliveryKeepTheirOrder(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	receipts := c.commitAll(event("42", "STARTED"), event("42", "FINISHED"), event("42", "STARTED"))

	assert.Less(t, receipts[0].Sequence, receipts[1].Sequence)
	assert.True(t, receipts[2].Duplicate, "the same event twice in one delivery is stored once")
	assert.Equal(t, uint64(2), c.stored("INTERACTIONS"))
}

func TestDeliveryHasItsBounds(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	for _, n := range []int{0, mesh.MaxEventsAtOnce + 1} {
		_, err := c.CommitAll(t.Context(), several(n))
		require.ErrorContains(t, err, "events at once")
	}
	assert.Len(t, c.commitAll(several(mesh.MaxEventsAtOnce)...), mesh.MaxEventsAtOnce)

	mixed := several(2)
	mixed[1].Source = "once"
	_, err := c.CommitAll(t.Context(), mixed)
	require.ErrorContains(t, err, "genesys and once")
}

func TestEventWithoutAnInteractionIsKeptUnderItsContent(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	presence := event("", "AVAILABLE")
	presence.Type = "v2.users.{id}.presence"

	first := c.commit(presence)
	assert.True(t, c.commit(presence).Duplicate)
	later := presence
	later.Fingerprint = fmt.Sprintf("%032x", "AWAY")
	assert.Equal(t, first.Sequence+1, c.commit(later).Sequence)

	a, err := mesh.GetEvent(t.Context(), c.js, "INTERACTIONS", first.Sequence)
	require.NoError(t, err)
	assert.Empty(t, a.Interaction)
	assert.Regexp(t, `^genesys\.\d\d\.v2=2Eusers`, a.Subject)
}
