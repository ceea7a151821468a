package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type content struct {
	ID   string `json:"id"`
	Data struct {
		ID       string `json:"id"`
		Sequence int    `json:"sequence"`
	} `json:"data"`
}

func read(t *testing.T, d delivery) content {
	t.Helper()
	require.Len(t, d.body, bodyBytes)
	var c content
	require.NoError(t, json.Unmarshal(d.body, &c))
	require.Equal(t, d.interaction, c.Data.ID)
	return c
}

func TestDistinctFeedNeverRepeatsAnInteraction(t *testing.T) {
	f := feed{sender: "a-1"}
	seen := make(map[string]bool)
	for range 1000 {
		d := f.next()
		require.False(t, seen[read(t, d).Data.ID])
		require.False(t, d.again)
		seen[d.interaction] = true
	}
}

func TestLifecycleFeedSendsTenEventsInOrderAndOneOfThemTwice(t *testing.T) {
	f := feed{sender: "a-1", lifecycle: true}
	for range 20 {
		interaction, last, again := "", delivery{}, 0
		for i := range eventsPerLife + 1 {
			d := f.next()
			if i == 0 {
				interaction = d.interaction
			}
			require.Equal(t, interaction, d.interaction)
			if d.again {
				again++
				require.Equal(t, last.body, d.body)
			}
			require.Equal(t, i-again, read(t, d).Data.Sequence)
			last = d
		}
		require.Equal(t, 1, again)
	}
}

func TestInterleavedEventsTakeTurnsAndKeepTheirOrder(t *testing.T) {
	next := make(map[string]int)
	for n := range 3 * openInteractions * eventsPerLife {
		c := read(t, interleaved(n))
		require.Equal(t, next[c.Data.ID], c.Data.Sequence)
		next[c.Data.ID]++
	}
	require.Len(t, next, 3*openInteractions)
	for id, events := range next {
		assert.Equal(t, eventsPerLife, events, id)
	}
}
