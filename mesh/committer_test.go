package mesh_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

const committerTopology = `{
  "sources": [
    {"name": "genesys", "path": "/keep", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS", "dedupe_key": "{source}:{interaction}"},
    {"name": "once", "path": "/drop", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS", "dedupe_key": "{source}:{interaction}", "repeat": "drop"}],
  "streams": [
    {"name": "INTERACTIONS", "subjects": ["genesys.>", "once.>"], "retention": "limits", "storage": "file",
     "discard": "new", "max_age": "1h", "duplicate_window": "10m", "allow_atomic": true, "allow_direct": true},
    {"name": "DEAD_LETTERS", "subjects": ["dead.>"]},
    {"name": "QUARANTINE", "subjects": ["quarantine.>"], "allow_atomic": true},
    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
  "subscribers": []
}`

// commits is a running committer on a real server.
type commits struct {
	*mesh.Committer
	t        *testing.T
	js       jetstream.JetStream
	registry *prometheus.Registry
}

func newCommits(t *testing.T, s *meshtest.Server) *commits {
	t.Helper()
	topology := meshtest.Topology(t, committerTopology)
	meshtest.Apply(t, s.JetStream(), topology)
	return startCommits(t, s.JetStream(), topology)
}

func startCommits(t *testing.T, js jetstream.JetStream, topology *mesh.Topology) *commits {
	t.Helper()
	registry := prometheus.NewRegistry()
	c, err := mesh.NewCommitter(js, topology, meshtest.Quiet(), registry)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return &commits{Committer: c, t: t, js: js, registry: registry}
}

func (c *commits) commit(e mesh.Event) mesh.Receipt {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	r, err := c.Commit(ctx, e)
	require.NoError(c.t, err)
	return r
}

func (c *commits) stored(stream string) uint64 {
	c.t.Helper()
	s, err := c.js.Stream(c.t.Context(), stream)
	require.NoError(c.t, err)
	return s.CachedInfo().State.Msgs
}

// metric sums a counter over its labels.
func (c *commits) metric(name string) float64 {
	c.t.Helper()
	families, err := c.registry.Gather()
	require.NoError(c.t, err)
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func event(interaction, content string) mesh.Event {
	return mesh.Event{
		Source: "genesys", Interaction: interaction, Type: "interaction", Media: "call",
		Fingerprint: fmt.Sprintf("%032x", content), Received: time.Now().UTC(),
		Body: []byte(`{"data":{"id":"` + interaction + `","state":"` + content + `"}}`),
	}
}

func TestCommitStoresAnEventOnceUnderItsInteraction(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	e := event("987654321", "connected")

	first := c.commit(e)
	again := c.commit(e)

	assert.Equal(t, mesh.Receipt{Stream: "INTERACTIONS", Sequence: 1, MsgID: "genesys:987654321"}, first)
	assert.Equal(t, mesh.Receipt{Stream: "INTERACTIONS", Sequence: 1, MsgID: "genesys:987654321", Duplicate: true}, again)
	stored, err := mesh.GetEvent(t.Context(), c.js, "INTERACTIONS", 1)
	require.NoError(t, err)
	assert.Equal(t, "genesys."+mesh.Partition("987654321")+".interaction.call.987654321", stored.Subject)
	assert.Equal(t, e.Body, stored.Body)
	assert.Equal(t, e.Fingerprint, stored.Fingerprint)
}

func TestLaterEventOfAnInteractionIsKeptAndItsRedeliveryIsNot(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	connected, disconnected := event("42", "connected"), event("42", "disconnected")

	c.commit(connected)
	second := c.commit(disconnected)
	redelivered := c.commit(disconnected)
	first := c.commit(connected)

	assert.Equal(t, "genesys:42#"+disconnected.Fingerprint, second.MsgID)
	assert.False(t, second.Duplicate)
	assert.Equal(t, second.Sequence, redelivered.Sequence)
	assert.Equal(t, second.MsgID, redelivered.MsgID)
	assert.True(t, redelivered.Duplicate)
	assert.True(t, first.Duplicate)
	assert.EqualValues(t, 1, first.Sequence)
	assert.EqualValues(t, 2, c.stored("INTERACTIONS"))
}

// A long life: more events than a committer remembers of one interaction.
func TestFirstEventOfALongInteractionStaysKnown(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	const n = 100
	for i := range n {
		require.False(t, c.commit(event("42", fmt.Sprint("state ", i))).Duplicate)
	}
	for i := range n {
		assert.True(t, c.commit(event("42", fmt.Sprint("state ", i))).Duplicate, i)
	}
	assert.EqualValues(t, n, c.stored("INTERACTIONS"))
}

func TestRepeatDropKeepsOneEventPerInteraction(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	connected, disconnected := event("42", "connected"), event("42", "disconnected")
	connected.Source, disconnected.Source = "once", "once"

	first := c.commit(connected)
	second := c.commit(disconnected)

	assert.False(t, first.Duplicate)
	assert.True(t, second.Duplicate)
	assert.Equal(t, first.Sequence, second.Sequence)
	assert.EqualValues(t, 1, c.stored("INTERACTIONS"))
}

// A process that remembers nothing must decide the same by the server's window alone, and one
// that read the window back must not have to ask.
func TestAnotherProcessDecidesTheSame(t *testing.T) {
	s := meshtest.Start(t)
	one := newCommits(t, s)
	one.commit(event("42", "connected"))
	one.commit(event("42", "held"))
	two := startCommits(t, s.JetStream(), meshtest.Topology(t, committerTopology))

	assert.True(t, two.commit(event("42", "held")).Duplicate)
	assert.True(t, two.commit(event("42", "connected")).Duplicate)
	assert.False(t, two.commit(event("42", "disconnected")).Duplicate)
	assert.True(t, one.commit(event("42", "disconnected")).Duplicate)
	assert.EqualValues(t, 3, one.stored("INTERACTIONS"))
}

func TestTwoHundredIdenticalRequestsStoreOne(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	var accepted, duplicates int
	for r := range c.concurrently(200, func(int) mesh.Event { return event("42", "connected") }) {
		if r.Duplicate {
			duplicates++
		} else {
			accepted++
		}
		assert.EqualValues(t, 1, r.Sequence)
	}
	assert.Equal(t, 1, accepted)
	assert.Equal(t, 199, duplicates)
	assert.EqualValues(t, 1, c.stored("INTERACTIONS"))
}

// concurrently commits n events at once and returns their receipts.
func (c *commits) concurrently(n int, build func(i int) mesh.Event) <-chan mesh.Receipt {
	c.t.Helper()
	receipts := make(chan mesh.Receipt, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { receipts <- c.commit(build(i)) })
	}
	all.Wait()
	close(receipts)
	return receipts
}

func TestLifecyclesUnderLoadAreStoredOnceAndNeverRefusedForLong(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	const interactions, perInteraction, copies = 100, 10, 2
	n := interactions * perInteraction * copies

	accepted := 0
	for r := range c.concurrently(n, func(i int) mesh.Event {
		i /= copies
		return event(fmt.Sprint(i%interactions), fmt.Sprint("state ", i/interactions))
	}) {
		if !r.Duplicate {
			accepted++
		}
	}

	assert.Equal(t, interactions*perInteraction, accepted)
	assert.EqualValues(t, interactions*perInteraction, c.stored("INTERACTIONS"))
	assert.Zero(t, c.metric("genmesh_commit_batches_refused_total"), "memory keeps duplicates out of batches")
	assert.Greater(t, c.eventsPerBatch(), 5.0)
}

func (c *commits) eventsPerBatch() float64 {
	c.t.Helper()
	families, err := c.registry.Gather()
	require.NoError(c.t, err)
	for _, f := range families {
		if f.GetName() == "genmesh_commit_batch_events" {
			h := f.GetMetric()[0].GetHistogram()
			return h.GetSampleSum() / float64(h.GetSampleCount())
		}
	}
	return 0
}

// The duplicates are known to the server alone: each batch that holds one is refused whole.
func TestRefusedBatchIsSettledEventByEvent(t *testing.T) {
	s := meshtest.Start(t)
	c := newCommits(t, s)
	require.Eventually(t, func() bool { return c.commit(event("warm", fmt.Sprint(time.Now().UnixNano()))).Sequence > 0 },
		5*time.Second, 10*time.Millisecond)
	// Another process stores the first event of some interactions, out of this one's sight.
	for i := 0; i < 200; i += 10 {
		e := event(fmt.Sprint(i), "state 0")
		e.Subject = "genesys.00.interaction.call.x"
		content := e
		if i%20 == 0 {
			content.Fingerprint = fmt.Sprintf("%032x", "another")
		}
		_, err := c.js.PublishMsg(t.Context(), content.Msg("genesys:"+fmt.Sprint(i)))
		require.NoError(t, err)
	}
	before := c.stored("INTERACTIONS")

	var duplicates []uint64
	for r := range c.concurrently(200, func(i int) mesh.Event { return event(fmt.Sprint(i), "state 0") }) {
		if r.Duplicate {
			duplicates = append(duplicates, r.Sequence)
		}
	}

	slices.Sort(duplicates)
	assert.Len(t, duplicates, 10, "the ten that are the same; the other ten are later events")
	assert.EqualValues(t, 190, c.stored("INTERACTIONS")-before)
	assert.Positive(t, c.metric("genmesh_commit_batches_refused_total"))
}

func TestOriginalThatWasDeletedDoesNotSwallowItsSuccessor(t *testing.T) {
	s := meshtest.Start(t)
	c := newCommits(t, s)
	c.commit(event("42", "connected"))
	stream, err := c.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 1))
	fresh := startCommits(t, s.JetStream(), meshtest.Topology(t, committerTopology))

	r := fresh.commit(event("42", "disconnected"))

	assert.False(t, r.Duplicate)
	assert.EqualValues(t, 2, r.Sequence)
}

func TestServerRestartLosesNoAnswerAndDoublesNothing(t *testing.T) {
	s := meshtest.Start(t)
	c := newCommits(t, s)
	const n = 300
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		s.Restart()
	}()

	for i := range n {
		e := event(fmt.Sprint(i), "connected")
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := c.Commit(ctx, e)
			if err != nil {
				require.ErrorIs(t, err, mesh.ErrUnavailable)
			}
			return err == nil
		}, 20*time.Second, time.Millisecond)
	}
	<-stop

	assert.EqualValues(t, n, c.stored("INTERACTIONS"))
}

func TestFullStreamIsUnavailableAndRecovers(t *testing.T) {
	s := meshtest.Start(t)
	c := newCommits(t, s)
	c.commit(event("1", "connected"))
	config := c.streamConfig("INTERACTIONS")
	config.MaxMsgs = 1
	_, err := c.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)

	_, err = c.Commit(t.Context(), event("2", "connected"))
	require.ErrorIs(t, err, mesh.ErrUnavailable)

	config.MaxMsgs = -1
	_, err = c.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	assert.False(t, c.commit(event("2", "connected")).Duplicate)
}

func (c *commits) streamConfig(name string) jetstream.StreamConfig {
	c.t.Helper()
	s, err := c.js.Stream(c.t.Context(), name)
	require.NoError(c.t, err)
	return s.CachedInfo().Config
}

func TestEventLargerThanTheStreamTakes(t *testing.T) {
	s := meshtest.Start(t)
	c := newCommits(t, s)
	e := event("1", "connected")
	e.Body = make([]byte, 2<<20)

	_, err := c.Commit(t.Context(), e)
	require.ErrorIs(t, err, mesh.ErrTooLarge)

	config := c.streamConfig("INTERACTIONS")
	config.MaxMsgSize = 1000
	_, err = c.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	e.Body = make([]byte, 2000)
	_, err = c.Commit(t.Context(), e)
	require.ErrorIs(t, err, mesh.ErrTooLarge)
}

func TestQuarantineKeepsBodyAndReasonOnce(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	e := mesh.Event{Source: "genesys", Body: []byte("{not json\x00")}

	first, err := c.Quarantine(t.Context(), e, "unreadable JSON")
	require.NoError(t, err)
	again, err := c.Quarantine(t.Context(), e, "unreadable JSON")
	require.NoError(t, err)

	assert.Equal(t, "QUARANTINE", first.Stream)
	assert.False(t, first.Duplicate)
	assert.True(t, again.Duplicate)
	stored, err := mesh.GetEvent(t.Context(), c.js, "QUARANTINE", first.Sequence)
	require.NoError(t, err)
	assert.Equal(t, e.Body, stored.Body)
	assert.Equal(t, "unreadable JSON", stored.Reason)
	assert.Equal(t, "quarantine.genesys.unreadable=20JSON", stored.Subject)
}

// What was released or discarded is no answer to the same body that comes in again: "quarantined" is
// said of what is kept.
func TestBodyThatLeftQuarantineIsKeptAgain(t *testing.T) {
	s := meshtest.Start(t)
	c := newCommits(t, s)
	topology := meshtest.Topology(t, committerTopology)
	other := startCommits(t, s.JetStream(), topology)
	quarantine, err := mesh.NewQuarantine(c.js, topology)
	require.NoError(t, err)
	e := mesh.Event{Source: "genesys", Body: []byte("{not json")}
	for range 3 {
		var all sync.WaitGroup
		receipts := make([]mesh.Receipt, 20)
		for i := range receipts {
			all.Go(func() {
				from := []*commits{c, other}[i%2]
				r, err := from.Quarantine(t.Context(), e, "invalid_json")
				assert.NoError(t, err)
				receipts[i] = r
			})
		}
		all.Wait()

		accepted := 0
		for _, r := range receipts {
			assert.Equal(t, receipts[0].Sequence, r.Sequence, "repeats still collapse")
			if !r.Duplicate {
				accepted++
			}
		}
		assert.Equal(t, 1, accepted)
		require.EqualValues(t, 1, c.stored("QUARANTINE"))
		kept, err := quarantine.Get(t.Context(), receipts[0].Sequence)
		require.NoError(t, err)
		assert.Equal(t, e.Body, kept.Body)
		require.NoError(t, quarantine.Discard(t.Context(), kept.Number))
	}
	assert.Zero(t, c.stored("QUARANTINE"))
}

// An erased event stays erased: its redelivery is a duplicate as before, also for a process that has
// not seen it, unless it was the one that gave its key its id.
func TestErasedEventIsNotStoredAgain(t *testing.T) {
	s := meshtest.Start(t)
	c := newCommits(t, s)
	connected, held := event("42", "connected"), event("42", "held")
	c.commit(connected)
	second := c.commit(held)
	stream, err := c.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), second.Sequence))

	fresh := startCommits(t, s.JetStream(), meshtest.Topology(t, committerTopology))
	assert.Equal(t, mesh.Receipt{Stream: "INTERACTIONS", Sequence: second.Sequence, MsgID: second.MsgID, Duplicate: true}, fresh.commit(held))
	require.NoError(t, stream.DeleteMsg(t.Context(), 1))
	assert.True(t, c.commit(connected).Duplicate)
	assert.Zero(t, c.stored("INTERACTIONS"))
}

func TestStreamMadeAgainHasForgotten(t *testing.T) {
	s := meshtest.Start(t)
	c := newCommits(t, s)
	c.commit(event("42", "connected"))
	config := c.streamConfig("INTERACTIONS")
	require.NoError(t, c.js.DeleteStream(t.Context(), "INTERACTIONS"))
	_, err := c.js.CreateStream(t.Context(), config)
	require.NoError(t, err)

	require.Eventually(t, func() bool { return !c.commit(event("42", "connected")).Duplicate }, 20*time.Second, 100*time.Millisecond)
	assert.EqualValues(t, 1, c.stored("INTERACTIONS"))
}

func TestCommitAfterTheEndIsUnavailable(t *testing.T) {
	s := meshtest.Start(t)
	topology := meshtest.Topology(t, committerTopology)
	meshtest.Apply(t, s.JetStream(), topology)
	c, err := mesh.NewCommitter(s.JetStream(), topology, meshtest.Quiet(), nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	_, err = c.Commit(t.Context(), event("1", "connected"))
	require.NoError(t, err)
	cancel()
	require.NoError(t, <-done)

	_, err = c.Commit(t.Context(), event("2", "connected"))
	require.ErrorIs(t, err, mesh.ErrUnavailable)
}

func TestUnknownSourceIsAnError(t *testing.T) {
	c := newCommits(t, meshtest.Start(t))
	e := event("1", "connected")
	e.Source = "nobody"
	_, err := c.Commit(t.Context(), e)
	require.ErrorContains(t, err, "source nobody is not in streams.json")
}
