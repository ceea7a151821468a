package workers_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

// A process is frozen between the moment when it was handed an event and its last look, for longer than its lease. Another
// one takes over. When the first one wakes up in the middle of its handler, the last look tells it to stop.
func TestProcessThatWasFrozenBeyondItsLeaseDeliversNothing(t *testing.T) {
	m := newMill(t, quick)
	m.lease = shortLease
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	openJournal(t, path)
	said := func(word string) func() bool {
		return func() bool { return count(readJournal(t, path), word) > 0 }
	}
	for i := range 10 {
		m.publish("987", i)
	}
	frozen := startFreezable(t, m, path)
	require.Eventually(t, said("begin"), 15*time.Second, time.Millisecond)
	require.NoError(t, frozen.Process.Signal(syscall.SIGSTOP))

	d := newDiary()
	m.hire(func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
	require.Eventually(t, func() bool { return d.count() == 10 }, 15*time.Second, 5*time.Millisecond, "another process takes over")

	require.NoError(t, os.WriteFile(path+".thaw", nil, 0o600))
	require.NoError(t, frozen.Process.Signal(syscall.SIGCONT))
	require.Eventually(t, said("stops"), 15*time.Second, 5*time.Millisecond)
	for i := range 10 {
		m.publish("987", 10+i)
	}
	// On a busy machine the second one may be too slow to renew its lease, and the first one takes over again.
	require.Eventually(t, func() bool { return d.count()+count(readJournal(t, path), "effect") >= 20 }, 15*time.Second, 5*time.Millisecond,
		"one of them goes on")
	for _, line := range readJournal(t, path) {
		assert.False(t, line.word == "effect" && line.event < 10, "it delivered event %d although another process had taken over", line.event)
	}
	d.requireOrder(t)
}

// startFreezable runs TestFreezableProcess in a process of its own until the test ends.
func startFreezable(t *testing.T, m *mill, journal string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	child := exec.Command(exe, "-test.run=^TestFreezableProcess$")
	child.Env = append(os.Environ(), journalVariable+"="+journal, serverVariable+"="+m.server.URL())
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	return child
}

// TestFreezableProcess is not a test of its own but the process that TestProcessThatWasFrozenBeyondItsLeaseDeliversNothing
// freezes: a worker for crm that stays in its first call until there is a file.
func TestFreezableProcess(t *testing.T) {
	path, url := os.Getenv(journalVariable), os.Getenv(serverVariable)
	if path == "" {
		t.Skip("it is run by TestProcessThatWasFrozenBeyondItsLeaseDeliversNothing")
	}
	j := openJournal(t, path)
	nc, err := mesh.Connect("freezable", url, meshtest.Quiet())
	require.NoError(t, err)
	defer nc.Close()
	js, err := mesh.JetStream(nc)
	require.NoError(t, err)
	crew := workers.NewCrew(workers.CrewOptions{JetStream: js, Lease: shortLease, Logger: meshtest.Quiet()})
	runner := workers.NewRunner(workers.Options{
		JetStream: js, Subscriber: topology(t, quick).Subscribers[0], Crew: crew, Logger: meshtest.Quiet(), Metrics: workers.NewMetrics(nil),
		Handler: workers.HandlerFunc(func(ctx context.Context, e mesh.Event) error {
			var body struct{ N int }
			if err := json.Unmarshal(e.Body, &body); err != nil {
				return err
			}
			j.write("begin", body.N)
			for { // whatever ctx says: the last look is what counts
				if _, err := os.Stat(path + ".thaw"); err == nil {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if err := workers.LeaseHeld(ctx); err != nil {
				j.write("stops", body.N)
				return err
			}
			j.write("effect", body.N)
			return nil
		}),
	})
	go func() { _ = crew.Run(t.Context()) }()
	_ = runner.Run(t.Context()) // until it is killed
}

// A restart does not send the whole backlog to a target that has failed for a while: the breaker is as open for the next
// process as for the one before, and one event tries.
func TestOpenBreakerStaysOpenForTheNextProcess(t *testing.T) {
	t.Parallel() // it waits most of its time
	for name, end := range map[string]func(*worker){"that ended": (*worker).end, "that was killed": (*worker).die} {
		t.Run(name, func(t *testing.T) {
			m := newMill(t, `"max_attempts": 3, "max_deliver": 200, "ack_wait": "2s", "backoff": {"base": "1500ms", "max": "1500ms"},
				"breaker": {"failures": 3, "for": "1ms"}`)
			m.lease = shortLease
			first := m.hire(func(context.Context, mesh.Event) error { return errors.New("down") })
			for i := range 20 {
				m.publish(string(rune('a'+i)), 1)
			}
			state, err := mesh.OpenState(t.Context(), m.js)
			require.NoError(t, err)
			var open mesh.BreakerState
			require.Eventually(t, func() bool {
				open, err = state.Breaker(t.Context(), "crm")
				return err == nil && open.Open
			}, 15*time.Second, 5*time.Millisecond)
			end(first)

			const probes = 2 // the first one fails
			var calls atomic.Int64
			began := make(chan time.Time, 100)
			d := newDiary()
			m.hire(func(_ context.Context, e mesh.Event) error {
				began <- time.Now()
				if calls.Add(1) < probes {
					return errors.New("down")
				}
				d.write(e)
				return nil
			})
			probe := <-began
			assert.False(t, probe.Before(open.Until), "it tries when the one before would have")
			select {
			case next := <-began:
				assert.GreaterOrEqual(t, next.Sub(probe), 1450*time.Millisecond, "nothing goes between two that try")
			case <-time.After(15 * time.Second):
				t.Fatal("nothing tries any more")
			}
			require.Eventually(t, func() bool { return d.distinct() == 20 }, 15*time.Second, 10*time.Millisecond)
			assert.Equal(t, 20, d.count())
			assert.Empty(t, m.dead(), "an outage makes no dead letters")
		})
	}
}
