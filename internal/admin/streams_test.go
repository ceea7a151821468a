package admin_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

func TestAStreamTellsHowFullItIs(t *testing.T) {
	d := newDesk(t, `"name": "INTERACTIONS",`, `"name": "INTERACTIONS", "max_msgs": 8,`)
	for i := range 7 {
		d.put(fmt.Sprint("call-", i), "connected")
	}
	streams, err := d.Streams(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 8, streams[0].MaxMessages)
	assert.InDelta(t, 7.0/8, streams[0].Fill, 0.001, "the nearest bound counts")
	assert.Equal(t, admin.HealthSlow, streams[0].Health)
	d.deleteStream("AUDIT")
	streams, err = d.Streams(t.Context())
	require.NoError(t, err)
	assert.False(t, streams[4].Applied)
}

func TestAClusterTellsLeaderAndFollowers(t *testing.T) {
	js := meshtest.StartCluster(t).JetStream(0)
	d := &desk{t: t, js: js}
	d.edit(`"num_replicas": "${NATS_REPLICAS:-1}"`, `"num_replicas": 3`)
	_, err := d.topology.Apply(t.Context(), js, false, mesh.Draining{})
	require.NoError(t, err)
	operator := d.withOptions(func(*admin.DirectOptions) {})
	require.Eventually(t, func() bool {
		streams, err := operator.Streams(t.Context())
		require.NoError(t, err)
		s := streams[0]
		return s.Replicas == 3 && s.Leader != "" && len(s.Followers) == 2 && s.Health == admin.HealthGood
	}, 20*time.Second, 50*time.Millisecond)
}
