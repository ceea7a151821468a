package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// Several worker processes share a subscriber. They are killed and frozen at random while its target
// fails now and then; of each interaction the target sees every event, and none after a newer one.
func TestOrderHoldsOverProcessesThatAreKilledAndFrozen(t *testing.T) {
	server := meshtest.Start(t)
	crm, analytics := newSink(t), newSink(t)
	for _, s := range []*sink{crm, analytics} {
		s.answerWith(func(delivery) int {
			time.Sleep(rand.N(3 * time.Millisecond)) // the target's own work
			if rand.N(20) == 0 {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		})
	}
	patient := func(name string, s *sink, layout string) string {
		return strings.Replace(subscriber(name, s), `"max_attempts": 4, "max_deliver": 9`, `"max_attempts": 100, "max_deliver": 200, `+layout, 1)
	}
	config := streams(patient("crm", crm, `"partitions": 4`), patient("analytics", analytics, `"partitions": 1`))
	dir := writeStreams(t, config)
	topology, err := app.ParseStreams(config, lookup)
	require.NoError(t, err)
	meshtest.Apply(t, server.JetStream(), topology)
	addr := meshtest.FreeAddr(t)
	startChild(t, dir, "serve", "ingress", "--server", server.URL(), "--http", addr)
	var workers []*child
	for range 3 {
		workers = append(workers, startChild(t, dir, "serve", "workers", "--server", server.URL(), "--lease", "1500ms"))
	}
	l, stop := startLoad(t, addr, 8)
	defer stop()
	for round := range rounds {
		l.untilMore(t, 60)
		victim := workers[round%len(workers)]
		victim.kill()
		t.Logf("%s killed process %d", time.Now().Format(time.RFC3339Nano), victim.cmd.Process.Pid)
		frozen := workers[(round+1)%len(workers)]
		require.NoError(t, frozen.cmd.Process.Signal(syscall.SIGSTOP))
		taken := len(crm.all())
		require.Eventually(t, func() bool { return len(crm.all()) > taken+20 }, 30*time.Second, 5*time.Millisecond,
			"the last process takes over")
		require.NoError(t, frozen.cmd.Process.Signal(syscall.SIGCONT))
		t.Logf("%s thawed process %d", time.Now().Format(time.RFC3339Nano), frozen.cmd.Process.Pid)
		victim.again()
	}
	stop()
	l.complete(t, crm, analytics)
	requireOrder(t, crm)
	requireOrder(t, analytics)
}

// requireOrder checks that of each interaction no older event came after a newer one.
func requireOrder(t *testing.T, s *sink) {
	t.Helper()
	newest := map[string]int{}
	for _, d := range s.all() {
		var body struct{ Data struct{ N int } }
		require.NoError(t, json.Unmarshal([]byte(d.body), &body))
		require.GreaterOrEqual(t, body.Data.N, newest[d.interaction], "interaction %s:\n%s", d.interaction, s.story(d.interaction))
		newest[d.interaction] = body.Data.N
	}
}

// story is what was sent of an interaction: when, by which connection, which event, and the attempt.
func (s *sink) story(interaction string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines strings.Builder
	for _, d := range s.tries {
		if d.interaction == interaction {
			fmt.Fprintf(&lines, "%s %s attempt %s %s\n", d.at.Format(time.RFC3339Nano), d.from, d.header.Get("Genmesh-Attempt"), d.body)
		}
	}
	return lines.String()
}
