package genesys_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/genmesh/genmesh/genesys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type sample struct {
	ID          string `json:"id"`
	Timestamp   int64  `json:"timestamp"`
	EventTypeID string `json:"eventTypeId"`
	Data        struct {
		ID, ContactID, Type, State string
		Sequence                   int
	} `json:"data"`
}

func TestSamplesTellLifecyclesInOrder(t *testing.T) {
	s := genesys.NewSampler(1)
	now := time.Unix(1_700_000_000, 0)
	steps, last := map[string]int{}, map[string]string{}
	ids := map[string]bool{}
	for range 2000 {
		var e sample
		require.NoError(t, json.Unmarshal(s.Next(now), &e))
		assert.Equal(t, "interaction", e.EventTypeID)
		assert.Equal(t, now.Unix(), e.Timestamp)
		assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, e.ID)
		assert.False(t, ids[e.ID], "an envelope id comes once")
		ids[e.ID] = true
		assert.Regexp(t, `^\d{12}$`, e.Data.ID)
		assert.Regexp(t, `^c-\d+$`, e.Data.ContactID)
		assert.Contains(t, []string{"call", "chat", "email", "message", "callback"}, e.Data.Type)
		assert.NotEqual(t, "wrapup", last[e.Data.ID], "nothing follows the last event")
		steps[e.Data.ID]++
		assert.Equal(t, steps[e.Data.ID], e.Data.Sequence)
		if e.Data.Sequence == 1 {
			assert.Equal(t, "connected", e.Data.State)
		}
		last[e.Data.ID] = e.Data.State
	}
	ended := 0
	for id, state := range last {
		if state == "wrapup" {
			ended++
			assert.GreaterOrEqual(t, steps[id], 6)
			assert.LessOrEqual(t, steps[id], 10)
		}
	}
	assert.Greater(t, ended, 100)
}

func TestSamplerRepeatsItself(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	a, b, other := genesys.NewSampler(7), genesys.NewSampler(7), genesys.NewSampler(8)
	for range 50 {
		next := a.Next(now)
		assert.Equal(t, next, b.Next(now))
		assert.NotEqual(t, next, other.Next(now))
	}
}

func TestPresets(t *testing.T) {
	first := genesys.SourceDefaults()
	require.Contains(t, first, "genesys")
	var preset struct {
		Verification struct{ Header string }
		Identity     map[string]any
	}
	require.NoError(t, json.Unmarshal(first["genesys"], &preset))
	assert.Equal(t, "X-Genesys-Signature", preset.Verification.Header)
	assert.Equal(t, "data.id", preset.Identity["interaction"])

	delete(first, "genesys")
	assert.Contains(t, genesys.SourceDefaults(), "genesys", "the map is the caller's own")
}
