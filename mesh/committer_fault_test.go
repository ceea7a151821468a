package mesh_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// replicated is the committers' topology with three replicas of each stream.
func replicated(t *testing.T) *mesh.Topology {
	t.Helper()
	return meshtest.Topology(t, strings.ReplaceAll(committerTopology, `"subjects"`, `"num_replicas": 3, "subjects"`))
}

// Two processes get the same events at the same time: the server says "in process" to the one
// that comes second, and both must end with the same answer.
func TestProcessesThatRaceForAnEventStoreItOnce(t *testing.T) {
	cluster := meshtest.StartCluster(t)
	topology := replicated(t)
	meshtest.Apply(t, cluster.JetStream(0), topology)
	one, two := startCommits(t, cluster.JetStream(1), topology), startCommits(t, cluster.JetStream(2), topology)
	const events, copies = 40, 5

	var accepted atomic.Int64
	var all sync.WaitGroup
	for i := range events * copies {
		for _, c := range []*commits{one, two} {
			all.Go(func() {
				if r := c.commit(event(fmt.Sprint(i%events), "connected")); !r.Duplicate {
					accepted.Add(1)
				}
			})
		}
	}
	all.Wait()

	assert.EqualValues(t, events, accepted.Load())
	assert.EqualValues(t, events, one.stored("INTERACTIONS"))
}

func TestLeaderChangesLoseAndDoubleNothing(t *testing.T) {
	cluster := meshtest.StartCluster(t)
	topology := replicated(t)
	js := cluster.JetStream(0)
	meshtest.Apply(t, js, topology)
	c := startCommits(t, cluster.JetStream(1), topology)
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan struct{})
	go func() {
		defer close(changes)
		for ctx.Err() == nil {
			_ = cluster.StepDown(ctx, js, "INTERACTIONS") // refused while there is no leader
			select {
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()

	const events = 400
	var all sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range events {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			c.commitUntilAnswered(event(fmt.Sprint(i/4), fmt.Sprint("state ", i%4)))
		})
	}
	all.Wait()
	cancel()
	<-changes

	assert.EqualValues(t, events, c.stored("INTERACTIONS"))
}

// commitUntilAnswered does what a sender does: it sends again until it is answered.
func (c *commits) commitUntilAnswered(e mesh.Event) {
	for range 20 {
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
		_, err := c.Commit(ctx, e)
		cancel()
		if err == nil {
			return
		}
		assert.ErrorIs(c.t, err, mesh.ErrUnavailable)
	}
	c.t.Errorf("event %s of interaction %s was never answered", e.Fingerprint, e.Interaction)
}

// failAll commits n events at once while the server can't be heard; nobody waits long for them.
func (c *commits) failAll(n int, build func(i int) mesh.Event) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(c.t.Context(), 500*time.Millisecond)
			defer cancel()
			_, err := c.Commit(ctx, build(i))
			assert.ErrorIs(c.t, err, mesh.ErrUnavailable)
		})
	}
	all.Wait()
}

// The server stores and its answers are lost. Whoever asked is told "unavailable", and the next
// try finds the event stored.
func TestLostAnswerIsSettledByTheNextTry(t *testing.T) {
	s := meshtest.Start(t)
	topology := meshtest.Topology(t, committerTopology)
	meshtest.Apply(t, s.JetStream(), topology)
	link := newLink(t, strings.TrimPrefix(s.URL(), "nats://"))
	nc, err := mesh.Connect(t.Name(), "nats://"+link.addr(), meshtest.Quiet())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := mesh.JetStream(nc)
	require.NoError(t, err)
	c := startCommits(t, js, topology)
	c.commit(event("warm", "up"))

	link.mute()
	const n = 20
	c.failAll(n, func(i int) mesh.Event { return event(fmt.Sprint(i), "connected") })
	direct := commits{t: t, js: s.JetStream()}
	require.Eventually(t, func() bool { return direct.stored("INTERACTIONS") > 1 }, 20*time.Second, 10*time.Millisecond,
		"the server did store something")
	link.restore()

	for i := range n {
		c.commitUntilAnswered(event(fmt.Sprint(i), "connected"))
	}
	assert.EqualValues(t, n+1, direct.stored("INTERACTIONS"))
}

// link is a TCP connection to the server that can lose what the server says.
type link struct {
	listener net.Listener
	muted    atomic.Bool
	mu       sync.Mutex
	open     []net.Conn
}

func newLink(t *testing.T, server string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &link{listener: listener}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			l.mu.Lock()
			l.open = append(l.open, client, upstream)
			l.mu.Unlock()
			all.Go(func() { _, _ = io.Copy(upstream, client); upstream.Close() })
			all.Go(func() { _, _ = io.Copy(lossy{client, &l.muted}, upstream); client.Close() })
		}
	})
	t.Cleanup(func() { listener.Close(); l.cut(); all.Wait() })
	return l
}

func (l *link) addr() string { return l.listener.Addr().String() }
func (l *link) mute()        { l.muted.Store(true) }

// restore cuts the connection, in which something is missing, and lets the next one through.
func (l *link) restore() {
	l.muted.Store(false)
	l.cut()
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		c.Close()
	}
	l.open = nil
}

type lossy struct {
	io.Writer
	muted *atomic.Bool
}

func (w lossy) Write(p []byte) (int, error) {
	if w.muted.Load() {
		return len(p), nil
	}
	return w.Writer.Write(p)
}

// NATS is away for long: what nobody waits for any more is neither kept nor stored later, before
// what is new.
func TestEventsThatNobodyWaitsForAreLetGo(t *testing.T) {
	s := meshtest.Start(t)
	c := newCommits(t, s)
	c.commit(event("warm", "up"))
	s.Stop()
	const n = 3000
	c.failAll(n, func(i int) mesh.Event { return event(fmt.Sprint("stale ", i), "connected") })
	s.Restart()
	c.commitUntilAnswered(event("fresh", "connected"))

	assert.Less(t, c.stored("INTERACTIONS"), uint64(n), "at most the batches that were under way come through")
	require.NoError(t, c.Ready())
}

// Who is not ready gets no requests, so it must become ready again without one.
func TestReadinessTellsOfALastingFailureAndForgetsIt(t *testing.T) {
	s := meshtest.Start(t)
	c := newCommits(t, s)
	c.commit(event("warm", "up"))
	s.Stop()
	fail := func() {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := c.Commit(ctx, event("1", "connected"))
		assert.ErrorIs(t, err, mesh.ErrUnavailable)
	}
	fail()
	require.NoError(t, c.Ready(), "a moment is no lasting failure")
	require.Eventually(t, func() bool { fail(); return c.Ready() != nil }, 30*time.Second, 500*time.Millisecond)
	s.Restart()
	require.Eventually(t, func() bool { return c.Ready() == nil }, 30*time.Second, 200*time.Millisecond)
}

// A site that stands by has copies of the streams. An ingress there must get no senders, until its site takes the other's place.
func TestCommitterIsNotReadyWhileItsStreamIsAMirror(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	topology := meshtest.Topology(t, committerTopology)
	meshtest.Apply(t, js, topology)
	stream, err := js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	own := stream.CachedInfo().Config
	require.NoError(t, js.DeleteStream(t.Context(), own.Name))
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ELSEWHERE", Subjects: own.Subjects})
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: own.Name, Mirror: &jetstream.StreamSource{Name: "ELSEWHERE"}})
	require.NoError(t, err)

	c := startCommits(t, js, topology)
	require.Eventually(t, func() bool { return c.Ready() != nil }, 20*time.Second, 10*time.Millisecond)
	require.ErrorContains(t, c.Ready(), "stream INTERACTIONS takes no events here: it is a mirror of ELSEWHERE")

	require.NoError(t, js.DeleteStream(t.Context(), "ELSEWHERE"))
	_, err = js.UpdateStream(t.Context(), own)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return c.Ready() == nil }, 20*time.Second, 10*time.Millisecond)
}
