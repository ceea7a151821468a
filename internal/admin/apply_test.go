package admin_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

func TestFirstApplyIsRecordedInTheStreamThatItMakes(t *testing.T) {
	d := newDeskUnapplied(t)
	applied, err := d.Apply(t.Context(), d.by, false)
	require.NoError(t, err)
	assert.True(t, applied.Audited)
	records := d.audits()
	require.Len(t, records, 1, "before, there was nowhere to record what is intended")
	assert.Equal(t, mesh.AuditDone, records[0].Result)
	assert.Equal(t, len(applied.Done), records[0].Count)
	assert.Contains(t, records[0].About, "create stream INTERACTIONS, ")

	again, err := d.Apply(t.Context(), d.by, false)
	require.NoError(t, err)
	assert.True(t, again.Empty())
	assert.Len(t, d.audits(), 1, "nothing was done")
	raw, err := json.Marshal(again)
	require.NoError(t, err)
	assert.JSONEq(t, `{"done":[],"refused":[],"audited":false}`, string(raw))
}

func TestApplyTellsWhatItRefused(t *testing.T) {
	d := newDesk(t)
	d.put("call-1", "connected")
	d.edit(`"max_ack_pending": 1024`, `"max_ack_pending": 512`, `"max_bytes": 10737418240`, `"max_bytes": 100`)
	applied, err := d.Apply(t.Context(), d.by, false)
	require.NoError(t, err, "that a loss was refused is no error")
	require.Len(t, applied.Done, 2)
	assert.Equal(t, "INTERACTIONS/analytics", applied.Done[0].Name)
	require.Len(t, applied.Refused, 1)
	assert.Equal(t, "INTERACTIONS", applied.Refused[0].Name)

	applied, err = d.Apply(t.Context(), d.by, true)
	require.NoError(t, err)
	assert.Len(t, applied.Done, 1)
	records := d.audits()
	require.Len(t, records, 4)
	for i, want := range []mesh.AuditResult{mesh.AuditIntended, mesh.AuditIncomplete, mesh.AuditIntended, mesh.AuditDone} {
		assert.Equal(t, want, records[i].Result)
	}
	assert.Equal(t, "1 would lose data and were refused", records[1].Problem)
	assert.Equal(t, "update stream INTERACTIONS; with --allow-destroy", records[3].About)
}

// TestApplyMendsAnAuditThatCannotBeKept: a full audit must not keep anybody from making room in it.
func TestApplyMendsAnAuditThatCannotBeKept(t *testing.T) {
	d := newDesk(t)
	audit, err := d.js.Stream(t.Context(), "AUDIT")
	require.NoError(t, err)
	config := audit.CachedInfo().Config
	config.MaxBytes = 10
	_, err = d.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	d.bury("call-1")
	_, err = d.DiscardDeadLetters(t.Context(), d.by, admin.DeadSelection{All: true}, nil)
	require.ErrorContains(t, err, "nothing was done")

	applied, err := d.Apply(t.Context(), d.by, false)
	require.NoError(t, err)
	assert.Len(t, applied.Done, 1)
	assert.True(t, applied.Audited)
}

// A process that applies streams.json as it starts, or because somebody saved it, makes no less of a change than a command.
func TestWhatAProcessAppliesByItselfIsRecorded(t *testing.T) {
	d := newDesk(t)
	apply := func() {
		plan, err := d.topology.Apply(t.Context(), d.js, false, mesh.Draining{})
		d.RecordApplied(t.Context(), d.topology, d.by, plan, err)
	}
	apply()
	assert.Empty(t, d.audits(), "nothing was changed")
	d.edit(`"max_ack_pending": 1024`, `"max_ack_pending": 512`)
	apply()
	records := d.audits()
	require.Len(t, records, 1)
	assert.Equal(t, mesh.AuditDone, records[0].Result)
	assert.Contains(t, records[0].About, "update consumer INTERACTIONS/analytics")

	d.put("call-1", "connected")
	d.edit(`"max_ack_pending": 1024`, `"max_ack_pending": 512`, `"max_bytes": 10737418240`, `"max_bytes": 100`)
	apply()
	assert.Len(t, d.audits(), 1, "what would lose data was refused, and so nothing was changed")
	d.edit(`"max_ack_pending": 1024`, `"max_ack_pending": 256`, `"max_bytes": 10737418240`, `"max_bytes": 100`)
	apply()
	records = d.audits()
	require.Len(t, records, 2)
	assert.Equal(t, mesh.AuditIncomplete, records[1].Result)
	assert.Equal(t, "1 would lose data and were refused", records[1].Problem)
}
