package notification_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/genesys/notification"
	"github.com/genmesh/genmesh/genesys/simulator"
)

const patience = 20 * time.Second

// queues are the topics that tell of every conversation once it is in a queue.
func queues() []string {
	return []string{
		"v2.routing.queues.q-01.conversations", "v2.routing.queues.q-02.conversations", "v2.routing.queues.q-03.conversations",
		"v2.routing.queues.q-04.conversations", "v2.routing.queues.q-05.conversations", "v2.routing.queues.q-06.conversations",
	}
}

// world is a simulated Genesys Cloud, a bridge to it, and the source that the bridge forwards to.
type world struct {
	*source
	simulator *simulator.Simulator
	registry  *prometheus.Registry
	log       *journal
	stop      func() // ends the bridge and waits for that
}

// begin starts a world. change may alter what it is made of.
func begin(t *testing.T, change func(*simulator.Options, *notification.Options)) *world {
	t.Helper()
	w := &world{source: &source{seen: make(map[string]bool)}, registry: prometheus.NewRegistry(), log: new(journal)}
	log := logrus.New()
	log.SetOutput(w.log)
	so := simulator.Options{Addr: "127.0.0.1:0", Seed: 7, Rate: 400, Heartbeat: 20 * time.Millisecond, Logger: log}
	bo := notification.Options{
		Source: "desk", Topics: queues(), Forward: w.take, Logger: log, Metrics: notification.NewMetrics(w.registry),
		Silence: 10 * time.Second, Overlap: 100 * time.Millisecond, RetryBase: 10 * time.Millisecond, RetryMax: 100 * time.Millisecond,
		MinRenewal: 50 * time.Millisecond,
	}
	change(&so, &bo)
	var err error
	w.simulator, err = simulator.New(so)
	require.NoError(t, err)
	run(t, w.simulator.Run)
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	bo.HTTPClient = &http.Client{Transport: transport}
	if bo.Channels == nil {
		bo.Channels, err = cloud.New(cloud.Options{
			URL: "http://" + w.simulator.Addr(), ClientID: "simulator", ClientSecret: "simulator", HTTPClient: bo.HTTPClient,
		})
		require.NoError(t, err)
	}
	bridge, err := notification.New(bo)
	require.NoError(t, err)
	w.stop = run(t, bridge.Run)
	return w
}

// run runs something until the returned function is called, or the test ends.
func run(t *testing.T, something func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- something(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

func (w *world) count(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := w.registry.Gather()
	require.NoError(t, err)
	total := 0.0
	for _, f := range families {
		if f.GetName() != "genmesh_notifications_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			fits := true
			for _, l := range m.GetLabel() {
				fits = fits && (l.GetName() == "source" || len(labels) == 0 || slices.Contains(labels, l.GetValue()))
			}
			if fits {
				total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return total
}

func (w *world) eventually(t *testing.T, condition func() bool, message string) {
	t.Helper()
	require.Eventually(t, condition, patience, 5*time.Millisecond, "%s\n%s", message, w.log)
}

// arrives waits until n more conversations were told of.
func (w *world) arrives(t *testing.T, n int) {
	t.Helper()
	before := w.stored()
	w.eventually(t, func() bool { return w.stored() >= before+n }, "events arrive")
}

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// source takes frames as a source of genmesh does: what it has already it drops.
type source struct {
	mu         sync.Mutex
	seen       map[string]bool
	told       []told
	duplicates int
	fail       error
	tries      int
}

// told is what one frame tells of a conversation.
type told struct{ conversation, sequence string }

func (s *source) take(_ context.Context, frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if s.fail != nil {
		return s.fail
	}
	if s.seen[string(frame)] {
		s.duplicates++
		return nil
	}
	s.seen[string(frame)] = true
	var f struct {
		EventBody struct {
			ID           string
			Participants []struct{ Attributes map[string]string }
		}
	}
	if err := json.Unmarshal(frame, &f); err != nil {
		return &notification.Refusal{Status: 400}
	}
	s.told = append(s.told, told{f.EventBody.ID, f.EventBody.Participants[0].Attributes["sequence"]})
	return nil
}

func (s *source) stored() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.told)
}

func (s *source) fails(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *source) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tries
}

// holes counts the changes of conversations that nobody was told of, between two that somebody was.
func (s *source) holes(t *testing.T) int {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	sequences := map[string][]int{}
	for _, e := range s.told {
		var n int
		require.NoError(t, json.Unmarshal([]byte(e.sequence), &n))
		sequences[e.conversation] = append(sequences[e.conversation], n)
	}
	holes := 0
	for _, all := range sequences {
		slices.Sort(all)
		for i := 1; i < len(all); i++ {
			require.Greater(t, all[i], all[i-1], "stored twice")
			holes += all[i] - all[i-1] - 1
		}
	}
	return holes
}

func unchanged(*simulator.Options, *notification.Options) {}

func TestConversationsAreToldOfInOrder(t *testing.T) {
	w := begin(t, unchanged)
	w.arrives(t, 300)
	w.stop()
	assert.Zero(t, w.holes(t))
	last := map[string]string{}
	for _, e := range w.told {
		before := last[e.conversation]
		assert.True(t, len(before) < len(e.sequence) || before < e.sequence, "%s: %s after %s", e.conversation, e.sequence, before)
		last[e.conversation] = e.sequence
	}
	assert.Equal(t, w.count(t, "received_total"), w.count(t, "forwarded_total"))
	assert.Zero(t, w.count(t, "sockets"))
	assert.Zero(t, w.count(t, "waiting_frames"))
	assert.Contains(t, w.log.String(), "best effort")
	assert.NotContains(t, w.log.String(), "streaming-", "the address of a channel")
}

func TestADroppedSocketIsAGapThatIsTold(t *testing.T) {
	w := begin(t, unchanged)
	w.arrives(t, 50)
	// The API is down, too: the channel is still there and needs none.
	require.NoError(t, w.simulator.SetFaults(simulator.Faults{APIDown: true}))
	w.simulator.DropSockets()
	w.eventually(t, func() bool { return w.count(t, "reconnects_total", "lost") == 1 }, "another socket")
	w.arrives(t, 50)
	assert.Positive(t, w.count(t, "gap_seconds_total"))
	assert.Contains(t, w.log.String(), "lost for good")
	assert.Len(t, w.simulator.Channels(), 1, "the same channel")
}

func TestAnExpiredChannelIsFollowedByAnother(t *testing.T) {
	w := begin(t, unchanged)
	w.arrives(t, 50)
	w.simulator.ExpireChannels()
	w.eventually(t, func() bool { return w.count(t, "reconnects_total", "lost") == 1 }, "another socket")
	w.arrives(t, 50)
	assert.Len(t, w.simulator.Channels(), 1)
}

func TestAnAnnouncedEndLosesNothing(t *testing.T) {
	w := begin(t, unchanged)
	w.arrives(t, 50)
	w.simulator.AnnounceClosing(5 * time.Second)
	w.eventually(t, func() bool { return w.count(t, "reconnects_total", "closing") == 1 }, "the next socket")
	w.eventually(t, func() bool { return w.count(t, "sockets") == 1 }, "the old one ends")
	w.arrives(t, 100)
	w.stop()
	assert.Zero(t, w.holes(t))
	assert.Zero(t, w.count(t, "gap_seconds_total"))
	assert.Positive(t, w.duplicates, "both sockets told the same for a while")
}

func TestAChannelIsRenewedBeforeItsEnd(t *testing.T) {
	t.Parallel() // it waits for most of the time
	w := begin(t, func(so *simulator.Options, _ *notification.Options) { so.ChannelLifetime, so.Rate = 6*time.Second, 50 })
	w.eventually(t, func() bool { return w.count(t, "reconnects_total", "renewal") == 1 }, "a renewal")
	w.arrives(t, 100)
	w.stop()
	assert.Zero(t, w.holes(t))
	assert.Zero(t, w.count(t, "gap_seconds_total"))
}

func TestWhatTheSourceCannotTakeNowWaits(t *testing.T) {
	w := begin(t, unchanged)
	w.arrives(t, 50)
	w.fails(errors.New("away"))
	w.eventually(t, func() bool { return w.count(t, "waiting_frames") > 100 }, "frames wait")
	w.fails(nil)
	w.eventually(t, func() bool { return w.count(t, "waiting_frames") < 10 }, "frames are forwarded")
	w.stop()
	assert.Zero(t, w.holes(t))
	assert.Equal(t, 1, strings.Count(w.log.String(), "can't be forwarded"), "once for an outage:\n%s", w.log)
}

func TestAFullQueueDropsTheOldest(t *testing.T) {
	w := begin(t, func(_ *simulator.Options, bo *notification.Options) {
		bo.QueueFrames, bo.Grace = 20, 50*time.Millisecond
	})
	w.fails(errors.New("away"))
	w.eventually(t, func() bool { return w.count(t, "dropped_total", "overflow") > 50 }, "frames are dropped")
	assert.LessOrEqual(t, w.count(t, "waiting_frames"), 20.0)
	assert.Equal(t, 1, strings.Count(w.log.String(), "the oldest are dropped"))
	w.stop()
	assert.Positive(t, w.count(t, "dropped_total", "shutdown"))
	assert.Zero(t, w.count(t, "waiting_frames"))
	assert.Equal(t, w.count(t, "received_total"), w.count(t, "forwarded_total")+w.count(t, "dropped_total"), "all are accounted for")
}

func TestWhatIsRefusedForGoodIsDropped(t *testing.T) {
	w := begin(t, unchanged)
	w.fails(&notification.Refusal{Status: 413})
	w.eventually(t, func() bool { return w.count(t, "dropped_total", "refused") > 20 }, "frames are dropped")
	assert.Zero(t, w.count(t, "forward_failures_total"))
	assert.Equal(t, 1, strings.Count(w.log.String(), "refuses a notification"))
}

func TestAWrongKeyIsBelievedAfterSomeTries(t *testing.T) {
	w := begin(t, unchanged)
	w.fails(&notification.Refusal{Status: 401})
	w.eventually(t, func() bool { return w.count(t, "dropped_total", "refused") > 20 }, "frames are dropped")
	tries, dropped := w.attempts(), w.count(t, "dropped_total", "refused")
	assert.Less(t, float64(tries), 5*dropped, "not each is tried so often")
	w.fails(nil)
	w.arrives(t, 50)
}

func TestFramesThatAreTooLargeAreSkipped(t *testing.T) {
	w := begin(t, func(_ *simulator.Options, bo *notification.Options) { bo.MaxFrameBytes = 1000 })
	w.eventually(t, func() bool { return w.count(t, "dropped_total", "too_large") > 20 }, "frames are skipped")
	w.arrives(t, 20)
	assert.Zero(t, w.count(t, "reconnects_total"), "the socket goes on")
}

func TestTheEndForwardsWhatHasArrived(t *testing.T) {
	w := begin(t, unchanged)
	w.fails(errors.New("away"))
	w.eventually(t, func() bool { return w.count(t, "waiting_frames") > 20 }, "frames wait")
	time.AfterFunc(50*time.Millisecond, func() { w.fails(nil) })
	w.stop()
	assert.Equal(t, w.count(t, "received_total"), w.count(t, "forwarded_total"))
	assert.Zero(t, w.count(t, "dropped_total"))
}

func TestBridgesThatCannotBe(t *testing.T) {
	good := notification.Options{
		Channels: new(cloud.Client), Topics: []string{"v2.users.a.conversations"}, Logger: logrus.New(),
		Forward: func(context.Context, []byte) error { return nil },
	}
	_, err := notification.New(good)
	require.NoError(t, err)
	for name, change := range map[string]func(*notification.Options){
		"no topics":       func(o *notification.Options) { o.Topics = nil },
		"too many topics": func(o *notification.Options) { o.Topics = make([]string, 1001) },
		"no API":          func(o *notification.Options) { o.Channels = nil },
		"nobody to tell":  func(o *notification.Options) { o.Forward = nil },
		"no log":          func(o *notification.Options) { o.Logger = nil },
	} {
		o := good
		change(&o)
		_, err := notification.New(o)
		assert.Error(t, err, name)
	}
}

// TestWhateverHappensToTheSockets lets several things go wrong at once, again and again: it always goes
// on, and every frame is accounted for.
func TestWhateverHappensToTheSockets(t *testing.T) {
	w := begin(t, unchanged)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	trouble := []func(){
		w.simulator.DropSockets,
		w.simulator.ExpireChannels,
		func() { w.simulator.AnnounceClosing(0) },
		func() { w.simulator.AnnounceClosing(time.Duration(chance.Int64N(int64(200 * time.Millisecond)))) },
		func() { assert.NoError(t, w.simulator.SetFaults(simulator.Faults{APIDown: true})) },
		func() { w.fails(errors.New("away")) },
	}
	for range 15 {
		for range 1 + chance.IntN(4) {
			trouble[chance.IntN(len(trouble))]()
		}
		require.NoError(t, w.simulator.SetFaults(simulator.Faults{}))
		w.fails(nil)
		w.arrives(t, 10)
	}
	w.eventually(t, func() bool { return w.count(t, "sockets") == 1 }, "one socket is left")
	w.stop()
	assert.Zero(t, w.count(t, "sockets"))
	assert.Equal(t, w.count(t, "received_total"), w.count(t, "forwarded_total")+w.count(t, "dropped_total"))
	assert.LessOrEqual(t, len(w.simulator.Channels()), 20)
	w.holes(t) // there may be some, but nothing is stored twice
}
