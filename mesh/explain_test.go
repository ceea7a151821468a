package mesh_test

import (
	"strings"
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

// TestStandingSaysWhatMayHaveTakenAnEvent: the stream's limits, an erasure, or neither.
func TestStandingSaysWhatMayHaveTakenAnEvent(t *testing.T) {
	const audit = `{"name": "AUDIT", "subjects": ["audit.>"]}, {"name": "DEAD", `
	for name, tc := range map[string]struct {
		limits func(*jetstream.StreamConfig)
		audit  string
		record *mesh.Audit // of an erase
		gone   uint64
		says   string
	}{
		"erased": {nil, audit, &mesh.Audit{Result: mesh.AuditDone, Streams: []mesh.StreamErasure{{Stream: "EVENTS", Erased: 1}}}, 2,
			"it was erased, if nobody deleted it otherwise: erase of 2026-01-02T03:04:05Z by ada, reason \"request 4711\", done (audit record 1)"},
		"cut off":                    {nil, audit, &mesh.Audit{Result: mesh.AuditIntended, Streams: []mesh.StreamErasure{{Stream: "EVENTS", Found: 1}}}, 2, "begun, and cut off (audit record 1)"},
		"erased from another stream": {nil, audit, &mesh.Audit{Result: mesh.AuditDone, Streams: []mesh.StreamErasure{{Stream: "OTHER", Erased: 1}}}, 2, "it was deleted, but by no erase that is audited"},
		"nothing erased":             {nil, audit, nil, 2, "it was deleted, but by no erase that is audited"},
		"nothing audited":            {nil, `{"name": "DEAD", `, nil, 2, `it was deleted or erased; streams.json has no stream that takes "audit.>", which would tell`},
		"limits":                     {oldestGo(2), audit, nil, 1, "its limits have taken it; the oldest that it has is 2"},
		"limits or erased": {oldestGo(2), audit, &mesh.Audit{Result: mesh.AuditDone, Streams: []mesh.StreamErasure{{Stream: "EVENTS", Erased: 1}}}, 1,
			"its limits have taken it, or an erase that took events of this stream: erase of"},
		"too old":                     {aged(100 * time.Millisecond), audit, nil, 2, "its limits have taken it; it has none now"},
		"limits take the oldest only": {oldestGo(9), audit, nil, 2, "it was deleted, but by no erase"},
		"too young for its limits":    {aged(time.Hour), audit, nil, 1, "it was deleted, but by no erase that is audited; the oldest that it has is 2"},
	} {
		t.Run(name, func(t *testing.T) {
			topology := meshtest.Topology(t, strings.Replace(standingStreams, `{"name": "DEAD", `, tc.audit, 1))
			js := meshtest.Start(t).JetStream()
			meshtest.Apply(t, js, topology)
			for range 3 {
				e := topology.Sources[0].Addressed(mesh.Event{Source: "genesys", Interaction: "call-1", Fingerprint: "f", Body: []byte(`{}`)})
				_, err := js.PublishMsg(t.Context(), e.Msg(""))
				require.NoError(t, err)
			}
			take(t, js, tc.limits, tc.gone)
			if tc.record != nil {
				tc.record.Action, tc.record.Reason, tc.record.Who.OSUser = "erase", "request 4711", "ada"
				tc.record.At = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
				require.NoError(t, mesh.RecordAudit(t.Context(), js, topology, *tc.record))
			}
			_, err := topology.Standing(t.Context(), js, topology.Subscribers[0], "EVENTS", tc.gone)
			require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
			assert.ErrorContains(t, err, tc.says)
		})
	}
}

func oldestGo(kept int64) func(*jetstream.StreamConfig) {
	return func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = kept, jetstream.DiscardOld }
}

func aged(most time.Duration) func(*jetstream.StreamConfig) {
	return func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = most, min(most, c.Duplicates) }
}

// take gives the stream limits, if any, and sees to it that one of its messages is gone.
func take(t *testing.T, js jetstream.JetStream, limits func(*jetstream.StreamConfig), gone uint64) {
	t.Helper()
	stream, err := js.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	if limits != nil {
		limits(&config)
		stream, err = js.UpdateStream(t.Context(), config)
		require.NoError(t, err)
	}
	if config.MaxMsgs != 2 && config.MaxAge != 100*time.Millisecond {
		require.NoError(t, stream.DeleteMsg(t.Context(), gone))
		return
	}
	taken := func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.FirstSeq > gone
	}
	require.Eventually(t, taken, 10*time.Second, 10*time.Millisecond)
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
