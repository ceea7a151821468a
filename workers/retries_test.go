package workers_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

const (
	waitingRetries = 10_000
	// maxWaitingBytes bounds what an event of 1 KiB holds while it waits: measured about 12 KiB, in which
	// the server in this process has its part, too.
	maxWaitingBytes = 32 << 10
	// maxOtherGoroutines is far above what the runners, the crew and the server have beside one for each
	// interaction that waits.
	maxOtherGoroutines = 200
)

// crm's target is down and every one of ten thousand conversations has an event that waits an hour for its
// retry. Analytics, in the same process, gets all of its events, and what waits is bounded in number and size.
// When the process ends, it gives everything back, and the next one brings it to crm, which is up again.
func TestTenThousandWaitingRetriesHurtNobodyAndAreGivenBack(t *testing.T) {
	m := newMill(t, `"max_ack_pending": 10000, "backoff": {"base": "1h", "max": "1h"}, "breaker": {"disabled": true}, "target": {"url": "log:"}},
		{"name": "analytics", "stream": "INTERACTIONS", "max_in_flight": 32`)
	publishMany(t, m.js, waitingRetries, waitingRetries)
	before, goroutines := memoryInUse(), runtime.NumGoroutine()

	var failed atomic.Int64
	first := m.staff()
	stopCRM := first.serve(0, func(context.Context, mesh.Event) error {
		failed.Add(1)
		return errors.New("crm is down")
	})
	require.Eventually(t, func() bool { return failed.Load() == waitingRetries }, 30*time.Second, 10*time.Millisecond)
	each := (memoryInUse() - before) / waitingRetries
	t.Logf("%d bytes for each event that waits", each)
	assert.Less(t, each, int64(maxWaitingBytes))
	assert.LessOrEqual(t, runtime.NumGoroutine()-goroutines, waitingRetries+maxOtherGoroutines)

	analytics := newDiary()
	stopAnalytics := first.serve(1, func(_ context.Context, e mesh.Event) error { analytics.write(e); return nil })
	require.Eventually(t, func() bool { return analytics.distinct() == waitingRetries }, 30*time.Second, 10*time.Millisecond)
	m.publish("one-more", 1)
	require.Eventually(t, func() bool { return analytics.distinct() == waitingRetries+1 }, 10*time.Second, time.Millisecond)
	assert.EqualValues(t, waitingRetries, failed.Load(), "nothing above max_ack_pending is handed to crm, and nothing is tried early")

	stopAnalytics()
	stopCRM()
	first.end()
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+maxOtherGoroutines }, 10*time.Second, 10*time.Millisecond)
	assert.Less(t, memoryInUse()-before, int64(waitingRetries*maxWaitingBytes/4), "the memory is given back")

	crm := newDiary()
	second := m.staff()
	second.serve(0, func(_ context.Context, e mesh.Event) error { crm.write(e); return nil })
	require.Eventually(t, func() bool { return crm.distinct() == waitingRetries+1 }, 30*time.Second, 10*time.Millisecond)
	require.Empty(t, m.dead())
}

// staff is a worker process that serves several subscribers.
type staff struct {
	m    *mill
	js   jetstream.JetStream
	crew *workers.Crew
	end  func()
}

// staff starts a process, which ends with the test if it did not before. Its subscribers have to end first.
func (m *mill) staff() *staff {
	m.t.Helper()
	js := m.server.JetStream()
	s := &staff{m: m, js: js, crew: workers.NewCrew(workers.CrewOptions{JetStream: js, Logger: meshtest.Quiet()})}
	s.end = background(m.t, s.crew.Run)
	return s
}

// serve serves the i-th subscriber and returns what ends that.
func (s *staff) serve(i int, h workers.HandlerFunc) (stop func()) {
	s.m.t.Helper()
	return s.serveWith(i, h)
}

func (s *staff) serveWith(i int, h workers.Handler) (stop func()) {
	s.m.t.Helper()
	runner := workers.NewRunner(workers.Options{
		JetStream: s.js, Subscriber: s.m.topology.Subscribers[i], ReplayStream: s.m.letters.Stream(), Handler: h, DeadLetters: s.m.letters,
		Crew: s.crew, Logger: meshtest.Quiet(), Metrics: workers.NewMetrics(nil), Grace: 2 * time.Second,
	})
	return background(s.m.t, runner.Run)
}

// background runs f until the test ends, or until what it returns is called.
func background(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

// publishMany stores n events of 1 KiB, of so many interactions that take turns.
func publishMany(tb testing.TB, js jetstream.JetStream, n, interactions int) {
	tb.Helper()
	const batch = 500
	for next := 0; next < n; {
		messages := make([]*nats.Msg, min(batch, n-next))
		for i := range messages {
			messages[i] = numbered(fmt.Sprintf("conversation-%d", next%interactions), next)
			next++
		}
		_, err := jetstreamext.PublishMsgBatch(tb.Context(), js, messages, jetstreamext.BatchFlowControl{})
		require.NoError(tb, err)
	}
}

// numbered is the event number n as it is stored.
func numbered(interaction string, n int) *nats.Msg {
	body := fmt.Appendf(nil, `{"n":%d,"note":"`, n)
	for len(body) < 1<<10-2 {
		body = append(body, 'x')
	}
	e := mesh.Event{
		Source: "genesys", Interaction: interaction, Type: "interaction", Media: "call",
		Fingerprint: fmt.Sprintf("%032x", n), Body: append(body, `"}`...),
		Subject: "genesys." + mesh.Partition(interaction) + ".interaction.call." + mesh.Token(interaction),
	}
	return e.Msg(fmt.Sprintf("numbered-%d", n))
}

// memoryInUse is what this process holds on its heap and stacks, in bytes. The server's are among it.
func memoryInUse() int64 {
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
