package live

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWhatFlowsIsTheSumOverProcessesEvenIfOneDies(t *testing.T) {
	v := newTown(t, subscriber("crm", `, "order": "none"`))
	v.work("a", took)
	b := v.work("b", took)
	before := v.sample()
	v.eventually("both take a part", func(Snapshot) bool {
		v.publish("interaction", 1)
		return !slices.ContainsFunc(v.processes, func(p *worker) bool { return readCounts(mustGather(t, p), anybody).values[delivered] == 0 })
	})
	v.publish("interaction", 200)
	after := v.eventually("all is delivered and acknowledged", func(s Snapshot) bool {
		f := s.Subscribers["crm"]
		return f.Attempts["delivered"] == uint64(v.published) && f.Waiting+f.InHand == 0
	})
	crm := after.Subscribers["crm"]
	assert.Equal(t, 2, after.Processes)
	assert.Nil(t, crm.Oldest)
	assert.Positive(t, crm.Latency.P99)
	assert.LessOrEqual(t, crm.Latency.P50, crm.Latency.P99)
	counted := uint64(0)
	for _, bucket := range crm.Buckets {
		counted += bucket.Count
	}
	assert.EqualValues(t, v.published, counted)
	assert.EqualValues(t, v.published, crm.LastMinute["delivered"])
	assert.True(t, after.At.After(before.At))

	b.end()
	v.processes = v.processes[:1]
	v.publish("interaction", 20)
	after = v.eventually("the other one delivers", func(s Snapshot) bool {
		f := s.Subscribers["crm"]
		assert.GreaterOrEqual(t, f.Out, 0.0)
		assert.LessOrEqual(t, f.LastMinute["delivered"], uint64(v.published), "none is counted again, and none more than there are")
		return f.Waiting+f.InHand == 0 && f.LastMinute["delivered"] == uint64(v.published)
	})
	assert.Equal(t, 1, after.Processes)
}

func mustGather(t *testing.T, p *worker) []*dto.MetricFamily {
	t.Helper()
	families, err := p.registry.Gather()
	require.NoError(t, err)
	return families
}

func TestRatesAreWhatHappenedOverTheTimeBetweenSamples(t *testing.T) {
	v := newTown(t, subscriber("all", "")+","+subscriber("some", `, "filter_subject": "genesys.*.queue.>"`)+
		","+subscriber("parts", `, "partitions": 4, "filter_subject": "genesys.*.queue.>"`))
	before := v.sample()
	v.publish("interaction", 30)
	v.publish("queue", 20)
	after := v.sample()
	stream := func(s Snapshot) time.Time { return s.Streams["INTERACTIONS"].read }
	of := func(name string) func(s Snapshot) time.Time {
		return func(s Snapshot) time.Time { return s.Subscribers[name].read }
	}
	for name, rate := range map[string]struct {
		perSecond float64
		at        func(s Snapshot) time.Time
		events    float64
	}{
		"stored":                          {after.Streams["INTERACTIONS"].Stored, stream, 50},
		"due to who takes all":            {after.Subscribers["all"].In, stream, 50},
		"due to who takes some":           {after.Subscribers["some"].In, of("some"), 20},
		"due to who takes some, in parts": {after.Subscribers["parts"].In, of("parts"), 20},
	} {
		assert.InEpsilon(t, rate.events, rate.perSecond*rate.at(after).Sub(rate.at(before)).Seconds(), 0.01, name)
	}
	assert.EqualValues(t, 20, after.Subscribers["parts"].Waiting)
	assert.Zero(t, after.Subscribers["all"].Out, "nobody works")

	v.work("a", took)
	after = v.eventually("all is delivered", func(s Snapshot) bool {
		for name, f := range s.Subscribers {
			assert.Zero(t, f.In, "%s: what is delivered is not due anew", name)
			if f.Waiting+f.InHand > 0 {
				return false
			}
		}
		return true
	})
	assert.EqualValues(t, 0, after.Streams["INTERACTIONS"].Stored)
}

func TestWhatTheTargetSaidIsTold(t *testing.T) {
	v := newTown(t, subscriber("crm", `, "max_attempts": 2, "backoff": {"base": "10ms"}`))
	v.work("a", func(_ context.Context, e mesh.Event) error {
		if e.Sequence%2 == 0 {
			return workers.Permanent(&workers.Failure{Status: 422, Answer: []byte("no such customer"), Err: errors.New("crm answered 422")})
		}
		return errors.New("connection refused")
	})
	v.publish("interaction", 4)
	s := v.eventually("they are dead letters", func(s Snapshot) bool { return s.Subscribers["crm"].Waiting+s.Subscribers["crm"].InHand == 0 })
	crm := s.Subscribers["crm"]
	assert.Equal(t, map[string]uint64{"failed": 4, "rejected": 2}, crm.Attempts)
	require.Len(t, crm.Errors, 2)
	said := map[string]Error{}
	for _, e := range crm.Errors {
		said[e.Class] = e
	}
	assert.Equal(t, "crm answered 422: no such customer", said["rejected"].Text)
	assert.Equal(t, 422, said["rejected"].Status)
	assert.EqualValues(t, 2, said["rejected"].Count)
	assert.Equal(t, "INTERACTIONS", said["rejected"].Stream)
	assert.Contains(t, []uint64{2, 4}, said["rejected"].Sequence)
	assert.EqualValues(t, 4, said["failed"].Count)

	s = v.eventually("they are counted", func(s Snapshot) bool { return s.DeadLetters["crm"] == 4 })
	assert.Len(t, s.DeadLetters, 1)
	number := v.dead()[0].Number
	require.NoError(t, v.letters.Discard(t.Context(), number))
	assert.EqualValues(t, 3, v.sample().DeadLetters["crm"], "what somebody discards is gone")
}

func TestWhileNATSIsAwayTheLastSampleStays(t *testing.T) {
	v := newTown(t, subscriber("crm", ""))
	v.publish("interaction", 5)
	before := v.sample()
	v.server.Stop()
	require.Eventually(t, func() bool { return !v.watcher.JetStream.Conn().IsConnected() }, 10*time.Second, 10*time.Millisecond)
	v.watcher.sample(t.Context())
	away := v.watcher.Snapshot()
	assert.Equal(t, errAway.Error(), away.Problem)
	away.Problem = ""
	assert.Equal(t, before, away)

	v.server.Restart()
	require.Eventually(t, func() bool {
		v.watcher.sample(t.Context())
		return v.watcher.Snapshot().Problem == ""
	}, 15*time.Second, 50*time.Millisecond)
	assert.EqualValues(t, 5, v.watcher.Snapshot().Subscribers["crm"].Waiting)
	assert.Zero(t, v.watcher.Snapshot().Streams["INTERACTIONS"].Stored)
}

func TestWhatIsNotAppliedIsNoProblem(t *testing.T) {
	v := newTown(t, subscriber("crm", ""))
	v.sample()
	v.topology = meshtest.Topology(t, `{
	  "sources": [{"name": "genesys", "path": "/genesys", "preset": "genesys", "secret": "${SECRET:-}", "stream": "OTHER"}],
	  "streams": [{"name": "OTHER", "subjects": ["genesys.>"]}, {"name": "DEAD_LETTERS", "subjects": ["dead.>"]},
	    {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
	    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
	  "subscribers": [{"name": "erp", "stream": "OTHER", "target": {"url": "log:"}}]}`)
	s := v.sample()
	assert.NotContains(t, s.Subscribers, "crm", "what streams.json has no more is forgotten")
	assert.NotContains(t, s.Streams, "INTERACTIONS")
	assert.False(t, s.Streams["OTHER"].Applied)
	assert.False(t, s.Subscribers["erp"].Applied)
	assert.False(t, s.Subscribers["erp"].Served)
}

func TestAStreamThatWasMadeAgainBeginsAnew(t *testing.T) {
	v := newTown(t, subscriber("crm", ""))
	v.publish("interaction", 50)
	v.sample()
	require.NoError(t, v.js.DeleteStream(t.Context(), "INTERACTIONS"))
	meshtest.Apply(t, v.js, v.topology)
	v.publish("interaction", 5)
	s := v.sample()
	assert.Zero(t, s.Streams["INTERACTIONS"].Stored, "nobody knows since when it holds them")
	assert.EqualValues(t, 5, s.Subscribers["crm"].Waiting)
	assert.LessOrEqual(t, s.Subscribers["crm"].In, 0.0)
}

func TestWhoLooksGetsASampleSoon(t *testing.T) {
	w := NewWatcher(Options{})
	began := time.Now()
	w.began = began.Add(10*time.Millisecond - every) // the next sample of those for who looks is due just now
	time.AfterFunc(200*time.Millisecond, func() { w.Snapshot() })
	w.rest(t.Context(), began)
	assert.Less(t, time.Since(began), idleEvery/2, "one who looks does not wait until the next sample would come anyway")
	assert.True(t, w.isWatched())
}

func TestSamplesComeUntilTheEnd(t *testing.T) {
	v := newTown(t, subscriber("crm", ""))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.watcher.Run(ctx) }()
	var first time.Time
	require.Eventually(t, func() bool {
		s := v.watcher.Snapshot()
		if s.Problem == "" && first.IsZero() {
			first = s.At
		}
		return s.Problem == "" && s.At.After(first)
	}, 10*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}
