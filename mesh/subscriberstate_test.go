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

func (l library) states(names ...string) []mesh.SubscriberState {
	l.t.Helper()
	states, err := mesh.SubscriberStates(l.t.Context(), l.js, l.topology, names...)
	require.NoError(l.t, err)
	return states
}

func TestSubscriberStatesTellWhatWaits(t *testing.T) {
	l := newLibrary(t)
	first := l.put("genesys", "a", "interaction", "chat")
	call := l.put("genesys", "b", "interaction", "call")
	for i := range 8 {
		l.put("topics", fmt.Sprint(i), "v2.call.state", "call")
	}

	var states []mesh.SubscriberState
	// The server counts what waits a moment after it has answered that it is stored.
	require.Eventually(t, func() bool {
		states = l.states()
		return len(states) == 3 && states[0].Waiting == 10 && states[1].Waiting == 9 && states[2].Waiting == 1
	}, 10*time.Second, 5*time.Millisecond)

	crm, calls, chats := states[0], states[1], states[2]
	assert.Equal(t, []string{"crm", "calls", "chats"}, []string{crm.Name, calls.Name, chats.Name})
	assert.Equal(t, first.Sequence, crm.Oldest.Sequence)
	assert.True(t, crm.Oldest.Stored.Equal(first.Stored))
	assert.False(t, crm.Served)
	require.Len(t, crm.Consumers, 2, "one for events, one for replays of dead letters")
	assert.Equal(t, mesh.ConsumerState{Stream: "INTERACTIONS", Name: "crm", Waiting: 10}, crm.Consumers[0])
	assert.Equal(t, mesh.ConsumerState{Stream: "DEAD_LETTERS", Name: "crm", Replays: true}, crm.Consumers[1])

	assert.Equal(t, 4, calls.Partitions)
	assert.Len(t, calls.Consumers, 5)
	assert.Equal(t, call.Sequence, calls.Oldest.Sequence, "of all its consumers the oldest")
	assert.Equal(t, mesh.OrderNone, chats.Order)
	assert.Equal(t, "chats=shared", chats.Consumers[0].Name)

	raw, err := json.Marshal(crm)
	require.NoError(t, err)
	for _, name := range []string{
		`"name":"crm"`, `"waiting":10`, `"in_hand":0`, `"oldest_waiting":{"sequence":1,`, `"served":false`, `"order":"interaction"`,
		`"partitions":1`, `"replays":[]`, `"consumers":[`,
	} {
		assert.Contains(t, string(raw), name)
	}
}

func TestSubscriberStateFollowsItsWorkers(t *testing.T) {
	l := newLibrary(t)
	for range 5 {
		l.put("genesys", "a", "interaction", "call")
	}
	consumer, err := l.js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	taken := 0
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		if taken++; taken <= 2 {
			_ = msg.Ack()
		}
	})
	require.NoError(t, err)
	defer consuming.Stop()

	require.Eventually(t, func() bool {
		s := l.states("crm")[0]
		return s.Served && s.InHand == 3 && s.Waiting == 0 && s.Oldest.Sequence == 3
	}, 20*time.Second, 10*time.Millisecond)

	state, err := mesh.OpenState(t.Context(), l.js)
	require.NoError(t, err)
	broken := mesh.BreakerState{Open: true, Since: time.Now().UTC(), Until: time.Now().Add(time.Minute).UTC(), Error: "no route to host"}
	require.NoError(t, state.SetBreaker(t.Context(), "crm", broken))
	require.NoError(t, state.SetPause(t.Context(), "crm", mesh.Pause{Since: time.Now().Add(-time.Hour), Until: time.Now().Add(-time.Minute)}))
	s := l.states("crm")[0]
	assert.Equal(t, broken, *s.Breaker)
	assert.Nil(t, s.Pause, "it is over")
}

func TestSubscriberStateTellsWhatItWaitsFor(t *testing.T) {
	l := newLibrary(t)
	state, err := mesh.OpenState(t.Context(), l.js)
	require.NoError(t, err)
	now := time.Now().UTC()
	wait := mesh.Wait{Since: now.Add(-time.Hour), Until: now.Add(time.Minute), Reason: "crm.example.com answered 401 Unauthorized:\n\tcheck auth"}
	require.NoError(t, state.SetWait(t.Context(), "crm", wait))

	told := l.states("crm")[0].Wait
	require.NotNil(t, told)
	assert.Equal(t, wait.Since, told.Since)
	assert.Equal(t, wait.Until, told.Until)
	assert.Equal(t, "crm.example.com answered 401 Unauthorized: check auth", told.Reason)
	assert.Nil(t, l.states("calls")[0].Wait, "another subscriber goes on")

	wait.Reason = strings.Repeat("ä", mesh.MaxWaitReason)
	require.NoError(t, state.SetWait(t.Context(), "crm", wait))
	told = l.states("crm")[0].Wait
	assert.LessOrEqual(t, len(told.Reason), mesh.MaxWaitReason)
	assert.Regexp(t, "^ä+…$", told.Reason)

	require.NoError(t, state.SetWait(t.Context(), "crm", mesh.Wait{}))
	assert.Nil(t, l.states("crm")[0].Wait, "the target took an event")
	require.NoError(t, state.SetWait(t.Context(), "crm", mesh.Wait{}), "nothing was told")

	wait.Until = now.Add(-time.Minute)
	require.NoError(t, state.SetWait(t.Context(), "crm", wait))
	assert.Nil(t, l.states("crm")[0].Wait, "the process that told it is gone")
	wait.Until = now.Add(-time.Second)
	require.NoError(t, state.SetWait(t.Context(), "crm", wait))
	assert.NotNil(t, l.states("crm")[0].Wait, "an event tries just now")
}

func TestSubscriberStatesBeforeTheFirstApply(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	topology := meshtest.Topology(t, historyTopology)
	states, err := mesh.SubscriberStates(t.Context(), js, topology)
	require.NoError(t, err)
	require.Len(t, states, 3)
	assert.Empty(t, states[0].Consumers)
	assert.False(t, states[0].Served)
	assert.ErrorContains(t, mesh.PauseSubscriber(t.Context(), js, topology, topology.Subscribers[0], mesh.Pause{}), "genmesh apply")
}

func TestPauseReachesEveryConsumerAndIsNoDifference(t *testing.T) {
	l := newLibrary(t)
	calls, crm := l.subscriber("calls"), l.subscriber("crm")
	l.put("genesys", "a", "interaction", "call")
	h, err := l.topology.PlanReplay(t.Context(), l.js, calls, mesh.HistorySpan{})
	require.NoError(t, err)
	_, err = l.topology.StartReplay(t.Context(), l.js, calls, h)
	require.NoError(t, err)

	until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	require.NoError(t, mesh.PauseSubscriber(t.Context(), l.js, l.topology, calls, mesh.Pause{Until: until, Reason: "release", By: "ann@desk"}))

	paused := l.states("calls")[0]
	assert.Equal(t, "release", paused.Pause.Reason)
	assert.False(t, paused.Pause.Since.IsZero())
	require.Len(t, paused.Consumers, 5)
	for _, c := range paused.Consumers {
		assert.True(t, c.PausedUntil.Equal(until), "%s: %s", c.Name, c.PausedUntil)
	}
	assert.True(t, paused.Replays[0].Paused)
	for _, c := range l.states("crm")[0].Consumers {
		assert.True(t, c.PausedUntil.IsZero(), "another subscriber goes on")
	}
	l.requireNoDifference()

	// What apply changes meanwhile leaves the pause alone.
	edited := *l.topology
	edited.Subscribers = append([]mesh.Subscriber(nil), l.topology.Subscribers...)
	edited.Subscribers[1].MaxAckPending = 17
	meshtest.Apply(t, l.js, &edited)
	for _, c := range l.states("calls")[0].Consumers {
		assert.True(t, c.PausedUntil.Equal(until), "%s: %s", c.Name, c.PausedUntil)
	}
	meshtest.Apply(t, l.js, l.topology)

	require.NoError(t, mesh.PauseSubscriber(t.Context(), l.js, l.topology, calls, mesh.Pause{Reason: "until further notice"}))
	again := l.states("calls")[0]
	assert.Equal(t, "until further notice", again.Pause.Reason)
	assert.True(t, again.Pause.Until.IsZero())
	assert.True(t, again.Consumers[0].PausedUntil.After(time.Now().AddDate(90, 0, 0)))

	for range 2 {
		require.NoError(t, mesh.ResumeSubscriber(t.Context(), l.js, l.topology, calls))
		resumed := l.states("calls")[0]
		assert.Nil(t, resumed.Pause)
		for _, c := range resumed.Consumers {
			assert.True(t, c.PausedUntil.IsZero())
		}
		assert.False(t, resumed.Replays[0].Paused)
	}
	require.NoError(t, mesh.ResumeSubscriber(t.Context(), l.js, l.topology, crm), "it was not paused")
	l.requireNoDifference()
}

// What waits goes out at the end of a pause although nothing new comes in.
func TestResumedConsumerDeliversWhatWaited(t *testing.T) {
	l := newLibrary(t)
	requireResumes(t, l.js, l.topology, func() { l.put("genesys", "a", "interaction", "call") })
}

func TestPauseInACluster(t *testing.T) {
	cluster := meshtest.StartCluster(t)
	js := cluster.JetStream(0)
	topology := meshtest.Topology(t, strings.ReplaceAll(historyTopology, `"subjects"`, `"num_replicas": 3, "subjects"`))
	meshtest.Apply(t, js, topology)
	c := startCommits(t, js, topology)
	requireResumes(t, cluster.JetStream(1), topology, func() { c.commit(event("a", fmt.Sprint(time.Now().UnixNano()))) })
}

// requireResumes pauses crm, stores an event and expects it after the end of the pause and not before, twice.
func requireResumes(t *testing.T, js jetstream.JetStream, topology *mesh.Topology, store func()) {
	t.Helper()
	got := make(chan struct{}, 10)
	consumer, err := js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		_ = msg.Ack()
		got <- struct{}{}
	})
	require.NoError(t, err)
	defer consuming.Stop()
	for range 2 {
		require.NoError(t, mesh.PauseSubscriber(t.Context(), js, topology, topology.Subscribers[0], mesh.Pause{}))
		store()
		require.Eventually(t, func() bool {
			states, err := mesh.SubscriberStates(t.Context(), js, topology, "crm")
			return err == nil && states[0].Waiting == 1
		}, 20*time.Second, 20*time.Millisecond)
		require.Empty(t, got)
		require.NoError(t, mesh.ResumeSubscriber(t.Context(), js, topology, topology.Subscribers[0]))
		select {
		case <-got:
		case <-time.After(10 * time.Second):
			require.Fail(t, "what waited did not come")
		}
	}
}

func (l library) requireNoDifference() {
	l.t.Helper()
	plan, err := l.topology.Plan(l.t.Context(), l.js)
	require.NoError(l.t, err)
	require.Empty(l.t, plan.Steps)
}

func TestArrivalsCountWhatTheSubscriberTakes(t *testing.T) {
	l := newLibrary(t)
	for i := range 30 {
		l.put("genesys", fmt.Sprint(i), "interaction", []string{"call", "chat", "email"}[i%3])
	}
	perSecond, over, err := mesh.Arrivals(t.Context(), l.js, l.subscriber("crm"))
	require.NoError(t, err)
	assert.InDelta(t, 30, perSecond*over.Seconds(), 0.01)
	assert.Less(t, over, time.Minute, "the stream is not older")
	perSecond, over, err = mesh.Arrivals(t.Context(), l.js, l.subscriber("chats"))
	require.NoError(t, err)
	assert.InDelta(t, 10, perSecond*over.Seconds(), 0.01)
}
