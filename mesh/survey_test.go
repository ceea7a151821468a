package mesh_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

func (s *spread) survey() *mesh.Survey {
	s.t.Helper()
	survey, err := s.topology.Survey(s.t.Context(), s.js)
	require.NoError(s.t, err)
	return survey
}

func TestASurveyTellsOfSubscribersWhatTheirStatesTell(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	for i := range 5 {
		s.put("genesys", fmt.Sprint(i), "connected")
	}
	s.put("bus", "1", "routed")
	state, err := mesh.OpenState(t.Context(), s.js)
	require.NoError(t, err)
	now := time.Now().UTC()
	require.NoError(t, state.SetPause(t.Context(), "crm", mesh.Pause{Since: now, Reason: "maintenance"}))
	require.NoError(t, state.SetBreaker(t.Context(), "analytics", mesh.BreakerState{Open: true, Since: now, Error: "answered 503"}))
	require.NoError(t, state.SetWait(t.Context(), "chatlog", mesh.Wait{Since: now, Until: now.Add(time.Minute), Reason: "answered 429"}))

	require.Eventually(t, func() bool {
		states, err := mesh.SubscriberStates(t.Context(), s.js, s.topology)
		require.NoError(t, err)
		var surveyed []mesh.SubscriberState
		for _, read := range s.survey().Subscribers {
			require.NoError(t, read.Err)
			surveyed = append(surveyed, read.SubscriberState)
		}
		return states[0].Waiting == 6 && states[1].Waiting == 5 && assert.ObjectsAreEqual(states, surveyed)
	}, 10*time.Second, 20*time.Millisecond)

	some, err := s.topology.SurveySubscribers(t.Context(), s.js, "chatlog", "crm")
	require.NoError(t, err)
	require.Len(t, some, 2)
	assert.Equal(t, "maintenance", some[0].Pause.Reason)
	assert.Equal(t, "answered 429", some[1].Wait.Reason)
}

func TestASurveyCountsDeadLettersBySubscriber(t *testing.T) {
	for _, direct := range []bool{false, true} {
		t.Run(fmt.Sprintf("allow_direct %t", direct), func(t *testing.T) {
			s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
			stream, err := s.js.Stream(t.Context(), "DEAD_LETTERS")
			require.NoError(t, err)
			config := stream.CachedInfo().Config
			config.AllowDirect = direct
			_, err = s.js.UpdateStream(t.Context(), config)
			require.NoError(t, err)
			for i := range 3 {
				s.bury(s.put("genesys", fmt.Sprint(i), "connected"), "crm")
			}
			letter := s.bury(s.put("genesys", "4", "connected"), "analytics")
			_, err = s.Quarantine(t.Context(), s.eventOf("genesys", "42", "odd"), "schema")
			require.NoError(t, err)

			survey := s.survey()
			assert.EqualValues(t, 4, survey.DeadLetters)
			assert.EqualValues(t, 1, survey.Quarantined)
			counts := map[string]uint64{}
			for _, read := range survey.Subscribers {
				counts[read.Name] = read.DeadLetters
			}
			assert.Equal(t, map[string]uint64{"crm": 3, "analytics": 1, "chatlog": 0}, counts)

			require.NoError(t, s.letters.Replay(t.Context(), letter))
			assert.EqualValues(t, 3, s.survey().DeadLetters, "one that is on its way again is none")
		})
	}
}

func TestASurveyTellsWhenASourceStoredLastAndWhatIsInTheWindow(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	last := s.put("genesys", "1", "connected")
	bus := s.put("bus", "1", "routed")
	chat := s.put("chat", "1", "opened")

	survey := s.survey()
	sources := map[string]time.Time{}
	for _, source := range survey.Sources {
		sources[source.Name] = source.LastStored.UTC()
	}
	assert.Equal(t, map[string]time.Time{"genesys": last.Stored, "bus": bus.Stored, "chat": chat.Stored}, sources)
	assert.EqualValues(t, 2, survey.Streams[0].InWindow)

	// A window that opens after the first of them.
	stream, err := s.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	for _, direct := range []bool{false, true} {
		config := stream.CachedInfo().Config
		config.AllowDirect = direct
		config.Duplicates = max(time.Since(bus.Stored)+100*time.Millisecond, 200*time.Millisecond)
		require.Eventually(t, func() bool {
			_, err := s.js.UpdateStream(t.Context(), config)
			require.NoError(t, err)
			fresh := s.put("genesys", fmt.Sprint(time.Now().UnixNano()), "connected")
			in := s.survey().Streams[0].InWindow
			return in >= 1 && in < fresh.Sequence
		}, 10*time.Second, 50*time.Millisecond, "allow_direct %t", direct)
	}
}

func TestASurveyBeforeTheFirstApply(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	survey, err := meshtest.Topology(t, withoutCopies()).Survey(t.Context(), js)
	require.NoError(t, err)
	assert.Nil(t, survey.Streams[0].Info)
	assert.NoError(t, survey.Streams[0].Err)
	assert.Empty(t, survey.Subscribers[0].Consumers)
	assert.NoError(t, survey.Subscribers[0].Err)
}

func TestASurveyFailsWhereNATSIsAway(t *testing.T) {
	server := meshtest.Start(t)
	s := newSpread(t, server.JetStream(), withoutCopies())
	server.Stop()
	defer server.Restart() // for what still writes
	_, err := s.topology.Survey(t.Context(), s.js)
	require.Error(t, err)
	_, err = s.topology.SurveyStreams(t.Context(), s.js)
	require.Error(t, err)
	_, err = s.topology.SurveySubscribers(t.Context(), s.js)
	require.Error(t, err)
}

func TestTheNewestDeadLettersAndWhatIsInQuarantine(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	quarantine, err := mesh.NewQuarantine(s.js, s.topology)
	require.NoError(t, err)
	none, total, err := s.letters.Newest(t.Context(), mesh.DeadFilter{}, 10)
	require.NoError(t, err)
	assert.Empty(t, none)
	assert.Zero(t, total)

	var buried []uint64
	for i := range 7 {
		e := s.put("genesys", fmt.Sprint(i), "connected")
		buried = append(buried, s.bury(e, "crm").Number)
		s.bury(e, "analytics")
		_, err := s.Quarantine(t.Context(), s.eventOf("genesys", fmt.Sprint(i), "odd"), []string{"schema", "age"}[i%2])
		require.NoError(t, err)
	}
	require.NoError(t, s.letters.Discard(t.Context(), buried[3]))

	newest, total, err := s.letters.Newest(t.Context(), mesh.DeadFilter{Subscriber: "crm"}, 4)
	require.NoError(t, err)
	assert.EqualValues(t, 6, total)
	var numbers []uint64
	for _, letter := range newest {
		numbers = append(numbers, letter.Number)
		assert.Equal(t, "the target answered 422", letter.Error)
		assert.Empty(t, letter.Body)
	}
	assert.Equal(t, []uint64{buried[6], buried[5], buried[4], buried[2]}, numbers)

	until, total, err := s.letters.Newest(t.Context(), mesh.DeadFilter{Subscriber: "crm", Until: newest[2].Buried}, 1)
	require.NoError(t, err)
	assert.EqualValues(t, 4, total, "those behind the time are not counted")
	assert.Equal(t, buried[4], until[0].Number)

	events, total, err := quarantine.Newest(t.Context(), mesh.QuarantineFilter{Reason: "age"}, 2)
	require.NoError(t, err)
	assert.EqualValues(t, 3, total)
	require.Len(t, events, 2)
	assert.Equal(t, [2]string{"5", "3"}, [2]string{events[0].Interaction, events[1].Interaction})
}

func TestDeliveriesOfOneEventAreThoseOfItsTimeline(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	first := s.put("genesys", "42", "connected")
	other := s.put("genesys", "42", "held")
	chat := s.put("chat", "42", "opened")
	bus := s.put("bus", "42", "routed")
	s.record(first, func(d *mesh.Delivery) { d.Outcome, d.Reason, d.Attempts = mesh.OutcomeDead, "exhausted", 6 })
	s.record(first, func(d *mesh.Delivery) { d.Subscriber, d.Outcome, d.Reason = "analytics", mesh.OutcomePassed, "when" })
	s.record(first, func(d *mesh.Delivery) { d.Subscriber = "long-gone" })
	s.record(other, func(*mesh.Delivery) {})
	s.bury(first, "crm")
	s.bury(other, "analytics")
	require.NoError(t, s.letters.Replay(t.Context(), s.bury(chat, "chatlog")))

	line := s.timeline(mesh.InteractionSearch{Interaction: "42"})
	require.Len(t, line.Events, 4)
	for i, e := range []mesh.Event{first, other, chat, bus} {
		deliveries, err := s.topology.EventDeliveries(t.Context(), s.js, e)
		require.NoError(t, err)
		assert.Equal(t, line.Events[i].Deliveries, deliveries, "event %d", i)
	}
}
