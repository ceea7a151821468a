package mesh_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// TestAStartThatComesTooLateIsNoted: where a subscriber begins is decided once, and whoever edits it later is told.
func TestAStartThatComesTooLateIsNoted(t *testing.T) {
	const crm = `"name": "crm",`
	withStart := func(start string) *mesh.Topology { return edited(t, crm, crm+start) }
	for name, c := range map[string]struct{ began, wanted, note string }{
		"all of it": {`"start": "now",`, `"start": "all",`,
			`start "all": it counts for a new subscriber, and crm began by deliver_policy new; it goes on where it is; genmesh replay crm --all (or --since TIME) gives it what it missed`},
		"left out": {`"start": "now",`, ``,
			`deliver_policy all: it counts for a new subscriber, and crm began by deliver_policy new; it goes on where it is; genmesh replay crm --all (or --since TIME) gives it what it missed`},
		"a day": {`"start": "now",`, `"start": "2026-11-01T00:00:00Z",`,
			`start "2026-11-01T00:00:00Z": it counts for a new subscriber, and crm began by deliver_policy new; it goes on where it is; genmesh replay crm --since 2026-11-01T00:00:00Z gives it what it missed`},
		"another day": {`"deliver_policy": "by_start_time", "opt_start_time": "2026-11-02T00:00:00Z",`, `"deliver_policy": "by_start_time", "opt_start_time": "2026-11-01T00:00:00Z",`,
			`deliver_policy by_start_time 2026-11-01T00:00:00Z: it counts for a new subscriber, and crm began by deliver_policy by_start_time 2026-11-02T00:00:00Z; it goes on where it is; genmesh replay crm --since 2026-11-01T00:00:00Z gives it what it missed`},
		"a sequence": {``, `"deliver_policy": "by_start_sequence", "opt_start_seq": 7,`,
			`deliver_policy by_start_sequence 7: it counts for a new subscriber, and crm began by deliver_policy all; it goes on where it is; genmesh replay crm --since TIME gives it what it missed`},
		"less": {`"start": "all",`, `"start": "now",`,
			`start "now": it counts for a new subscriber, and crm began by deliver_policy all; it goes on where it is`},
		"the same, in other words": {`"start": "now",`, `"deliver_policy": "new",`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := meshtest.Start(t).JetStream()
			first := planned(t, withStart(c.began), js)
			assert.Empty(t, first.Notes, "a new subscriber begins as it shall")
			require.NoError(t, first.Apply(t.Context(), js, false))
			plan := planned(t, withStart(c.wanted), js)
			requireNotes(t, plan, c.note)
			requireEmpty(t, plan)
			require.NoError(t, plan.Apply(t.Context(), js, false))
			requireNotes(t, planned(t, withStart(c.wanted), js), c.note)
		})
	}
}

func requireNotes(t *testing.T, plan mesh.Plan, note string) {
	t.Helper()
	if note == "" {
		require.Empty(t, plan.Notes)
		return
	}
	require.Equal(t, []string{note}, plan.Notes)
	require.Contains(t, text(t, plan), "note: "+note+"\n")
}

// Consumers that went on where others were began nowhere of their own.
func TestAStartIsNotNotedOfWhoWentOnWhereOthersWere(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	divided := edited(t, `"name": "crm",`, `"name": "crm", "partitions": 2,`)
	apply(t, divided, js)
	assert.Empty(t, planned(t, divided, js).Notes)
}
