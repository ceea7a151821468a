package mesh

import (
	"io"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAMuteServerIsBelievedNothingUntilItWasRestarted: one that can't write tells of its stream as if all were well, and knows ids of events
// that are not on its disk. A connection that broke and came back proves nothing; a new start does, or another leader.
func TestAMuteServerIsBelievedNothingUntilItWasRestarted(t *testing.T) {
	alone := informant{server: "a", started: "first", connections: 1}
	leader := informant{server: "a", started: "first", connections: 1, leads: 7}
	for name, c := range map[string]struct {
		before, now informant
		another     bool
	}{
		"as before":                       {alone, alone, false},
		"connected again":                 {alone, informant{server: "a", started: "first", connections: 2}, false},
		"restarted":                       {alone, informant{server: "a", started: "second", connections: 2}, true},
		"told of by another node":         {leader, informant{server: "a", connections: 2, leads: 7}, false},
		"another leads":                   {leader, informant{server: "b", connections: 1, leads: 9}, true},
		"another led, and it leads again": {leader, informant{server: "a", started: "first", connections: 1, leads: 9}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := muteCommitter(t, c.before)
			s.judgeFailures(streamFacts{known: true, from: c.now})
			assert.Equal(t, c.another, s.unproven() == nil, "a duplicate is believed")
			assert.Equal(t, c.another, s.refusal() == nil, "events go out")
		})
	}
}

// TestADuplicateInAStreamWithReplicasIsOneWhateverTheLeaderCanDo: else senders that have nothing but what is stored already are refused for as long as
// nobody sends anything new, where a cluster lost its majority for a while and found it again under the same leader.
func TestADuplicateInAStreamWithReplicasIsOneWhateverTheLeaderCanDo(t *testing.T) {
	s := muteCommitter(t, informant{server: "a", leads: 7})
	require.Error(t, s.unproven())
	s.facts.replicated = true
	assert.NoError(t, s.unproven())
	assert.Error(t, s.refusal(), "only trials go out all the same")
}

// muteCommitter has found out that its stream stores nothing. It has not seen a single answer to what it published since.
func muteCommitter(t *testing.T, from informant) *streamCommitter {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := newStreamCommitter(nil, "INTERACTIONS", log, newCommitMetrics(prometheus.NewRegistry()))
	s.judgeFailures(streamFacts{known: true, from: from})
	s.facts.from = from
	s.failing.Store(&failures{first: time.Now(), last: time.Now(), unanswered: time.Now().Add(time.Second)})
	s.judgeFailures(streamFacts{known: true, from: from})
	require.ErrorIs(t, s.refusal(), ErrUnavailable)
	return s
}
