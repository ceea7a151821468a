package admin_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

func TestReplayIsPlannedBegunListedAndCanceled(t *testing.T) {
	d := newDesk(t)
	for _, state := range []string{"connected", "queued", "answered"} {
		d.put("call-7", state)
	}
	d.put("call-8", "connected")
	ask := admin.ReplayAsk{Subscriber: "crm", Interaction: "call-7"}
	plan, err := d.PlanReplay(t.Context(), ask)
	require.NoError(t, err)
	assert.True(t, plan.DryRun)
	assert.EqualValues(t, 3, plan.Events)
	assert.Equal(t, "50/s", plan.Rate.String())
	running, err := d.Replays(t.Context(), "")
	require.NoError(t, err)
	assert.Empty(t, running, "it was all talk")

	begun, err := d.StartReplay(t.Context(), d.by, ask)
	require.NoError(t, err)
	assert.False(t, begun.DryRun)
	assert.True(t, begun.Audited)
	running, err = d.Replays(t.Context(), "crm")
	require.NoError(t, err)
	require.Len(t, running, 1)
	assert.Equal(t, begun.ID, running[0].ID)
	assert.Equal(t, "alice", running[0].By)
	assert.Equal(t, "ticket 7", running[0].Reason)

	_, err = d.CancelReplay(t.Context(), d.by, "analytics", begun.ID)
	require.ErrorIs(t, err, admin.ErrNotFound)
	canceled, err := d.CancelReplay(t.Context(), d.by, "crm", begun.ID)
	require.NoError(t, err)
	assert.EqualValues(t, 3, canceled.Left)

	records := d.audits()
	require.Len(t, records, 2)
	assert.Equal(t, "replay "+begun.ID+", sequences 1 to 4 of stream INTERACTIONS, at most 50/s, only of one interaction", records[0].About)
	assert.Equal(t, mesh.HashInteraction("call-7"), records[0].InteractionSHA256)
	assert.Equal(t, "replay "+begun.ID, records[1].About)
	assert.Equal(t, 3, records[1].Count)
}

func TestReplayThatCannotBeIsRefused(t *testing.T) {
	d := newDesk(t)
	d.put("call-1", "connected")
	now := time.Now()
	for name, tc := range map[string]struct {
		ask  admin.ReplayAsk
		kind error
		says string
	}{
		"nothing chosen":   {admin.ReplayAsk{Subscriber: "crm"}, admin.ErrInvalid, "choose what to replay"},
		"only until":       {admin.ReplayAsk{Subscriber: "crm", Until: now}, admin.ErrInvalid, "choose what to replay"},
		"all and a part":   {admin.ReplayAsk{Subscriber: "crm", All: true, Type: "x"}, admin.ErrInvalid, "choose what to replay"},
		"ends first":       {admin.ReplayAsk{Subscriber: "crm", Since: now, Until: now.Add(-time.Hour)}, admin.ErrInvalid, "until must be later"},
		"rate below zero":  {admin.ReplayAsk{Subscriber: "crm", All: true, Rate: mesh.Rate{Events: -1, Per: time.Second}}, admin.ErrInvalid, "rate"},
		"rate of no time":  {admin.ReplayAsk{Subscriber: "crm", All: true, Rate: mesh.Rate{Events: 1}}, admin.ErrInvalid, "rate"},
		"to nobody":        {admin.ReplayAsk{Subscriber: "crn", All: true}, admin.ErrNotFound, "there is no subscriber"},
		"of no such event": {admin.ReplayAsk{Subscriber: "crm", Type: "call"}, admin.ErrNotFound, `"call" is a media type; the latest events are of interaction`},
	} {
		_, err := d.PlanReplay(t.Context(), tc.ask)
		require.ErrorIs(t, err, tc.kind, name)
		require.ErrorContains(t, err, tc.says, name)
		_, err = d.StartReplay(t.Context(), d.by, tc.ask)
		require.ErrorIs(t, err, tc.kind, name)
	}
	assert.Empty(t, d.audits())
}
