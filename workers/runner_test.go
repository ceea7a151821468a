package workers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// topology has one subscriber crm, whose JSON fields the test chooses.
func topology(t *testing.T, crm string) *mesh.Topology {
	t.Helper()
	return meshtest.Topology(t, `{
	  "sources": [{"name": "genesys", "path": "/genesys", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS"}],
	  "streams": [
	    {"name": "INTERACTIONS", "subjects": ["genesys.>"], "retention": "limits", "discard": "new",
	     "max_age": "1h", "duplicate_window": "10m", "allow_atomic": true, "allow_direct": true},
	    {"name": "DEAD_LETTERS", "subjects": ["dead.>"], "duplicate_window": "10m", "allow_direct": true},
	    {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
	    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
	  "subscribers": [{"name": "crm", "stream": "INTERACTIONS", `+crm+`,
	    "target": {"url": "log:"}}]}`)
}

const fast = `"max_attempts": 3, "max_deliver": 5, "ack_wait": "1s", "backoff": {"base": "20ms", "max": "100ms"}`

// mill is a mesh with one subscriber whose handler a test wrote.
type mill struct {
	t        *testing.T
	server   *meshtest.Server
	js       jetstream.JetStream
	topology *mesh.Topology
	letters  *mesh.DeadLetters
	lease    time.Duration // of the workers that are hired; 0 is the default
	log      logrus.FieldLogger
	records  workers.Recorder // of deliveries; nil keeps none
}

func newMill(t *testing.T, crm string) *mill {
	t.Helper()
	server := meshtest.Start(t)
	m := &mill{t: t, server: server, js: server.JetStream(), topology: topology(t, crm), log: meshtest.Quiet()}
	meshtest.Apply(t, m.js, m.topology)
	letters, err := mesh.NewDeadLetters(m.js, m.topology)
	require.NoError(t, err)
	m.letters = letters
	return m
}

// run serves crm with h and returns what ends it.
func (m *mill) run(h workers.HandlerFunc) (stop func()) {
	m.t.Helper()
	runner := workers.NewRunner(workers.Options{
		JetStream: m.server.JetStream(), Subscriber: m.topology.Subscribers[0], ReplayStream: m.letters.Stream(), Handler: h,
		DeadLetters: m.letters, Records: m.records, Logger: meshtest.Quiet(), Metrics: workers.NewMetrics(nil), Grace: 2 * time.Second,
	})
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan error, 1)
	go func() { done <- runner.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(m.t, <-done)
	})
	m.t.Cleanup(stop)
	return stop
}

// undertake runs an undertaker that knows t, until the test ends.
func (m *mill) undertake(t *mesh.Topology) {
	m.t.Helper()
	m.start(m.undertaker(t, m.letters))
}

func (m *mill) start(u *workers.Undertaker) {
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	m.t.Cleanup(func() { cancel(); require.NoError(m.t, <-done) })
}

func (m *mill) undertaker(t *mesh.Topology, letters workers.BurierOnce) *workers.Undertaker {
	return &workers.Undertaker{
		JetStream: m.server.JetStream(), DeadLetters: letters,
		Topology: func() *mesh.Topology { return t },
		Logger:   meshtest.Quiet(), Metrics: workers.NewMetrics(nil),
	}
}

// publish stores the event number i of an interaction.
func (m *mill) publish(interaction string, i int) uint64 {
	m.t.Helper()
	e := mesh.Event{
		Source: "genesys", Interaction: interaction, Type: "interaction", Media: "call",
		Fingerprint: fmt.Sprintf("%032x", i), Body: fmt.Appendf(nil, `{"n":%d}`, i),
		Subject: "genesys." + mesh.Partition(interaction) + ".interaction.call." + mesh.Token(interaction),
	}
	ack, err := m.js.PublishMsg(m.t.Context(), e.Msg(fmt.Sprintf("%s-%d", interaction, i)))
	require.NoError(m.t, err)
	return ack.Sequence
}

func (m *mill) dead() []mesh.DeadLetter {
	m.t.Helper()
	var all []mesh.DeadLetter
	for letter, err := range m.letters.Find(m.t.Context(), mesh.DeadFilter{}) {
		require.NoError(m.t, err)
		all = append(all, letter)
	}
	return all
}

// deadLetter waits for the one dead letter that there is to be.
func (m *mill) deadLetter() mesh.DeadLetter {
	m.t.Helper()
	require.Eventually(m.t, func() bool { return len(m.dead()) > 0 }, 15*time.Second, 20*time.Millisecond)
	m.settled()
	require.Len(m.t, m.dead(), 1)
	return m.dead()[0]
}

// unsettled is what the server still waits for.
func (m *mill) unsettled() uint64 {
	m.t.Helper()
	c, err := m.js.PushConsumer(m.t.Context(), "INTERACTIONS", "crm")
	require.NoError(m.t, err)
	info := c.CachedInfo()
	return info.NumPending + uint64(info.NumAckPending)
}

func (m *mill) settled() {
	m.t.Helper()
	require.Eventually(m.t, func() bool { return m.unsettled() == 0 }, 10*time.Second, 20*time.Millisecond)
}

// got collects what a handler was given.
type got struct {
	mu     sync.Mutex
	events []mesh.Event
}

func (g *got) add(e mesh.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, e)
}

func (g *got) len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.events)
}

// bodies are the bodies of one interaction in the order of arrival.
func (g *got) bodies(interaction string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var bodies []string
	for _, e := range g.events {
		if e.Interaction == interaction {
			bodies = append(bodies, string(e.Body))
		}
	}
	return bodies
}

func (g *got) await(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return g.len() >= n }, 10*time.Second, 5*time.Millisecond)
}

func TestEventReachesItsHandlerOnceAndIsSettled(t *testing.T) {
	m := newMill(t, fast)
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error { g.add(e); return nil })

	seq := m.publish("987", 1)
	g.await(t, 1)
	m.settled()

	e := g.events[0]
	assert.Equal(t, "INTERACTIONS", e.Stream)
	assert.Equal(t, seq, e.Sequence)
	assert.Equal(t, 1, e.Attempt)
	assert.Equal(t, `{"n":1}`, string(e.Body))
	assert.Equal(t, 1, g.len())
}

func TestFailingTargetHealsAndNothingIsDead(t *testing.T) {
	m := newMill(t, fast)
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error {
		g.add(e)
		if e.Attempt < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	m.publish("987", 1)
	g.await(t, 3)
	m.settled()
	assert.Equal(t, 3, g.len())
	assert.Empty(t, m.dead())
}

func TestOrderWithinAnInteractionIncludesAWaitingRetry(t *testing.T) {
	m := newMill(t, `"max_attempts": 5, "max_deliver": 8, "ack_wait": "1s", "backoff": {"base": "100ms", "max": "200ms"}`)
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error {
		if e.Interaction == "stuck" && string(e.Body) == `{"n":0}` && e.Attempt < 4 {
			return errors.New("not yet")
		}
		g.add(e)
		return nil
	})
	const n = 10
	for i := range n {
		m.publish("stuck", i)
		m.publish("free", i)
	}
	g.await(t, n)
	assert.Empty(t, g.bodies("stuck"), "the others pass while the first of stuck waits")
	g.await(t, 2*n)
	for _, interaction := range []string{"stuck", "free"} {
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf(`{"n":%d}`, i))
		}
		assert.Equal(t, want, g.bodies(interaction))
	}
}

func TestExhaustedEventIsADeadLetterWithAllThatIsKnown(t *testing.T) {
	m := newMill(t, fast)
	m.run(func(context.Context, mesh.Event) error {
		return &workers.Failure{Status: 503, Answer: []byte("down\nfor repair"), Err: errors.New("crm answered 503")}
	})
	seq := m.publish("987", 1)
	d := m.deadLetter()
	assert.Equal(t, "crm", d.Subscriber)
	assert.Equal(t, mesh.DeadExhausted, d.Reason)
	assert.Equal(t, 3, d.Attempts)
	assert.Equal(t, 503, d.Status)
	assert.Equal(t, "down\nfor repair", d.Answer)
	assert.Equal(t, "crm answered 503", d.Error)
	assert.Equal(t, "INTERACTIONS", d.Stream)
	assert.Equal(t, seq, d.Sequence)
	assert.Equal(t, `{"n":1}`, string(d.Body))
	assert.False(t, d.FirstAttempt.IsZero())
	assert.True(t, d.LastAttempt.After(d.FirstAttempt))
}

func TestPermanentFailureIsDeadAtOnce(t *testing.T) {
	m := newMill(t, fast)
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error {
		g.add(e)
		return workers.Permanent(&workers.Failure{Status: 422, Err: errors.New("crm answered 422")})
	})
	m.publish("987", 1)
	assert.Equal(t, mesh.DeadRejected, m.deadLetter().Reason)
	assert.Equal(t, 1, g.len())
}

func TestPanickingHandlerCostsOnlyItsEvent(t *testing.T) {
	m := newMill(t, fast)
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error {
		if e.Interaction == "bad" {
			panic("poison")
		}
		g.add(e)
		return nil
	})
	m.publish("bad", 1)
	m.publish("good", 1)
	assert.Contains(t, m.deadLetter().Error, "poison")
	g.await(t, 1)
	assert.Equal(t, 1, g.len())
}

func TestReplayReachesTheSubscriberAgainWithItsIdentity(t *testing.T) {
	m := newMill(t, fast)
	g := new(got)
	healed := make(chan struct{})
	m.run(func(_ context.Context, e mesh.Event) error {
		select {
		case <-healed:
			g.add(e)
			return nil
		default:
			return workers.Permanent(errors.New("no"))
		}
	})
	m.publish("987", 1)
	d := m.deadLetter()
	close(healed)

	require.NoError(t, m.letters.Replay(t.Context(), d))
	require.NoError(t, m.letters.Replay(t.Context(), d), "a second replay is no error")
	g.await(t, 1)
	m.settled()

	e := g.events[0]
	assert.Equal(t, d.Fingerprint, e.Fingerprint)
	assert.Equal(t, d.Subject, e.Subject)
	assert.Equal(t, 1, e.Attempt)
	assert.Equal(t, 1, g.len(), "and delivers nothing")
	assert.Empty(t, m.dead())
	require.Eventually(t, func() bool {
		s, err := m.js.Stream(t.Context(), "DEAD_LETTERS")
		return err == nil && s.CachedInfo().State.Msgs == 0
	}, 20*time.Second, 20*time.Millisecond, "a replay that is done leaves nothing behind")
}

func TestTargetThatAsksForAirStopsTheSubscriberAndSpendsNoAttempt(t *testing.T) {
	m := newMill(t, fast)
	g := new(got)
	var once sync.Once
	asked := make(chan time.Time, 1)
	m.run(func(_ context.Context, e mesh.Event) error {
		first := false
		once.Do(func() { first = true; asked <- time.Now() })
		if first {
			return workers.RetryAfter(600*time.Millisecond, errors.New("429"))
		}
		g.add(e)
		return nil
	})
	m.publish("a", 1)
	at := <-asked
	for i := range 20 {
		m.publish(fmt.Sprint("b", i), 1)
	}
	g.await(t, 21)
	assert.GreaterOrEqual(t, time.Since(at), 600*time.Millisecond)
	i := slices.IndexFunc(g.events, func(e mesh.Event) bool { return e.Interaction == "a" })
	assert.Equal(t, 1, g.events[i].Attempt)
	m.settled()
}

// A held event outlives many ack_waits without a second delivery.
func TestLongWaitIsNoRedelivery(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, fast)
	g := new(got)
	m.run(func(ctx context.Context, e mesh.Event) error {
		g.add(e)
		select {
		case <-time.After(3500 * time.Millisecond):
		case <-ctx.Done():
		}
		return nil
	})
	m.publish("slow", 1)
	m.publish("slow", 2)
	g.await(t, 2)
	m.settled()
	assert.Equal(t, 2, g.len())
	for _, e := range g.events {
		assert.Equal(t, 1, e.Attempt)
	}
}

// The dead-letter stream is full for a while; the event is neither lost nor dropped.
func TestRefusedBurialKeepsTheEvent(t *testing.T) {
	m := newMill(t, fast)
	full := m.config("DEAD_LETTERS")
	full.MaxMsgSize = 1
	_, err := m.js.UpdateStream(t.Context(), full)
	require.NoError(t, err)
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error {
		g.add(e)
		return workers.Permanent(errors.New("no"))
	})
	m.publish("987", 1)
	g.await(t, 1)
	require.Never(t, func() bool { return m.unsettled() == 0 }, 1500*time.Millisecond, 50*time.Millisecond)

	full.MaxMsgSize = -1
	_, err = m.js.UpdateStream(t.Context(), full)
	require.NoError(t, err)
	m.deadLetter()
	assert.Equal(t, 1, g.len(), "the target was not asked again")
}

func (m *mill) config(stream string) jetstream.StreamConfig {
	m.t.Helper()
	s, err := m.js.Stream(m.t.Context(), stream)
	require.NoError(m.t, err)
	return s.CachedInfo().Config
}

func TestShutdownFinishesWhatIsUnderWayAndGivesTheRestBack(t *testing.T) {
	m := newMill(t, `"max_attempts": 3, "max_deliver": 6, "ack_wait": "10s", "backoff": {"base": "10m", "max": "10m"}`)
	entered, leave := make(chan struct{}), make(chan struct{})
	g := new(got)
	stop := m.run(func(_ context.Context, e mesh.Event) error {
		if e.Interaction == "failing" {
			g.add(e)
			return errors.New("no")
		}
		close(entered)
		<-leave
		g.add(e)
		return nil
	})
	m.publish("failing", 1)
	m.publish("slow", 1)
	<-entered
	g.await(t, 1)
	ended := make(chan struct{})
	go func() { stop(); close(ended) }()
	close(leave)
	<-ended
	assert.Equal(t, []string{`{"n":1}`}, g.bodies("slow"))
	assert.EqualValues(t, 1, m.unsettled(), "the failing one waits at the server")
}

func TestDeletedConsumerIsServedAgainWhenItIsMadeAgain(t *testing.T) {
	m := newMill(t, fast)
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error { g.add(e); return nil })
	m.publish("a", 1)
	g.await(t, 1)
	require.NoError(t, m.js.DeleteConsumer(t.Context(), "INTERACTIONS", "crm"))
	meshtest.Apply(t, m.js, m.topology)
	m.publish("b", 1)
	require.Eventually(t, func() bool { return len(g.bodies("b")) > 0 }, 20*time.Second, 20*time.Millisecond)
}

func TestServerRestartLosesNothing(t *testing.T) {
	m := newMill(t, fast)
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error { g.add(e); return nil })
	for i := range 50 {
		m.publish(fmt.Sprint(i), 1)
	}
	m.server.Restart()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := m.js.AccountInfo(ctx)
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
	for i := range 50 {
		m.publish(fmt.Sprint(i), 2)
	}
	require.Eventually(t, func() bool {
		for i := range 50 {
			bodies := g.bodies(fmt.Sprint(i))
			if !slices.Contains(bodies, `{"n":1}`) || !slices.Contains(bodies, `{"n":2}`) {
				return false
			}
		}
		return true
	}, 20*time.Second, 20*time.Millisecond)
}

func TestMessageThatIsNoEventIsADeadLetter(t *testing.T) {
	m := newMill(t, fast)
	m.run(func(context.Context, mesh.Event) error { return nil })
	_, err := m.js.Publish(t.Context(), "genesys.00.interaction.call.x", []byte("who are you"))
	require.NoError(t, err)
	d := m.deadLetter()
	assert.Equal(t, mesh.DeadUnreadable, d.Reason)
	assert.Equal(t, "who are you", string(d.Body))
}

// Workers die with an event until its deliveries are used up: the server's advisory tells.
func TestEventWhoseWorkersAllDiedIsBuriedByTheUndertaker(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, `"max_attempts": 1, "max_deliver": 2, "ack_wait": "1s"`)
	m.undertake(m.topology)
	// A client that takes events and never says a word, as a worker that dies each time.
	consumer, err := m.server.JetStream().PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	dying, err := consumer.Consume(func(jetstream.Msg) {})
	require.NoError(t, err)
	defer dying.Stop()
	seq := m.publish("poison", 1)

	require.Eventually(t, func() bool { return len(m.dead()) == 1 }, 15*time.Second, 50*time.Millisecond)
	d := m.dead()[0]
	assert.Equal(t, mesh.DeadAbandoned, d.Reason)
	assert.Equal(t, seq, d.Sequence)
	assert.Equal(t, 2, d.Attempts)
	assert.Equal(t, "poison", d.Interaction)
	require.Eventually(t, func() bool {
		info, err := consumer.Info(t.Context())
		return err == nil && info.NumRedelivered == 0
	}, 10*time.Second, 20*time.Millisecond, "the buried event leaves no mark for the reconciler")
}

// stuckBurier is a dead-letter stream that takes nothing.
type stuckBurier struct{ asked chan struct{} }

func (b stuckBurier) BuryOnce(ctx context.Context, _ mesh.DeadLetter) (bool, error) {
	select {
	case b.asked <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return false, ctx.Err()
}

// What an undertaker had in hand when its process ended goes to the next one now, and not after its ack_wait.
func TestUndertakerHandsBackWhatItDidNotBury(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, `"max_attempts": 1, "max_deliver": 2, "ack_wait": "1s"`)
	consumer, err := m.server.JetStream().PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	dying, err := consumer.Consume(func(jetstream.Msg) {})
	require.NoError(t, err)
	defer dying.Stop()
	const events = 10
	for i := range events {
		m.publish(fmt.Sprint(i), 1)
	}
	first := stuckBurier{make(chan struct{}, 1)}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.undertaker(m.topology, first).Run(ctx) }()
	<-first.asked
	advisories, err := m.js.Consumer(t.Context(), "ADVISORIES", "undertaker")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := advisories.Info(t.Context())
		return err == nil && info.NumAckPending == events
	}, 10*time.Second, 20*time.Millisecond)
	end()
	require.NoError(t, <-ended)

	began := time.Now()
	log, said := test.NewNullLogger()
	second := m.undertaker(m.topology, m.letters)
	second.Logger = log
	m.start(second)
	require.Eventually(t, func() bool { return len(m.dead()) == events }, 20*time.Second, 20*time.Millisecond)
	assert.Less(t, time.Since(began), 5*time.Second)
	require.Eventually(t, func() bool { return len(said.AllEntries()) == events }, 10*time.Second, 20*time.Millisecond,
		"each is told, though its advisory was delivered before")
}

// A worker that gets the last delivery buries the event without another try.
func TestLastDeliveryIsKeptForTheBurial(t *testing.T) {
	m := newMill(t, `"max_attempts": 1, "max_deliver": 2, "ack_wait": "1s"`)
	seq := m.publish("poison", 1)
	consumer, err := m.server.JetStream().PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	delivered := make(chan struct{}, 1)
	dying, err := consumer.Consume(func(jetstream.Msg) { delivered <- struct{}{} })
	require.NoError(t, err)
	<-delivered
	dying.Stop()

	m.run(func(context.Context, mesh.Event) error { t.Error("the target was tried"); return nil })
	d := m.deadLetter()
	assert.Equal(t, mesh.DeadAbandoned, d.Reason)
	assert.Equal(t, seq, d.Sequence)
}

// A stream that is made again counts its events from one again; none of the new ones may be
// taken for an old one.
func TestStreamMadeAgainIsServedFromItsFirstEvent(t *testing.T) {
	m := newMill(t, fast)
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error { g.add(e); return nil })
	for i := range 10 {
		m.publish("old", i)
	}
	g.await(t, 10)
	m.settled()
	config := m.config("INTERACTIONS")
	require.NoError(t, m.js.DeleteStream(t.Context(), "INTERACTIONS"))
	_, err := m.js.CreateStream(t.Context(), config)
	require.NoError(t, err)
	meshtest.Apply(t, m.js, m.topology)
	for i := range 10 {
		m.publish("new", i)
	}
	require.Eventually(t, func() bool { return len(g.bodies("new")) == 10 }, 20*time.Second, 20*time.Millisecond)
}

func TestReplayToASubscriberThatNobodyServesKeepsTheDeadLetter(t *testing.T) {
	m := newMill(t, fast)
	m.run(func(context.Context, mesh.Event) error { return workers.Permanent(errors.New("no")) })
	m.publish("987", 1)
	d := m.deadLetter()
	require.NoError(t, m.js.DeleteConsumer(t.Context(), "DEAD_LETTERS", "crm"))

	require.ErrorContains(t, m.letters.Replay(t.Context(), d), "crm")
	assert.Len(t, m.dead(), 1)
}

// An older process shares the undertaker's durable while a new subscriber is rolled out.
func TestUndertakerBuriesForSubscribersThatItDoesNotKnow(t *testing.T) {
	m := newMill(t, `"max_attempts": 1, "max_deliver": 2, "ack_wait": "1s"`)
	older := *m.topology
	older.Subscribers = nil
	m.undertake(&older)
	consumer, err := m.server.JetStream().PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	dying, err := consumer.Consume(func(jetstream.Msg) {})
	require.NoError(t, err)
	defer dying.Stop()
	m.publish("poison", 1)
	require.Eventually(t, func() bool { return len(m.dead()) == 1 }, 15*time.Second, 50*time.Millisecond)
}

// Those who wait for a slot while the target asks for air must not go when it is free.
func TestNobodyGoesWhileTheTargetAsksForAir(t *testing.T) {
	m := newMill(t, fast+`, "max_in_flight": 2`)
	var calls atomic.Int64
	m.run(func(context.Context, mesh.Event) error {
		calls.Add(1)
		return workers.RetryAfter(time.Minute, errors.New("429"))
	})
	for i := range 30 {
		m.publish(fmt.Sprint(i), 1)
	}
	require.Eventually(t, func() bool { return calls.Load() > 0 }, 20*time.Second, time.Millisecond)
	require.Never(t, func() bool { return calls.Load() > 2 }, time.Second, 20*time.Millisecond)
}

// An operator deletes a consumer so that everything is delivered again.
func TestConsumerMadeAgainDeliversEverythingAgain(t *testing.T) {
	m := newMill(t, fast)
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error { g.add(e); return nil })
	for i := range 5 {
		m.publish("a", i)
	}
	g.await(t, 5)
	m.settled()
	require.NoError(t, m.js.DeleteConsumer(t.Context(), "INTERACTIONS", "crm"))
	meshtest.Apply(t, m.js, m.topology)
	require.Eventually(t, func() bool { return g.len() == 10 }, 20*time.Second, 20*time.Millisecond)
}

// The oldest event is one that its target can't take. It must not keep the breaker open for those behind it.
func TestEventThatItsTargetCantTakeDoesNotKeepTheBreakerOpen(t *testing.T) {
	m := newMill(t, `"max_attempts": 50, "ack_wait": "1s", "max_in_flight": 1, "backoff": {"base": "10ms", "max": "20ms"},
		"breaker": {"failures": 3, "for": "1ms"}`)
	var down atomic.Bool
	down.Store(true)
	g := new(got)
	m.run(func(_ context.Context, e mesh.Event) error {
		if down.Load() || e.Interaction == "poison" {
			return errors.New("500")
		}
		g.add(e)
		return nil
	})
	m.publish("poison", 1)
	for i := range 10 {
		m.publish(fmt.Sprint(i), 1)
	}
	state, err := mesh.OpenState(t.Context(), m.js)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		b, err := state.Breaker(t.Context(), "crm")
		return err == nil && b.Open
	}, 10*time.Second, 10*time.Millisecond)
	down.Store(false)
	g.await(t, 10)
}
