package mesh_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

func (s *spread) timeline(search mesh.InteractionSearch) *mesh.Timeline {
	s.t.Helper()
	line, err := mesh.FindInteraction(s.t.Context(), s.js, s.topology, search)
	require.NoError(s.t, err)
	return line
}

// record keeps how a delivery of an event ended, as a worker does.
func (s *spread) record(e mesh.Event, edit func(*mesh.Delivery)) {
	s.t.Helper()
	d := mesh.Delivery{
		Stream: e.Stream, Sequence: e.Sequence, Stored: e.Stored, Subscriber: "crm", Outcome: mesh.OutcomeDelivered, Attempts: 1,
		Began: e.Stored, Ended: e.Stored.Add(time.Second),
	}
	edit(&d)
	require.NoError(s.t, mesh.RecordDeliveries(s.t.Context(), s.js, "DELIVERIES", []mesh.Delivery{d}, []string{mesh.Partition(e.Interaction)}))
}

// summaries are "subscriber state" of each delivery of an event.
func summaries(e mesh.TimelineEvent) []string {
	all := []string{}
	for _, d := range e.Deliveries {
		text := d.Subscriber + " " + string(d.State)
		if d.Replay {
			text += " (replay)"
		}
		if d.DeadLetter > 0 {
			text += fmt.Sprintf(" #%d", d.DeadLetter)
		}
		all = append(all, text)
	}
	return all
}

func TestTimelineTellsWhatBecameOfEachEvent(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	first := s.put("genesys", "42", "connected")
	s.put("genesys", "421", "connected")
	onBus := s.put("bus", "42", "routed")
	chat := s.put("chat", "42", "opened")
	last := s.put("genesys", "42", "ended")
	s.record(first, func(d *mesh.Delivery) {
		d.Outcome, d.Reason, d.Attempts, d.Waited = mesh.OutcomeDead, "exhausted", 6, mesh.Duration(time.Minute)
	})
	s.record(first, func(d *mesh.Delivery) { d.Subscriber, d.Outcome, d.Reason = "analytics", mesh.OutcomePassed, "when" })
	s.record(first, func(d *mesh.Delivery) { d.Subscriber = "long-gone" })
	s.record(first, func(d *mesh.Delivery) { d.Stored = d.Stored.Add(-time.Hour) }) // of an earlier stream of that name
	letter := s.bury(first, "crm")
	require.NoError(t, s.letters.Replay(t.Context(), s.bury(chat, "chatlog")))
	_, err := s.Quarantine(t.Context(), s.eventOf("genesys", "42", "odd"), "schema")
	require.NoError(t, err)
	_, err = s.Quarantine(t.Context(), s.eventOf("genesys", "421", "odd"), "schema")
	require.NoError(t, err)

	line := s.timeline(mesh.InteractionSearch{Interaction: "42"})

	require.Len(t, line.Events, 4)
	assert.Equal(t, [4]uint64{first.Sequence, onBus.Sequence, chat.Sequence, last.Sequence},
		[4]uint64{line.Events[0].Sequence, line.Events[1].Sequence, line.Events[2].Sequence, line.Events[3].Sequence}, "in stored order")
	assert.Equal(t, []string{fmt.Sprintf("crm dead #%d", letter.Number), "analytics passed", "long-gone delivered"}, summaries(line.Events[0]))
	dead := line.Events[0].Deliveries[0]
	assert.Equal(t, mesh.TimelineDelivery{
		Subscriber: "crm", State: "dead", Reason: "exhausted", Attempts: 6, Waited: mesh.Duration(time.Minute),
		Began: dead.Began, Ended: dead.Ended, DeadLetter: letter.Number,
	}, dead)
	assert.Equal(t, []string{"crm waiting", "analytics not matched"}, summaries(line.Events[1]))
	assert.Equal(t, []string{"chatlog waiting", "chatlog waiting (replay)"}, summaries(line.Events[2]))
	assert.Equal(t, []string{"crm waiting", "analytics waiting"}, summaries(line.Events[3]))
	assert.Equal(t, len(first.Body), line.Events[0].Bytes)
	assert.Nil(t, line.Events[0].Body)
	require.Len(t, line.DeadLetters, 1)
	assert.Equal(t, "the target answered 422", line.DeadLetters[0].Error)
	require.Len(t, line.Quarantined, 1)
	assert.Equal(t, "schema", line.Quarantined[0].Reason)
	assert.True(t, line.Recorded)
	assert.False(t, line.Truncated)
}

func TestTimelineKnowsWithoutRecords(t *testing.T) {
	const analytics = `{"name": "analytics", "stream": "INTERACTIONS",`
	later := strings.Replace(withoutCopies(), analytics,
		analytics+` "deliver_policy": "by_start_time", "opt_start_time": "2100-01-01T00:00:00Z",`, 1)
	later = strings.Replace(later, `{"name": "DELIVERIES", "subjects": ["deliveries.>"]},`, "", 1)
	s := newSpread(t, meshtest.Start(t).JetStream(), later)
	s.put("genesys", "42", "connected")
	s.put("genesys", "42", "held")
	s.put("genesys", "42", "ended")
	s.bury(s.put("genesys", "42", "gone"), "crm")

	// A worker that takes two at a time settles the first, and tries the second again and again.
	consumer, err := s.js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	config := consumer.CachedInfo().Config
	config.MaxAckPending = 1
	_, err = s.js.UpdatePushConsumer(t.Context(), "INTERACTIONS", config)
	require.NoError(t, err)
	taken := make(chan jetstream.Msg, 4)
	consuming, err := consumer.Consume(func(msg jetstream.Msg) { taken <- msg })
	require.NoError(t, err)
	defer consuming.Stop()
	require.NoError(t, (<-taken).DoubleAck(t.Context()))
	<-taken

	line := s.timeline(mesh.InteractionSearch{Interaction: "42"})
	require.Len(t, line.Events, 4)
	for i, want := range []string{"crm settled, not recorded", "crm in hand", "crm waiting", "crm dead #1"} {
		assert.Equal(t, []string{want, "analytics before its start"}, summaries(line.Events[i]))
	}
	assert.False(t, line.Recorded)
}

func TestTimelineTellsAlikeInteractionsApart(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	long := strings.Repeat("京", 60)
	longer := strings.Repeat("x", 299)
	ids := []string{"a", "a.b", "a.b.*", "50%", "50%25", "gespräch", long + "1", long + "2", longer + "1", longer + "2"}
	for _, id := range ids {
		s.put("genesys", id, "connected")
		s.put("bus", id, "routed")
	}
	for _, id := range ids {
		line := s.timeline(mesh.InteractionSearch{Interaction: id})
		require.Len(t, line.Events, 2, id)
		assert.Equal(t, []string{"genesys", "bus"}, []string{line.Events[0].Source, line.Events[1].Source})
	}
	assert.True(t, s.timeline(mesh.InteractionSearch{Interaction: "a.*"}).Empty())
}

func TestTimelineIsNarrowedAndBounded(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	for i := range 5 {
		s.put("genesys", "42", fmt.Sprint("state-", i))
	}
	chat := s.put("chat", "42", "opened")

	line := s.timeline(mesh.InteractionSearch{Interaction: "42", Limit: 3})
	assert.Len(t, line.Events, 3)
	assert.True(t, line.Truncated)
	line = s.timeline(mesh.InteractionSearch{Interaction: "42", Limit: 6})
	assert.Len(t, line.Events, 6)
	assert.False(t, line.Truncated)
	line = s.timeline(mesh.InteractionSearch{Interaction: "42", Source: "chat"})
	assert.Len(t, line.Events, 1)
	line = s.timeline(mesh.InteractionSearch{Interaction: "42", Since: chat.Stored})
	assert.Len(t, line.Events, 1)

	_, err := mesh.FindInteraction(t.Context(), s.js, s.topology, mesh.InteractionSearch{Interaction: "42", Limit: mesh.MaxTimeline + 1})
	require.ErrorContains(t, err, "at most 100000")
	_, err = mesh.FindInteraction(t.Context(), s.js, s.topology, mesh.InteractionSearch{Interaction: "42", Source: "genesis"})
	require.ErrorContains(t, err, `did you mean "genesys"?`)
}

func TestTimelineIsStableJSON(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	e := s.eventOf("chat", "42", "opened")
	e.Body = []byte(`{"text":"hello"}`)
	s.commit(e)
	broken := s.eventOf("chat", "42", "odd")
	broken.Body = []byte(`{"text":`)
	_, err := s.Quarantine(t.Context(), broken, "invalid_json")
	require.NoError(t, err)

	data, err := json.Marshal(s.timeline(mesh.InteractionSearch{Interaction: "42", Bodies: true}))
	require.NoError(t, err)
	var line map[string]any
	require.NoError(t, json.Unmarshal(data, &line))
	shown := line["events"].([]any)[0].(map[string]any)
	assert.Equal(t, map[string]any{"text": "hello"}, shown["body"])
	assert.Equal(t, 16.0, shown["bytes"])
	assert.Equal(t, []any{map[string]any{"subscriber": "chatlog", "state": "waiting"}}, shown["deliveries"])
	assert.Equal(t, `{"text":`, line["quarantined"].([]any)[0].(map[string]any)["body"])
	assert.Equal(t, []any{}, line["dead_letters"])
}

func TestInteractionThatIsNowhereSaysWhereItLooked(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	stored := s.put("genesys", "42", "connected")
	line := s.timeline(mesh.InteractionSearch{Interaction: "43"})
	assert.True(t, line.Empty())
	assert.Equal(t, []mesh.LookedInto{
		{Stream: "INTERACTIONS", Messages: 1, Oldest: stored.Stored}, {Stream: "CHATS"}, {Stream: "DEAD_LETTERS"}, {Stream: "QUARANTINE"},
	}, line.Looked)
}
