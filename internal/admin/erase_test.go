package admin_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

func TestErasureIsPlannedDoneAndRecordedByItsHash(t *testing.T) {
	d := newDesk(t)
	d.put("call-42", "connected")
	d.put("call-42", "ended")
	d.put("call-4", "connected")
	plan, err := d.PlanErasure(t.Context(), "call-42", "")
	require.NoError(t, err)
	assert.True(t, plan.DryRun)
	assert.Equal(t, 2, plan.Found())

	var told [][2]int
	result, err := d.Erase(t.Context(), d.by, admin.EraseAsk{Interaction: "call-42"}, func(done, of int) { told = append(told, [2]int{done, of}) })
	require.NoError(t, err)
	assert.True(t, result.Complete())
	assert.True(t, result.Audited)
	assert.Equal(t, [][2]int{{1, 2}, {2, 2}}, told)
	require.Len(t, result.Notices, 1)

	records := d.audits()
	require.Len(t, records, 2)
	for _, record := range records {
		assert.Equal(t, "erase", record.Action)
		assert.Equal(t, mesh.HashInteraction("call-42"), record.InteractionSHA256)
		assert.Equal(t, 2, record.Count)
	}
	assert.Equal(t, 2, records[0].Streams[0].Left, "what was intended is as it was then")
	assert.Equal(t, 2, records[1].Done)

	again, err := d.Erase(t.Context(), d.by, admin.EraseAsk{Interaction: "call-42"}, nil)
	require.NoError(t, err)
	assert.Zero(t, again.Found())
	assert.Len(t, d.audits(), 2, "nothing was done")
}

func TestErasureThatCannotBeIsRefused(t *testing.T) {
	d := newDesk(t)
	d.put("call-42", "connected")
	_, err := d.Erase(t.Context(), admin.By{Who: d.by.Who}, admin.EraseAsk{Interaction: "call-42"}, nil)
	require.ErrorIs(t, err, admin.ErrInvalid)
	for _, ask := range []admin.EraseAsk{{}, {Interaction: "call-42", Source: "gensys"}} {
		_, err := d.Erase(t.Context(), d.by, ask, nil)
		require.ErrorIs(t, err, admin.ErrInvalid, "%+v", ask)
		_, err = d.Timeline(t.Context(), mesh.InteractionSearch{Interaction: ask.Interaction, Source: ask.Source})
		require.ErrorIs(t, err, admin.ErrInvalid, "%+v", ask)
	}
	_, err = d.Timeline(t.Context(), mesh.InteractionSearch{Interaction: "call-42", Limit: mesh.MaxTimeline + 1})
	require.ErrorIs(t, err, admin.ErrInvalid)

	d.deleteStream("AUDIT")
	result, err := d.Erase(t.Context(), d.by, admin.EraseAsk{Interaction: "call-42"}, nil)
	require.ErrorContains(t, err, "nothing was erased")
	assert.Nil(t, result.Erasure)
	assert.Len(t, d.events(), 1)
}
