package admin_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// TestATimeThatTheServerCantTellChoosesNothing: nats-server takes one after the year 2261 for one before everything.
func TestATimeThatTheServerCantTellChoosesNothing(t *testing.T) {
	d := newDesk(t)
	d.put("call-1", "connected")
	d.bury("call-1")
	slip := time.Date(2926, 11, 20, 0, 0, 0, 0, time.UTC)
	_, err := d.DiscardDeadLetters(t.Context(), admin.By{}, admin.DeadSelection{Since: slip}, nil)
	require.ErrorIs(t, err, admin.ErrInvalid)
	_, err = d.DeadLetter(t.Context(), 1)
	require.NoError(t, err, "it is still there")
	_, err = d.StartReplay(t.Context(), admin.By{}, admin.ReplayAsk{Subscriber: "crm", Since: slip})
	require.ErrorIs(t, err, admin.ErrInvalid)
	_, err = d.Timeline(t.Context(), mesh.InteractionSearch{Interaction: "call-1", Since: slip})
	require.ErrorIs(t, err, admin.ErrInvalid)
	_, err = d.DeadGroups(t.Context(), admin.DeadQuery{Until: slip})
	require.ErrorIs(t, err, admin.ErrInvalid, "and none is before it")
	_, err = d.DeadGroups(t.Context(), admin.DeadQuery{Since: time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
}
