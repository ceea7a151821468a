package workers_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// shortLease makes a dead worker's consumers go to others soon, and is long enough for a busy machine.
const shortLease = 1500 * time.Millisecond

// worker is a worker process, as far as the server and the others can tell: it has a connection and a
// lease of its own, and it can die without a word.
type worker struct {
	m      *mill
	conn   *nats.Conn
	crew   *workers.Crew
	dead   atomic.Bool
	ending []func()
}

// hire starts a worker for crm, whose handler is h while it lives.
func (m *mill) hire(h workers.HandlerFunc) *worker {
	m.t.Helper()
	return m.hireOver(m.server.Connect(), h)
}

func (m *mill) hireOver(conn *nats.Conn, h workers.HandlerFunc) *worker {
	m.t.Helper()
	w := &worker{m: m, conn: conn}
	js, err := mesh.JetStream(w.conn)
	require.NoError(m.t, err)
	log := logrus.New()
	log.SetOutput(m.t.Output())
	w.crew = workers.NewCrew(workers.CrewOptions{JetStream: js, Lease: m.lease, Logger: log})
	runner := workers.NewRunner(workers.Options{
		JetStream: js, Subscriber: m.topology.Subscribers[0], ReplayStream: m.letters.Stream(), DeadLetters: m.letters, Crew: w.crew,
		Handler: workers.HandlerFunc(func(ctx context.Context, e mesh.Event) error {
			if w.dead.Load() {
				<-ctx.Done() // the dead call nobody
				return ctx.Err()
			}
			return h(ctx, e)
		}),
		Logger: m.log, Metrics: workers.NewMetrics(nil), Grace: 2 * time.Second,
	})
	for _, run := range []func(context.Context) error{w.crew.Run, runner.Run} {
		ctx, cancel := context.WithCancel(m.t.Context())
		done := make(chan error, 1)
		go func() { done <- run(ctx) }()
		w.ending = append([]func(){func() { cancel(); <-done }}, w.ending...)
	}
	m.t.Cleanup(w.end)
	return w
}

// end is an orderly end.
func (w *worker) end() {
	for _, end := range w.ending {
		end()
	}
	w.ending = nil
}

// die ends without a word: no acknowledgement, no give-back and no release leaves it any more.
func (w *worker) die() {
	w.dead.Store(true)
	w.conn.Close()
	w.end()
}

// diary is what a target saw, by interaction.
type diary struct {
	mu   sync.Mutex
	seen map[string][]uint64
	all  map[uint64]bool
	n    int
}

func newDiary() *diary { return &diary{seen: map[string][]uint64{}, all: map[uint64]bool{}} }

func (d *diary) write(e mesh.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[e.Interaction] = append(d.seen[e.Interaction], e.Sequence)
	d.all[e.Sequence] = true
	d.n++
}

func (d *diary) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// forget what was seen in which order.
func (d *diary) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.seen)
}

// distinct counts the events, however often each was seen.
func (d *diary) distinct() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.all)
}

// requireOrder checks that the target never saw an older event of an interaction after a newer one.
func (d *diary) requireOrder(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for interaction, sequences := range d.seen {
		for i := 1; i < len(sequences); i++ {
			require.GreaterOrEqual(t, sequences[i], sequences[i-1], "interaction %s: %v", interaction, sequences)
		}
	}
}

const quick = `"max_attempts": 50, "max_deliver": 200, "ack_wait": "2s", "backoff": {"base": "10ms", "max": "40ms"},
	"breaker": {"disabled": true}`

func TestOrderHoldsOverProcessesThatDie(t *testing.T) {
	for name, layout := range map[string]string{
		"one consumer":    `"partitions": 1`,
		"four partitions": `"partitions": 4`,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMill(t, quick+","+layout)
			m.lease = shortLease
			d := newDiary()
			handler := func(ctx context.Context, e mesh.Event) error {
				select {
				case <-time.After(time.Duration(rand.N(4)) * time.Millisecond):
				case <-ctx.Done():
					return ctx.Err()
				}
				if rand.N(10) == 0 {
					return errors.New("the target has a bad moment")
				}
				d.write(e)
				return nil
			}
			crew := []*worker{m.hire(handler), m.hire(handler), m.hire(handler)}
			const interactions, each, rounds = 30, 40, 4
			for n := range each {
				for i := range interactions {
					m.publish(fmt.Sprintf("i%d", i), n)
				}
				if n%(each/rounds) == each/rounds-1 {
					victim := rand.N(len(crew))
					crew[victim].die()
					crew[victim] = m.hire(handler)
					require.Eventually(t, func() bool { return d.distinct() == (n+1)*interactions }, 30*time.Second, 5*time.Millisecond,
						"the others go on with it")
				}
			}
			require.Eventually(t, func() bool { return d.distinct() == interactions*each }, 30*time.Second, 20*time.Millisecond,
				"%d of %d", d.distinct(), interactions*each)
			d.requireOrder(t)
			assert.Empty(t, m.dead())
		})
	}
}

func TestOrderHoldsWhileProcessesComeAndGo(t *testing.T) {
	m := newMill(t, quick+`, "partitions": 8`)
	d := newDiary()
	handler := func(_ context.Context, e mesh.Event) error {
		d.write(e)
		return nil
	}
	first := m.hire(handler)
	const interactions, each = 40, 30
	var others []*worker
	for n := range each {
		for i := range interactions {
			m.publish(fmt.Sprintf("i%d", i), n)
		}
		switch n {
		case 5, 10, 15:
			others = append(others, m.hire(handler))
		case 20:
			first.end()
		case 25:
			others[0].end()
		}
	}
	require.Eventually(t, func() bool { return d.distinct() == interactions*each }, 30*time.Second, 20*time.Millisecond)
	d.requireOrder(t)
	assert.Equal(t, interactions*each, d.count(), "who comes and goes in an orderly way doubles nothing")
}

// served tells how many consumers of crm each worker serves.
func TestPartitionsAreSharedEvenly(t *testing.T) {
	m := newMill(t, quick+`, "partitions": 8`)
	var mu sync.Mutex
	took := map[int]int{}
	handler := func(i int) workers.HandlerFunc {
		return func(context.Context, mesh.Event) error {
			mu.Lock()
			defer mu.Unlock()
			took[i]++
			return nil
		}
	}
	m.hire(handler(0))
	m.hire(handler(1))
	next := 0
	require.Eventually(t, func() bool {
		mu.Lock()
		clear(took)
		mu.Unlock()
		for range 64 {
			m.publish(fmt.Sprint(next), 1)
			next++
		}
		m.settledAll()
		mu.Lock()
		defer mu.Unlock()
		return took[0] > 10 && took[1] > 10
	}, 20*time.Second, 50*time.Millisecond)
}

// settledAll waits until no consumer of crm has anything left.
func (m *mill) settledAll() {
	m.t.Helper()
	stream, err := m.js.Stream(m.t.Context(), "INTERACTIONS")
	require.NoError(m.t, err)
	require.Eventually(m.t, func() bool {
		left := 0
		list := stream.ListConsumers(m.t.Context())
		for info := range list.Info() {
			left += int(info.NumPending) + info.NumAckPending
		}
		return left == 0 && list.Err() == nil
	}, 20*time.Second, 10*time.Millisecond)
}

// A process that is frozen and wakes up finds that its consumers are another's: it calls nobody.
func TestProcessThatLosesItsLeaseStopsAtOnce(t *testing.T) {
	m := newMill(t, quick)
	m.lease = shortLease
	started, ended := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	w := m.hire(func(ctx context.Context, _ mesh.Event) error {
		once.Do(func() {
			close(started)
			<-ctx.Done()
			ended <- context.Cause(ctx)
		})
		return ctx.Err()
	})
	m.publish("987", 1)
	<-started
	w.conn.Close() // it can give no sign of life any more
	select {
	case err := <-ended:
		require.ErrorContains(t, err, "another process")
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on calling its target")
	}
	d := newDiary()
	m.hire(func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
	require.Eventually(t, func() bool { return d.count() == 1 }, 15*time.Second, 10*time.Millisecond)
}

// What was lost on its way to the process comes first when it comes again.
func TestLostDeliveryIsNotOvertaken(t *testing.T) {
	m := newMill(t, strings.Replace(quick, `"ack_wait": "2s"`, `"ack_wait": "20s"`, 1)+`, "max_ack_pending": 64`)
	// Somebody takes the first deliveries and dies with them.
	consumer, err := m.server.JetStream().PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	got := make(chan jetstream.Msg, 100)
	dying, err := consumer.Consume(func(msg jetstream.Msg) { got <- msg })
	require.NoError(t, err)
	for i := range 20 {
		m.publish("987", i)
	}
	for i := range 20 {
		msg := <-got
		if i == 3 || i == 11 { // acknowledged out of order, as other interactions would be
			require.NoError(t, msg.DoubleAck(t.Context()))
		}
	}
	dying.Stop()
	<-dying.Closed()
	for i := range 20 {
		m.publish("987", 20+i)
	}
	began := time.Now()
	d := newDiary()
	m.hire(func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
	require.Eventually(t, func() bool { return d.count() == 38 }, 15*time.Second, 5*time.Millisecond)
	d.requireOrder(t)
	assert.Less(t, time.Since(began), 10*time.Second, "they are asked for, not waited for")
}

func TestOrderNoneLetsAllProcessesShareOneConsumer(t *testing.T) {
	m := newMill(t, quick+`, "order": "none"`)
	release := make(chan struct{})
	busy := make(chan string, 100)
	for _, name := range []string{"a", "b"} {
		m.hire(func(ctx context.Context, _ mesh.Event) error {
			busy <- name
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil
		})
	}
	for i := range 40 {
		m.publish("987", i) // one interaction: its events go at once, and to both
	}
	seen := map[string]int{}
	for len(seen) < 2 || seen["a"]+seen["b"] < 10 {
		select {
		case name := <-busy:
			seen[name]++
		case <-time.After(15 * time.Second):
			t.Fatalf("only %v", seen)
		}
	}
	close(release)
	m.settledAll()
}

// Changes of the layout while events come in: nothing is lost, doubled or overtaken.
func TestLayoutChangesLoseAndDoubleNothing(t *testing.T) {
	m := newMill(t, quick)
	d := newDiary()
	handler := func(_ context.Context, e mesh.Event) error {
		d.write(e)
		return nil
	}
	m.hire(handler)
	m.hire(handler)
	const interactions = 20
	published := 0
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ; n++ {
			for i := range interactions {
				m.publish(fmt.Sprintf("i%d", i), n)
				published++
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	before := ""
	for _, layout := range []string{`"partitions": 4`, `"partitions": 3`, `"order": "none"`, `"partitions": 1`, `"partitions": 8`} {
		changed := topology(t, quick+","+layout)
		plan, err := changed.Plan(t.Context(), m.js)
		require.NoError(t, err)
		require.Empty(t, plan.Destructive())
		require.NoError(t, plan.Apply(t.Context(), m.js, false))
		if before == `"order": "none"` {
			d.forget() // the order of what came before; the switch itself has drained all of it
		}
		before = layout
		after, err := changed.Plan(t.Context(), m.js)
		require.NoError(t, err)
		require.True(t, after.Empty(), "%v", after)
		seen := d.count()
		require.Eventually(t, func() bool { return d.count() > seen+50 }, 15*time.Second, 5*time.Millisecond, layout)
		if layout == `"order": "none"` {
			continue
		}
		d.requireOrder(t)
	}
	close(stop)
	<-stopped
	require.Eventually(t, func() bool { return d.distinct() == published }, 20*time.Second, 10*time.Millisecond)
	assert.Equal(t, published, d.count(), "nothing is doubled")
	d.requireOrder(t)
}

// A switch waits for what the target has not taken yet, and another apply goes on with it.
func TestSwitchWaitsForEventsUnderWay(t *testing.T) {
	t.Parallel() // it waits most of its time
	if testing.Short() {
		t.Skip("waits for apply to lose its patience")
	}
	m := newMill(t, quick)
	var down atomic.Bool
	down.Store(true)
	d := newDiary()
	m.hire(func(_ context.Context, e mesh.Event) error {
		if down.Load() {
			return workers.RetryAfter(50*time.Millisecond, errors.New("down"))
		}
		d.write(e)
		return nil
	})
	for i := range 10 {
		m.publish("987", i)
	}
	require.Eventually(t, func() bool { return m.unsettled() > 0 }, 20*time.Second, 10*time.Millisecond)
	changed := topology(t, quick+`, "partitions": 2`)
	apply := func() error {
		plan, err := changed.Plan(t.Context(), m.js)
		require.NoError(t, err)
		return plan.Apply(t.Context(), m.js, false)
	}
	var undrained *mesh.UndrainedError
	require.ErrorAs(t, apply(), &undrained)
	assert.Equal(t, "crm", undrained.Subscriber)
	assert.Positive(t, undrained.Events)
	down.Store(false)
	require.NoError(t, apply())
	for i := range 10 {
		m.publish("987", 10+i)
	}
	require.Eventually(t, func() bool { return d.count() == 20 }, 15*time.Second, 10*time.Millisecond)
	d.requireOrder(t)
}

// A process that serves nothing but the replays of a subscriber with a rate still hands them on.
func TestReplaysPassWhoeverServesTheLiveEvents(t *testing.T) {
	m := newMill(t, quick+`, "rate_limit": "50/s", "partitions": 2`)
	refuse := atomic.Bool{}
	refuse.Store(true)
	d := newDiary()
	handler := func(_ context.Context, e mesh.Event) error {
		if refuse.Load() {
			return workers.Permanent(errors.New("422"))
		}
		d.write(e)
		return nil
	}
	for range 3 {
		m.hire(handler)
	}
	for i := range 5 {
		m.publish(fmt.Sprint(i), 1)
	}
	require.Eventually(t, func() bool { return len(m.dead()) == 5 }, 15*time.Second, 20*time.Millisecond)
	refuse.Store(false)
	for _, letter := range m.dead() {
		require.NoError(t, m.letters.Replay(t.Context(), letter))
	}
	require.Eventually(t, func() bool { return d.distinct() == 5 }, 15*time.Second, 10*time.Millisecond)
	assert.Equal(t, 5, d.count())
}
