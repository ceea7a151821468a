package mesh_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

const auditedStanding = `{
	"sources": [{"name": "genesys", "path": "/g", "preset": "genesys", "secret": "${S}", "stream": "EVENTS"}],
	"streams": [{"name": "EVENTS", "subjects": ["genesys.>"]}, {"name": "DEAD", "subjects": ["dead.>"]},
		{"name": "QUARANTINE", "subjects": ["quarantine.>"]}, {"name": "AUDIT", "subjects": ["audit.>"]},
		{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}]
}`

// TestAuditTrailLeadsBack from the latest record to the first, over many chunks, and passes by what somebody else has put there.
func TestAuditTrailLeadsBack(t *testing.T) {
	js, topology := meshtest.Start(t).JetStream(), meshtest.Topology(t, auditedStanding)
	meshtest.Apply(t, js, topology)
	read := func(filter mesh.AuditFilter) []mesh.AuditEntry {
		var entries []mesh.AuditEntry
		for entry, err := range topology.AuditTrail(t.Context(), js, filter) {
			require.NoError(t, err)
			entries = append(entries, entry)
		}
		return entries
	}
	assert.Empty(t, read(mesh.AuditFilter{}))

	const records = 1500
	for i := range records {
		action := "pause"
		if i%500 == 0 {
			action = "erase"
		}
		_, err := js.PublishAsync("audit."+action, fmt.Appendf(nil, `{"action":%q,"reason":"%d"}`, action, i+1))
		require.NoError(t, err)
	}
	_, err := js.PublishAsync("audit.pause", []byte("no record"))
	require.NoError(t, err)
	<-js.PublishAsyncComplete()

	all := read(mesh.AuditFilter{})
	require.Len(t, all, records)
	for i, entry := range all {
		require.EqualValues(t, records-i, entry.Number)
		require.Equal(t, fmt.Sprint(entry.Number), entry.Reason)
	}
	erases := read(mesh.AuditFilter{Action: "erase"})
	require.Len(t, erases, 3)
	assert.EqualValues(t, 1001, erases[0].Number)
	before := read(mesh.AuditFilter{Action: "erase", Before: 1001})
	require.Len(t, before, 2)
	assert.EqualValues(t, 501, before[0].Number)
	assert.Empty(t, read(mesh.AuditFilter{Action: "apply"}))
}
