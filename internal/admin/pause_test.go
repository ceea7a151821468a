package admin_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

func TestPauseSaysByWhomAndWhatItComesTo(t *testing.T) {
	d := newDesk(t)
	d.put("call-1", "connected")
	result, err := d.Pause(t.Context(), d.by, "crm", mesh.Duration(15*time.Minute))
	require.NoError(t, err)
	require.NotNil(t, result.Pause)
	assert.Equal(t, "alice", result.Pause.By)
	assert.Equal(t, "ticket 7", result.Pause.Reason)
	assert.WithinDuration(t, time.Now().Add(15*time.Minute), result.Pause.Until, time.Minute)
	assert.Equal(t, 32, result.CatchUp.MaxInFlight)
	assert.Equal(t, 168*time.Hour, time.Duration(result.MaxAge))
	assert.Equal(t, admin.Trail{Audited: true}, result.Trail)

	result, err = d.Resume(t.Context(), d.by, "crm")
	require.NoError(t, err)
	assert.Nil(t, result.Pause)
	assert.Empty(t, result.Warning)

	records := d.audits()
	require.Len(t, records, 2)
	assert.Equal(t, "pause crm for 15m", records[0].Action+" "+records[0].Subscriber+" "+records[0].About)
	assert.Equal(t, "resume crm", records[1].Action+" "+records[1].Subscriber)
}

// TestPauseHoldsEvenIfItCannotBeRecorded: it was done, and whoever asked for it hears that nobody will read of it.
func TestPauseHoldsEvenIfItCannotBeRecorded(t *testing.T) {
	d := newDesk(t)
	d.deleteStream("AUDIT")
	result, err := d.Pause(t.Context(), d.by, "crm", 0)
	require.NoError(t, err)
	assert.NotNil(t, result.Pause)
	assert.False(t, result.Audited)
	assert.Contains(t, result.AuditProblem, "store the audit record in stream AUDIT")
}

func TestPauseThatFailsIsRecordedAsIncomplete(t *testing.T) {
	d := newDesk(t)
	d.deleteStream("KV_" + mesh.StateBucket)
	result, err := d.Pause(t.Context(), d.by, "crm", 0)
	require.Error(t, err)
	assert.True(t, result.Audited)
	_, err = d.Resume(t.Context(), d.by, "crm")
	require.Error(t, err)
	for _, record := range d.audits() {
		if record.Subscriber == "crm" {
			assert.Equal(t, mesh.AuditIncomplete, record.Result, record.Action)
		}
	}
	assert.Len(t, d.audits(), 2)
}

func TestPauseThatCannotBeIsRefused(t *testing.T) {
	d := newDesk(t)
	for name, tc := range map[string]struct {
		by     admin.By
		of     string
		length time.Duration
		kind   error
	}{
		"without a reason": {admin.By{Who: d.by.Who}, "crm", 0, admin.ErrInvalid},
		"for too long":     {d.by, "crm", admin.MaxPause + 1, admin.ErrInvalid},
		"below zero":       {d.by, "crm", -1, admin.ErrInvalid},
		"of nobody":        {d.by, "crn", 0, admin.ErrNotFound},
	} {
		_, err := d.Pause(t.Context(), tc.by, tc.of, mesh.Duration(tc.length))
		require.ErrorIs(t, err, tc.kind, name)
	}
	_, err := d.Resume(t.Context(), d.by, "crn")
	require.ErrorIs(t, err, admin.ErrNotFound)
	require.ErrorContains(t, err, `there is no subscriber "crn" in streams.json; there are crm, analytics, compliance`)
	assert.Empty(t, d.audits())
}
