package mesh_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

const standingStreams = `{
	"sources": [{"name": "genesys", "path": "/g", "preset": "genesys", "secret": "${S}", "stream": "EVENTS"}],
	"streams": [{"name": "EVENTS", "subjects": ["genesys.>"]}, {"name": "DEAD", "subjects": ["dead.>"]},
		{"name": "QUARANTINE", "subjects": ["quarantine.>"]},
		{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
	"subscribers": [{"name": "crm", "stream": "EVENTS", "partitions": 2}]
}`

func TestStandingFollowsAnEventToItsEnd(t *testing.T) {
	js, topology := meshtest.Start(t).JetStream(), meshtest.Topology(t, standingStreams)
	meshtest.Apply(t, js, topology)
	e := topology.Sources[0].Addressed(mesh.Event{Source: "genesys", Interaction: "call-1", Type: "interaction", Fingerprint: "f", Body: []byte(`{}`)})
	first, later := e.MessageIDs()
	assert.Equal(t, "call-1", first)
	assert.Equal(t, "call-1#f", later)
	assert.Equal(t, "EVENTS", e.Stream)
	_, err := js.PublishMsg(t.Context(), e.Msg(first))
	require.NoError(t, err)

	standing := func() *mesh.Standing {
		x, err := topology.Standing(t.Context(), js, topology.Subscribers[0], "EVENTS", 1)
		require.NoError(t, err)
		return x
	}
	x := standing()
	assert.Equal(t, mesh.StateWaiting, x.State)
	assert.Equal(t, first, x.MessageID)
	assert.Equal(t, e.Subject, x.Event.Subject)
	assert.True(t, x.Matches)
	assert.Contains(t, x.Consumer.Name, "of2", "the one of its partition")

	consumer, err := js.PushConsumer(t.Context(), "EVENTS", x.Consumer.Name)
	require.NoError(t, err)
	taken := make(chan jetstream.Msg, 1)
	consuming, err := consumer.Consume(func(msg jetstream.Msg) { taken <- msg })
	require.NoError(t, err)
	defer consuming.Stop()
	msg := <-taken
	assert.Equal(t, mesh.StateInHand, standing().State)
	require.NoError(t, msg.DoubleAck(t.Context()))
	assert.Equal(t, mesh.StateSettled, standing().State)
}

func TestStreamEventsYieldsWhatIsStoredInItsTime(t *testing.T) {
	js, topology := meshtest.Start(t).JetStream(), meshtest.Topology(t, standingStreams)
	meshtest.Apply(t, js, topology)
	for _, id := range []string{"call-1", "call-2"} {
		e := topology.Sources[0].Addressed(mesh.Event{Source: "genesys", Interaction: id, Fingerprint: "f", Body: []byte(`{}`)})
		_, err := js.PublishMsg(t.Context(), e.Msg(""))
		require.NoError(t, err)
	}
	_, err := js.Publish(t.Context(), "genesys.odd", nil)
	require.NoError(t, err)
	read := func(since, until time.Time) (ids []string) {
		for e, err := range mesh.StreamEvents(t.Context(), js, "EVENTS", since, until) {
			require.NoError(t, err)
			ids = append(ids, e.Interaction)
		}
		return ids
	}
	assert.Equal(t, []string{"call-1", "call-2"}, read(time.Time{}, time.Time{}), "what is no event is left out")
	second, err := mesh.GetEvent(t.Context(), js, "EVENTS", 2)
	require.NoError(t, err)
	assert.Equal(t, []string{"call-2"}, read(second.Stored, time.Time{}))
	assert.Equal(t, []string{"call-1"}, read(time.Time{}, second.Stored.Add(-1)))
	for _, err := range mesh.StreamEvents(t.Context(), js, "NOWHERE", time.Time{}, time.Time{}) {
		assert.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	}
}
