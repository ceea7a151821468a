package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func TestSignedEventReachesThreeDomains(t *testing.T) {
	crm, analytics, compliance := newSink(t), newSink(t), newSink(t)
	p := startDev(t, streams(subscriber("crm", crm), subscriber("analytics", analytics), subscriber("compliance", compliance)))
	body := event("987654321", 1)

	a := p.send(body)

	assert.Equal(t, answer{status: 202, Status: "accepted", Interaction: "987654321", Stream: "INTERACTIONS", Sequence: 1, MsgID: "987654321"}, a)
	for name, s := range map[string]*sink{"crm": crm, "analytics": analytics, "compliance": compliance} {
		s.await(t, 1)
		d := s.all()[0]
		assert.Equal(t, body, d.body, "%s gets what was signed, byte for byte", name)
		assert.Equal(t, "987654321", d.interaction)
		assert.Equal(t, name, d.header.Get("Genmesh-Subscriber"))
		assert.Equal(t, "1.0", d.header.Get("Ce-Specversion"))
	}
	assert.Equal(t, crm.all()[0].key, compliance.all()[0].key)
}

func TestTwoHundredIdenticalRequestsAreOneEvent(t *testing.T) {
	crm, analytics := newSink(t), newSink(t)
	p := startDev(t, streams(subscriber("crm", crm), subscriber("analytics", analytics)))
	body := event("42", 1)

	var mu sync.Mutex
	statuses := map[int]int{}
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			a := p.send(body)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.status]++
		})
	}
	all.Wait()

	assert.Equal(t, map[int]int{202: 1, 200: 199}, statuses)
	assert.EqualValues(t, 1, p.stored("INTERACTIONS"))
	crm.await(t, 1)
	analytics.await(t, 1)
	p.send(event("43", 1)) // once this one is there, nothing of 42 is still on its way
	crm.await(t, 2)
	analytics.await(t, 2)
	assert.Equal(t, 1, crm.bodies()[body])
	assert.Equal(t, 1, analytics.bodies()[body])
}

func TestLifeOfAnInteractionArrivesInOrder(t *testing.T) {
	crm := newSink(t)
	p := startDev(t, streams(subscriber("crm", crm)))
	const n = 20
	for i := range n {
		require.Equal(t, 202, p.send(event("42", i)).status)
		require.Equal(t, 200, p.send(event("42", i)).status, "a redelivery")
	}
	crm.await(t, n)
	for i, d := range crm.all() {
		assert.Equal(t, event("42", i), d.body)
	}
	assert.Len(t, crm.all(), n)
}

func TestFailingTargetHealsInTime(t *testing.T) {
	crm := newSink(t)
	crm.answerWith(always(http.StatusBadGateway))
	p := startDev(t, streams(subscriber("crm", crm)))
	p.send(event("42", 1))
	require.Eventually(t, func() bool { return crm.tried() >= 2 }, 10*time.Second, time.Millisecond)
	crm.answerWith(always(http.StatusNoContent))
	crm.await(t, 1)
	assert.Empty(t, p.dead())
}

func TestDeadTargetThenReplayLosesNothing(t *testing.T) {
	crm, analytics := newSink(t), newSink(t)
	crm.answerWith(always(http.StatusServiceUnavailable))
	p := startDev(t, streams(subscriber("crm", crm), subscriber("analytics", analytics)))
	const n = 10
	for i := range n {
		p.send(event(fmt.Sprint(i), 1))
	}
	require.Eventually(t, func() bool { return len(p.dead()) == n }, 20*time.Second, 20*time.Millisecond)
	assert.Equal(t, mesh.DeadExhausted, p.dead()[0].Reason)
	assert.Equal(t, 4, p.dead()[0].Attempts)
	assert.Equal(t, 503, p.dead()[0].Status)
	assert.Contains(t, p.log.String(), "dead letter", "the alert for a person")

	crm.answerWith(always(http.StatusOK))
	for _, d := range p.dead() {
		require.NoError(t, p.letters.Replay(t.Context(), d))
	}
	crm.await(t, n)
	assert.Empty(t, p.dead())
	assert.Len(t, crm.bodies(), n)
	analytics.await(t, n)
	assert.Len(t, analytics.all(), n, "the replay was for crm alone")
	for _, d := range crm.all() {
		var first string
		for _, try := range crm.tries {
			if try.body == d.body {
				first = try.key
				break
			}
		}
		assert.Equal(t, first, d.key, "a replayed event keeps its identity")
	}
}

func TestRejectedEventIsDeadAtOnce(t *testing.T) {
	crm := newSink(t)
	crm.answerWith(always(http.StatusUnprocessableEntity))
	p := startDev(t, streams(subscriber("crm", crm)))
	p.send(event("42", 1))
	require.Eventually(t, func() bool { return len(p.dead()) == 1 }, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, mesh.DeadRejected, p.dead()[0].Reason)
	assert.Equal(t, 1, crm.tried())
}

func TestSlowDomainLeavesTheOthersAlone(t *testing.T) {
	crm, analytics, compliance := newSink(t), newSink(t), newSink(t)
	hang := make(chan struct{})
	defer close(hang)
	crm.answerWith(func(delivery) int { <-hang; return 200 })
	p := startDev(t, streams(subscriber("crm", crm), subscriber("analytics", analytics), subscriber("compliance", compliance)))
	const n = 300
	for i := range n {
		require.Equal(t, 202, p.send(event(fmt.Sprint(i), 1)).status)
	}
	analytics.await(t, n)
	compliance.await(t, n)
	assert.Empty(t, crm.all())
}

func TestSubscribersFollowTheFile(t *testing.T) {
	crm, billing, moved := newSink(t), newSink(t), newSink(t)
	p := startDev(t, streams(subscriber("crm", crm)))
	p.send(event("1", 1))
	crm.await(t, 1)

	p.edit(streams(subscriber("crm", crm), subscriber("billing", billing)))
	billing.await(t, 1) // a new subscriber begins with all that is stored
	p.send(event("2", 1))
	billing.await(t, 2)
	crm.await(t, 2)

	p.edit(streams(subscriber("crm", crm), subscriber("billing", moved)))
	p.awaitLog("serving subscriber", 3)
	p.send(event("3", 1))
	moved.await(t, 1)
	assert.Len(t, billing.all(), 2)

	p.edit(streams(subscriber("crm", crm)))
	p.awaitLog("subscriber is no longer served here", 2)
	p.send(event("4", 1))
	crm.await(t, 4)
	assert.Len(t, moved.all(), 1)
	assert.Equal(t, map[string]int{event("1", 1): 1, event("2", 1): 1, event("3", 1): 1, event("4", 1): 1}, crm.bodies(),
		"crm, which did not change, was not disturbed")

	p.edit(streams(subscriber("crm", crm), subscriber("billing", moved)))
	moved.await(t, 2) // what waited while it was away
}

func (p *process) awaitLog(line string, times int) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return strings.Count(p.log.String(), line) >= times }, 15*time.Second, 10*time.Millisecond,
		"%q was not logged %d times", line, times)
}

func TestWrongEditIsRefusedAndTheOldConfigurationGoesOn(t *testing.T) {
	crm := newSink(t)
	p := startDev(t, streams(subscriber("crm", crm)))
	p.edit(streams(subscriber("crm", crm), `{"name": "billing", "stream": "INTERACTION", "target": {"url": "htp://x"}}`))
	p.awaitLog("the old one stays in force", 1)
	assert.Contains(t, p.log.String(), "INTERACTIONS", "the nearest name")
	p.send(event("1", 1))
	crm.await(t, 1)

	p.edit([]byte(`{"sources": [`))
	p.awaitLog("the old one stays in force", 2)
	p.send(event("2", 1))
	crm.await(t, 2)
}

func TestReloadByHandTakesUpAnEdit(t *testing.T) {
	crm := newSink(t)
	p := startDev(t, streams(subscriber("crm", crm)))
	p.reload <- struct{}{}
	p.awaitLog("streams.json is in force", 1)
	p.send(event("1", 1))
	crm.await(t, 1)
}

func TestUnreadableEventIsKeptInQuarantine(t *testing.T) {
	crm := newSink(t)
	p := startDev(t, streams(subscriber("crm", crm)))
	for _, body := range []string{"{", `{"data":{"id":null}}`, `{"data":{"id":"1","id":"2"}}`} {
		a := p.send(body)
		assert.Equal(t, 202, a.status)
		assert.Equal(t, "quarantined", a.Status)
	}
	assert.EqualValues(t, 3, p.stored("QUARANTINE"))
	assert.EqualValues(t, 0, p.stored("INTERACTIONS"))
}

func TestRestartGoesOnWhereItWas(t *testing.T) {
	crm := newSink(t)
	crm.answerWith(always(http.StatusBadGateway))
	slow := strings.Replace(subscriber("crm", crm), `"base": "50ms", "max": "200ms"`, `"base": "10m", "max": "10m"`, 1)
	p := startDev(t, streams(slow))
	p.send(event("1", 1))
	require.Eventually(t, func() bool { return crm.tried() == 1 }, 10*time.Second, time.Millisecond)
	began := time.Now()
	p.stop()
	assert.Less(t, time.Since(began), 10*time.Second, "a waiting retry does not keep a process from ending")
}

// logrotate moves the file away and says so.
func TestFileTargetIsOpenedAgainWhenAsked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "compliance.ndjson")
	p := startDev(t, streams(fmt.Sprintf(`{"name": "compliance", "stream": "INTERACTIONS", "target": {"url": "file:%s"}}`, path)))
	lines := func(path string) func() bool {
		return func() bool {
			raw, err := os.ReadFile(path)
			return err == nil && strings.Count(string(raw), "\n") == 1
		}
	}
	p.send(event("1", 1))
	require.Eventually(t, lines(path), 10*time.Second, 5*time.Millisecond)
	require.NoError(t, os.Rename(path, path+".1"))
	p.reload <- struct{}{}
	p.awaitLog("streams.json is in force", 1)

	p.send(event("2", 1))
	require.Eventually(t, lines(path), 10*time.Second, 5*time.Millisecond)
	assert.True(t, lines(path+".1")())
}

// Some editors delete a file before they write it again.
func TestFileThatIsAwayForAMomentChangesNothing(t *testing.T) {
	crm := newSink(t)
	config := streams(subscriber("crm", crm))
	p := startDevWith(t, config, streams())
	require.NoError(t, os.Remove(p.file))
	p.reload <- struct{}{}
	p.awaitLog("the old one stays in force", 1)
	p.send(event("1", 1))
	crm.await(t, 1)
	p.edit(config)
	p.send(event("2", 1))
	crm.await(t, 2)
	assert.NotContains(t, p.log.String(), "no longer served")
}

// What can't be applied is not adopted: ingress would answer 503 for a stream that isn't there.
func TestEditThatTheServerRefusesChangesNothing(t *testing.T) {
	crm := newSink(t)
	config := streams(subscriber("crm", crm))
	p := startDev(t, config)
	renamed := strings.ReplaceAll(string(config), `"INTERACTIONS"`, `"CALLS"`)
	renamed = strings.Replace(renamed, `"name": "CALLS"`, `"name": "CALLS", "description": "takes what another stream takes"`, 1)
	p.edit([]byte(renamed))
	p.awaitLog("the old one stays in force", 1)
	assert.Equal(t, 202, p.send(event("1", 1)).status)
	crm.await(t, 1)
}
