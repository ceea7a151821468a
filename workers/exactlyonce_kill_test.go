package workers_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

// A dead letter whose effect had happened after all, and that somebody replays.
func TestReplayOfADoneEventIsPassedBy(t *testing.T) {
	m := newMill(t, fast)
	kv, err := workers.ClaimBucket(t.Context(), m.js, "claims", time.Hour, 1)
	require.NoError(t, err)
	g := new(got)
	once := workers.Once{KV: kv, Name: "crm", Handler: workers.HandlerFunc(func(_ context.Context, e mesh.Event) error {
		g.add(e)
		return nil
	})}
	var handed atomic.Int32
	m.run(func(ctx context.Context, e mesh.Event) error {
		defer handed.Add(1)
		return once.Handle(ctx, e)
	})
	m.publish("987", 1)
	g.await(t, 1)
	require.NoError(t, m.letters.Bury(t.Context(), mesh.DeadLetter{Event: g.events[0], Subscriber: "crm", Reason: mesh.DeadAbandoned}))
	require.NoError(t, m.letters.Replay(t.Context(), m.deadLetter()))
	require.Eventually(t, func() bool { return handed.Load() == 2 }, 10*time.Second, 5*time.Millisecond)
	assert.Equal(t, 1, g.len())
}

const (
	// These make the test binary a worker that can be killed: see TestWorkerProcess.
	journalVariable = "GENMESH_ONCE_JOURNAL"
	serverVariable  = "GENMESH_ONCE_SERVER"

	killedEvents = 120
	killedLease  = time.Second
)

// TestWorkerProcess is not a test of its own but the process that
// TestKilledProcessesRepeatNothingThatIsDone kills.
func TestWorkerProcess(t *testing.T) {
	path, url := os.Getenv(journalVariable), os.Getenv(serverVariable)
	if path == "" {
		t.Skip("it is run by TestKilledProcessesRepeatNothingThatIsDone")
	}
	nc, err := mesh.Connect("worker", url, meshtest.Quiet())
	require.NoError(t, err)
	defer nc.Close()
	js, err := mesh.JetStream(nc)
	require.NoError(t, err)
	handleAll(t, js, openJournal(t, path))
}

// handleAll brings all events to their end, several at a time and in any order.
func handleAll(t *testing.T, js jetstream.JetStream, j *journal) {
	t.Helper()
	kv, err := js.KeyValue(t.Context(), "claims")
	require.NoError(t, err)
	var goroutines sync.WaitGroup
	for range 4 {
		goroutines.Go(func() {
			for _, n := range rand.Perm(killedEvents) {
				handleUntilDone(t, kv, j, n)
			}
		})
	}
	goroutines.Wait()
}

func handleUntilDone(t *testing.T, kv jetstream.KeyValue, j *journal, n int) {
	event := mesh.Event{Source: "genesys", Interaction: "a", Fingerprint: fmt.Sprint(n)}
	hadEffect := false
	once := workers.Once{KV: kv, Name: "crm", Lease: killedLease, Handler: workers.HandlerFunc(func(ctx context.Context, _ mesh.Event) error {
		hadEffect = j.have(ctx, n)
		return ctx.Err()
	})}
	for event.Attempt = 1; once.Handle(t.Context(), event) != nil; event.Attempt++ {
		if event.Attempt == 20 {
			t.Errorf("event %d does not get done", n)
			return
		}
	}
	if hadEffect {
		j.write("done", n)
	}
}

// journal is a file that several processes append to, each line at once and to the disk.
type journal struct {
	t    *testing.T
	file *os.File
}

func openJournal(t *testing.T, path string) *journal {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return &journal{t, file}
}

func (j *journal) write(word string, event int) { j.writeOf(os.Getpid(), word, event) }

func (j *journal) writeOf(pid int, word string, event int) {
	_, err := fmt.Fprintf(j.file, "%d %s %d\n", pid, word, event)
	assert.NoError(j.t, err)
	assert.NoError(j.t, j.file.Sync())
}

// have has the effect of an event, which is a line in the journal, with some work before and after it. It
// reports whether it had it.
func (j *journal) have(ctx context.Context, event int) bool {
	j.write("begin", event)
	defer j.write("end", event)
	work := time.Duration(rand.IntN(10)) * time.Millisecond
	if event%30 == 0 {
		work = killedLease * 3 / 2
	}
	select {
	case <-time.After(work):
	case <-ctx.Done():
		return false
	}
	j.write("effect", event)
	time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
	return true
}

type journalLine struct {
	pid   int
	word  string
	event int
}

func readJournal(t *testing.T, path string) []journalLine {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var lines []journalLine
	for s := bufio.NewScanner(bytes.NewReader(raw)); s.Scan(); {
		var l journalLine
		if _, err := fmt.Sscan(s.Text(), &l.pid, &l.word, &l.event); err == nil {
			lines = append(lines, l) // what is no line was cut by a kill
		}
	}
	return lines
}

// Worker processes are killed at any moment, six times; what they left is taken over. Each event has
// its effect, once, but for those whose process died between the effect and "done".
func TestKilledProcessesRepeatNothingThatIsDone(t *testing.T) {
	server := meshtest.Start(t)
	js := server.JetStream()
	_, err := workers.ClaimBucket(t.Context(), js, "claims", time.Hour, 1)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "journal")
	j := openJournal(t, path)
	processes := make([]*exec.Cmd, 2)
	kill := func(i int) {
		if processes[i] == nil {
			return
		}
		j.writeOf(processes[i].Process.Pid, "kill", 0)
		_ = processes[i].Process.Kill()
		_ = processes[i].Wait()
		processes[i] = nil
	}
	t.Cleanup(func() { kill(0); kill(1) })
	start := func(i int) {
		exe, err := os.Executable()
		require.NoError(t, err)
		processes[i] = exec.Command(exe, "-test.run=^TestWorkerProcess$")
		processes[i].Env = append(os.Environ(), journalVariable+"="+path, serverVariable+"="+server.URL())
		require.NoError(t, processes[i].Start())
	}
	start(0)
	start(1)
	for kills, victim := 1, 0; kills <= 4; kills, victim = kills+1, 1-victim {
		hadEffects := func() bool { return count(readJournal(t, path), "effect") >= 18*kills }
		require.Eventually(t, hadEffects, 20*time.Second, 5*time.Millisecond, "the processes make no progress")
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond) // any moment
		kill(victim)
		start(victim)
	}
	require.Eventually(t, func() bool { return count(readJournal(t, path), "effect") >= 90 }, 20*time.Second, 5*time.Millisecond)
	kill(0)
	kill(1)

	handleAll(t, js, j)

	repeated := checkJournal(t, readJournal(t, path))
	t.Logf("%d of %d effects were repeated because a kill fell between them and done", repeated, killedEvents)
}

func count(lines []journalLine, word string) (n int) {
	for _, l := range lines {
		if l.word == word {
			n++
		}
	}
	return n
}

// checkJournal returns how many effects were had again, each for the one reason that is allowed.
func checkJournal(t *testing.T, lines []journalLine) (repeated int) {
	t.Helper()
	killed, running := map[int]bool{}, map[int]int{} // by pid; pid by event
	effect, done := map[int]int{}, map[int]bool{}    // the pid of the latest effect, and whether it is done; by event
	for _, l := range lines {
		switch l.word {
		case "kill":
			killed[l.pid] = true
		case "begin":
			if holder, ok := running[l.event]; ok {
				assert.True(t, killed[holder], "event %d: process %d began while %d was at it", l.event, l.pid, holder)
			}
			running[l.event] = l.pid
		case "effect":
			if before, ok := effect[l.event]; ok {
				repeated++
				assert.True(t, killed[before], "event %d: process %d repeated the effect of %d, which lived on", l.event, l.pid, before)
				assert.False(t, done[l.event], "event %d: process %d repeated what %d had stored as done", l.event, l.pid, before)
			}
			effect[l.event] = l.pid
		case "end":
			delete(running, l.event)
		case "done":
			done[l.event] = true
		}
	}
	assert.Len(t, effect, killedEvents, "each event has its effect")
	return repeated
}
