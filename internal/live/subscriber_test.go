package live

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func TestLagAndTheOldestAreThoseOfTheServer(t *testing.T) {
	v := newTown(t, subscriber("slow", `, "max_ack_pending": 2`)+","+subscriber("parts", `, "partitions": 4`)+","+
		subscriber("rare", `, "filter_subject": "genesys.*.rare.>"`)+","+subscriber("idle", `, "filter_subject": "genesys.*.never.>"`))
	v.publish("interaction", 10)
	v.publish("rare", 1)
	v.publish("interaction", 10)
	v.sample()
	v.publish("interaction", 10)
	s := v.eventually("all that is asked for is answered", func(s Snapshot) bool {
		return s.Subscribers["slow"].Oldest != nil && s.Subscribers["parts"].Oldest != nil && s.Subscribers["rare"].Oldest != nil &&
			v.watcher.unasked() == 0
	})
	states, err := mesh.SubscriberStates(t.Context(), v.js, v.topology)
	require.NoError(t, err)
	for _, state := range states {
		f := s.Subscribers[state.Name]
		assert.Equal(t, state.Waiting, f.Waiting, state.Name)
		assert.Equal(t, state.InHand, f.InHand, state.Name)
		assert.Equal(t, state.Oldest, f.Oldest, state.Name)
		assert.True(t, f.Applied)
		assert.False(t, f.Served)
		assert.False(t, f.Paused)
	}
	assert.NotNil(t, s.Subscribers["rare"].Oldest)
	assert.Nil(t, s.Subscribers["idle"].Oldest)

	known := v.watcher.subscribers["slow"].consumers["slow"].known.asked
	v.sample()
	assert.Equal(t, known, v.watcher.subscribers["slow"].consumers["slow"].known.asked, "it is asked once, not with each sample")

	v.work("a", func(ctx context.Context, e mesh.Event) error {
		if e.Sequence > 1 {
			<-ctx.Done()
		}
		return ctx.Err()
	})
	s = v.eventually("the first is taken, and the next two are in hand", func(s Snapshot) bool {
		f := s.Subscribers["slow"]
		return f.InHand == 2 && f.Oldest != nil && f.Oldest.Sequence == 2
	})
	assert.EqualValues(t, 31-1-2, s.Subscribers["slow"].Waiting)
	assert.True(t, s.Subscribers["slow"].Served)
}

// unasked is how many consumers wait for a look into their stream.
func (w *Watcher) unasked() (n int) {
	for _, m := range w.subscribers {
		for _, mark := range m.consumers {
			if mark.pending > 0 && mark.known.Sequence == 0 {
				n++
			}
		}
	}
	return n
}

func TestWhatCameSinceTheSampleBeforeIsNotAskedFor(t *testing.T) {
	v := newTown(t, subscriber("crm", ""))
	v.sample()
	began := time.Now()
	v.publish("interaction", 10)
	f := v.sample().Subscribers["crm"]
	require.NotNil(t, f.Oldest)
	assert.WithinRange(t, f.Oldest.Stored, began.Add(-time.Second), time.Now())
	assert.Zero(t, v.watcher.subscribers["crm"].consumers["crm"].known.asked)
}

func TestAPauseShowsAndAWakingPauseDoesNot(t *testing.T) {
	v := newTown(t, subscriber("crm", "")+","+subscriber("wfm", ""))
	crm, wfm := v.topology.Subscribers[0], v.topology.Subscribers[1]
	require.NoError(t, mesh.PauseSubscriber(t.Context(), v.js, v.topology, crm, mesh.Pause{}))
	_, err := v.js.PauseConsumer(t.Context(), "INTERACTIONS", wfm.Name, time.Now().Add(leastPause/2))
	require.NoError(t, err)
	s := v.sample()
	assert.True(t, s.Subscribers["crm"].Paused)
	assert.False(t, s.Subscribers["wfm"].Paused)
	require.NoError(t, mesh.ResumeSubscriber(t.Context(), v.js, v.topology, crm))
	assert.False(t, v.sample().Subscribers["crm"].Paused)
}
