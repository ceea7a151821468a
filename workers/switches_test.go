package workers_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// An apply that changes a layout ends after any of the changes that it makes at the server, because its process dies or
// because somebody interrupts it. The next apply completes the switch, whatever was done of it.
//
// Each cut has a subscriber of its own, so that all of them happen in one mesh at a time.
func TestSwitchThatIsCutShortIsCompletedByTheNextApply(t *testing.T) {
	const one, two, three, four, none = `"partitions": 1`, `"partitions": 2`, `"partitions": 3`, `"partitions": 4`, `"order": "none"`
	for _, c := range []struct {
		from, to string
		cuts     int // one more than the switch makes changes
	}{
		{one, four, 10},
		{two, none, 10},
		{none, three, 9},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			m := newMill(t, subscribers(2*c.cuts, inMemory+c.from))
			var diaries []*diary
			processes := []*staff{m.staff(), m.staff()}
			for i := range m.topology.Subscribers {
				d := newDiary()
				diaries = append(diaries, d)
				for _, p := range processes {
					p.serve(i, func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
				}
			}
			f := m.flow(6, 5*time.Millisecond)
			require.Eventually(t, func() bool { return all(diaries, func(d *diary) bool { return d.count() > 20 }) },
				15*time.Second, 5*time.Millisecond, "all are served")
			if c.from != none {
				eachInOrder(t, diaries)
			}

			after := topology(t, subscribers(2*c.cuts, inMemory+c.to))
			completed := 0
			for i, step := range switches(t, m, after) {
				if m.applyUntil(mesh.Plan{Steps: []mesh.Step{step}}, i/2+1, i%2 == 0) == nil {
					completed++
				}
			}
			assert.Positive(t, completed, "the cuts go beyond the end of the switch")
			assert.Less(t, completed, len(diaries)/2, "most of them fall into it")
			meshtest.Apply(t, m.js, after)
			require.Empty(t, switches(t, m, after))
			if c.from == none {
				forgetEach(diaries) // no order was asked for until now
			}
			served := int(f.stored.Load())
			require.Eventually(t, func() bool { return all(diaries, func(d *diary) bool { return d.distinct() > served }) },
				15*time.Second, 5*time.Millisecond, "the new consumers are served")

			published := f.stop()
			require.Eventually(t, func() bool { return all(diaries, func(d *diary) bool { return d.distinct() == published }) },
				15*time.Second, 10*time.Millisecond, "none is missing")
			for i, d := range diaries {
				assert.Equal(t, published, d.count(), "none is doubled after a cut behind change %d", i/2+1)
			}
			if c.to != none {
				eachInOrder(t, diaries)
			}
		})
	}
}

// inMemory spares so many consumers the disk.
const inMemory = `"mem_storage": true, `

// subscribers are n of them, the first one called crm, with the same further fields.
func subscribers(n int, fields string) string {
	all := []string{quick + "," + fields}
	for i := range n - 1 {
		all = append(all, fmt.Sprintf(`"target": {"url": "log:"}}, {"name": "crm%d", "stream": "INTERACTIONS", %s, %s`, i, quick, fields))
	}
	return strings.Join(all, ",")
}

func all(diaries []*diary, is func(*diary) bool) bool {
	for _, d := range diaries {
		if !is(d) {
			return false
		}
	}
	return true
}

func eachInOrder(t *testing.T, diaries []*diary) {
	t.Helper()
	for _, d := range diaries {
		d.requireOrder(t)
	}
}

func forgetEach(diaries []*diary) {
	for _, d := range diaries {
		d.forget()
	}
}

// switches are the steps of a plan that change a layout.
func switches(t *testing.T, m *mill, wanted *mesh.Topology) (steps []mesh.Step) {
	t.Helper()
	plan, err := wanted.Plan(t.Context(), m.js)
	require.NoError(t, err)
	require.Empty(t, plan.Destructive())
	for _, step := range plan.Steps {
		if step.Action == mesh.Switch {
			steps = append(steps, step)
		}
	}
	return steps
}

// applyUntil applies a plan in a process that ends when the server has made so many changes for it: it dies, so that
// the answer to the last one is lost and nothing more leaves it, or it is interrupted.
func (m *mill) applyUntil(plan mesh.Plan, changes int, dies bool) error {
	m.t.Helper()
	ctx, cancel := context.WithCancel(m.t.Context())
	defer cancel()
	end := &ending{left: changes, dies: dies, interrupt: cancel}
	nc, err := mesh.Connect("apply", m.server.URL(), meshtest.Quiet(), nats.SetCustomDialer(end))
	require.NoError(m.t, err)
	defer nc.Close()
	js, err := mesh.JetStream(nc)
	require.NoError(m.t, err)
	err = plan.Apply(ctx, js, false)
	if dies {
		m.endApply()
	}
	return err
}

// endApply lets the next apply begin at once: a dead one would keep it waiting for some seconds.
func (m *mill) endApply() {
	m.t.Helper()
	state, err := mesh.OpenState(m.t.Context(), m.js)
	require.NoError(m.t, err)
	require.NoError(m.t, state.KeyValue().Purge(m.t.Context(), "apply"))
}

// ending dials the connection of a process that ends as applyUntil says.
type ending struct {
	dies      bool
	interrupt func()

	mu   sync.Mutex
	left int
	dead bool
}

func (e *ending) Dial(network, address string) (net.Conn, error) {
	if e.isDead() {
		return nil, net.ErrClosed
	}
	conn, err := net.Dial(network, address)
	return &endingConn{conn, e}, err
}

func (e *ending) isDead() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dead
}

type endingConn struct {
	net.Conn
	*ending
}

// changing matches a request to the JetStream API that changes something.
var changing = regexp.MustCompile(`\$JS\.API\.(CONSUMER|STREAM)\.(DURABLE\.)?(CREATE|UPDATE|DELETE|PAUSE)\.`)

func (c *endingConn) Write(p []byte) (int, error) {
	if c.isDead() {
		return 0, net.ErrClosed
	}
	if changing.Match(p) {
		c.mu.Lock()
		c.left--
		c.mu.Unlock()
	}
	return c.Conn.Write(p)
}

func (c *endingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 {
		c.interrupt()
		c.dead = c.dies
	}
	if c.dead {
		return 0, net.ErrClosed
	}
	return n, err
}

// Somebody changes his mind again and again, and does not wait for one layout to be served, or even for its apply
// to end, before he applies the next one.
func TestSwitchesFollowEachOtherWithoutWaiting(t *testing.T) {
	for name, layouts := range map[string][]string{
		"in order":             {`"partitions": 1`, `"partitions": 4`, `"partitions": 3`, `"partitions": 2`, `"partitions": 8`},
		"now and then without": {`"partitions": 1`, `"order": "none"`, `"partitions": 3`, `"order": "none"`, `"partitions": 2`},
	} {
		t.Run(name, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Log("seed", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			m := newMill(t, quick+","+layouts[0])
			w := newWitness()
			m.hire(w.handler("a", takes))
			m.hire(w.handler("b", takes))
			f := m.flow(12, 2*time.Millisecond)
			w.awaitMore(t, 50, 10*time.Second, "at first")
			now := 0
			for range 12 {
				now = (now + 1 + random.IntN(len(layouts)-1)) % len(layouts) // another one
				plan, err := topology(t, quick+","+layouts[now]).Plan(t.Context(), m.js)
				require.NoError(t, err)
				require.Empty(t, plan.Destructive())
				err = m.applyUntil(plan, 1+random.IntN(16), random.IntN(2) == 0)
				t.Log(layouts[now], err)
			}
			meshtest.Apply(t, m.js, topology(t, quick+","+layouts[now]))
			w.awaitMore(t, 50, 10*time.Second, "in the last layout")
			published := f.stop()
			w.awaitAll(t, published)
			assert.Equal(t, published, w.count(), "none is doubled")
			if name == "in order" {
				w.requireOrder(t)
				w.requireOneByOne(t)
			}
		})
	}
}

// An apply puts a consumer that keeps the order in the place of one that did not. A worker that still runs with the
// streams.json of before serves it, and keeps the order.
func TestOrderIsWhatTheConsumerSaysNotWhatTheWorkerWasStartedWith(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, quick+`, "order": "none"`)
	d := newDiary()
	m.hire(func(_ context.Context, e mesh.Event) error {
		time.Sleep(rand.N(3 * time.Millisecond)) // the target's own work
		d.write(e)
		return nil
	})
	m.publish("987", 0)
	require.Eventually(t, func() bool { return d.count() == 1 }, 15*time.Second, 5*time.Millisecond)
	meshtest.Apply(t, m.js, topology(t, quick+`, "partitions": 2`))
	for i := range 40 {
		m.publish("987", 1+i)
	}
	require.Eventually(t, func() bool { return d.count() == 41 }, 15*time.Second, 5*time.Millisecond)
	d.requireOrder(t)
}

// Somebody changes the layout and takes that back before a worker has noticed: the consumer of before is there again,
// made anew, and says what the one before it has delivered. The worker that served that hears it on the same subject.
func TestLayoutThatIsTakenBackAtOnceDoublesNothing(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, quick+`, "partitions": 2`)
	d := newDiary()
	m.hire(func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
	for i := range 10 {
		m.publish("987", i)
	}
	require.Eventually(t, func() bool { return d.count() == 10 }, 15*time.Second, 5*time.Millisecond)
	m.settledAll()
	meshtest.Apply(t, m.js, topology(t, quick+`, "partitions": 3`))
	meshtest.Apply(t, m.js, topology(t, quick+`, "partitions": 2`))
	m.publish("987", 10)
	require.Eventually(t, func() bool { return d.distinct() == 11 }, 15*time.Second, 5*time.Millisecond)
	m.settledAll()
	assert.Equal(t, 11, d.count())
	d.requireOrder(t)
}

// Somebody sees that a consumer is paused, which is an apply's doing that drains another one of the subscriber still, and resumes it by hand.
func TestSwitchDoublesNothingOfAConsumerThatIsResumedMeanwhile(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, quick+`, "partitions": 2`)
	drained, draining := ofPartition(1), ofPartition(2)
	d := newDiary()
	hold := make(chan struct{})
	m.hire(func(ctx context.Context, e mesh.Event) error {
		if e.Interaction == draining {
			select {
			case <-hold:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		d.write(e)
		return nil
	})
	m.publish(drained, 0)
	require.Eventually(t, func() bool { return d.count() == 1 }, resumption, 5*time.Millisecond)
	for n := range 2 {
		m.publish(draining, n)
	}
	require.Eventually(t, func() bool { return m.consumer("crm=2of2").NumAckPending == 2 }, resumption, 5*time.Millisecond)
	done := make(chan error, 1)
	go func() {
		_, err := topology(t, quick+`, "partitions": 1`).Apply(t.Context(), m.js, false, mesh.Draining{})
		done <- err
	}()
	isDrained := func() bool {
		info := m.consumer("crm=1of2")
		return info.Paused && info.PauseRemaining < 59*time.Second // which the apply had time to see
	}
	require.Eventually(t, isDrained, resumption, 5*time.Millisecond)
	_, err := m.js.PauseConsumer(t.Context(), "INTERACTIONS", "crm=1of2", time.Now().Add(20*time.Millisecond))
	require.NoError(t, err)
	m.publish(drained, 1)
	m.publish(drained, 2)
	require.Eventually(t, func() bool { return d.count() > 1 }, resumption, 5*time.Millisecond, "it goes on")
	close(hold)
	require.NoError(t, <-done)
	require.Eventually(t, func() bool { return d.distinct() == 5 }, resumption, 5*time.Millisecond)
	m.settledAll()
	assert.Equal(t, 5, d.count(), "%v", d.seen)
	d.requireOrder(t)
}

// An operator pauses a consumer by hand while an apply drains it that comes to nothing: it stays paused.
func TestDrainLeavesAPauseThatSomebodyElseSets(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, quick)
	m.hire(func(ctx context.Context, _ mesh.Event) error {
		<-ctx.Done() // the target hangs
		return ctx.Err()
	})
	m.publish("987", 0)
	require.Eventually(t, func() bool { return m.consumer("crm").NumAckPending == 1 }, resumption, 5*time.Millisecond)
	done := make(chan error, 1)
	go func() {
		_, err := topology(t, quick+`, "partitions": 2`).Apply(t.Context(), m.js, false, mesh.Draining{Patience: 4 * time.Second})
		done <- err
	}()
	require.Eventually(t, func() bool { return m.consumer("crm").Paused }, resumption, 5*time.Millisecond)
	_, err := m.js.PauseConsumer(t.Context(), "INTERACTIONS", "crm", time.Now().Add(time.Hour))
	require.NoError(t, err)
	var undrained *mesh.UndrainedError
	require.ErrorAs(t, <-done, &undrained)
	assert.True(t, undrained.Paused)
	assert.Greater(t, m.consumer("crm").PauseRemaining, 50*time.Minute)
}

// A consumer that is slowed down by rate_limit_bps may have an event that waits for its turn in the server, which tells of it nowhere.
func TestSwitchWaitsForAnEventThatWaitsForTheServersRate(t *testing.T) {
	t.Parallel() // it waits most of its time
	const limit = `, "rate_limit_bps": 4000000`
	m := newMill(t, quick+limit+`, "partitions": 4`)
	d := newDiary()
	m.hire(func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
	const events = 160
	for n := range events {
		m.publishLarge(fmt.Sprintf("i%d", n%8), n, 100_000)
	}
	for _, partitions := range []int{2, 3, 1} {
		meshtest.Apply(t, m.js, topology(t, fmt.Sprintf(`%s%s, "partitions": %d`, quick, limit, partitions)))
		before := d.distinct()
		require.Eventually(t, func() bool { return d.distinct() > min(before+5, events-1) }, resumption, 5*time.Millisecond)
	}
	require.Eventually(t, func() bool { return d.distinct() == events }, time.Minute, 20*time.Millisecond)
	assert.Equal(t, events, d.count(), "none is doubled")
}

// publishLarge stores an event with so many bytes.
func (m *mill) publishLarge(interaction string, n, size int) {
	m.t.Helper()
	msg := numbered(interaction, n)
	msg.Data = fmt.Appendf(nil, `{"note": %q}`, strings.Repeat("x", size))
	_, err := m.js.PublishMsg(m.t.Context(), msg)
	require.NoError(m.t, err)
}

// consumer is what the server says of one of crm's consumers.
func (m *mill) consumer(durable string) *jetstream.ConsumerInfo {
	m.t.Helper()
	consumer, err := m.js.PushConsumer(m.t.Context(), "INTERACTIONS", durable)
	require.NoError(m.t, err)
	return consumer.CachedInfo()
}

// ofPartition is an interaction of one of two partitions.
func ofPartition(p int) string {
	for n := 0; ; n++ {
		name := fmt.Sprintf("i%d", n)
		number, err := strconv.Atoi(mesh.Partition(name))
		if err == nil && number%2 == p-1 {
			return name
		}
	}
}
