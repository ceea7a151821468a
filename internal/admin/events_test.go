package admin_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// eventsOf are the interactions of all pages.
func (d *desk) eventsOf(q admin.EventQuery) []string {
	d.t.Helper()
	var interactions []string
	for {
		page, err := d.Events(d.t.Context(), q)
		require.NoError(d.t, err)
		require.LessOrEqual(d.t, len(page.Events), q.Limit)
		for _, e := range page.Events {
			interactions = append(interactions, e.Interaction)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return interactions
		}
	}
}

func TestEventsArePagedTheNewestFirst(t *testing.T) {
	d := newDesk(t)
	for i := range 7 {
		d.put(fmt.Sprint("call-", i), "connected")
	}
	d.put("call-3", "ended")
	assert.Equal(t, []string{"call-3", "call-6", "call-5", "call-4", "call-3", "call-2", "call-1", "call-0"}, d.eventsOf(admin.EventQuery{Limit: 3}))
	assert.Equal(t, []string{"call-3", "call-3"}, d.eventsOf(admin.EventQuery{Limit: 1, Interaction: "call-3"}))
	assert.Empty(t, d.eventsOf(admin.EventQuery{Limit: 3, Type: "other"}))
	assert.Len(t, d.eventsOf(admin.EventQuery{Limit: 3, Source: "genesys", Type: "interaction"}), 8)
	assert.Equal(t, []string{"call-5"}, d.eventsOf(admin.EventQuery{Limit: 3, Stream: "INTERACTIONS", Subject: "genesys.*.*.call.call-5"}))

	page, err := d.Events(t.Context(), admin.EventQuery{Limit: 1})
	require.NoError(t, err)
	assert.Equal(t, "INTERACTIONS", page.Stream)
	e := page.Events[0]
	assert.Equal(t, []any{uint64(8), "genesys", "interaction", "call", "ended", 17},
		[]any{e.Sequence, e.Source, e.Type, e.Media, e.Fingerprint, e.Bytes})
}

func TestACursorIsOfOneStreamThatIsStillThere(t *testing.T) {
	d := newDesk(t)
	d.put("call-1", "connected")
	d.put("call-2", "connected")
	page, err := d.Events(t.Context(), admin.EventQuery{Limit: 1})
	require.NoError(t, err)
	require.NotEmpty(t, page.Next)
	_, err = d.Events(t.Context(), admin.EventQuery{Stream: "AUDIT", Cursor: page.Next})
	require.ErrorIs(t, err, admin.ErrInvalid)

	d.deleteStream("INTERACTIONS")
	_, err = d.Events(t.Context(), admin.EventQuery{Limit: 1, Cursor: page.Next})
	require.ErrorIs(t, err, admin.ErrNotFound)
	_, err = d.topology.Apply(t.Context(), d.js, false, mesh.Draining{})
	require.NoError(t, err)
	_, err = d.Events(t.Context(), admin.EventQuery{Limit: 1, Cursor: page.Next})
	require.ErrorIs(t, err, admin.ErrInvalid)
	assert.ErrorContains(t, err, "made anew")
}

func TestEventsThatCannotBeAskedForAreRefused(t *testing.T) {
	d := newDesk(t)
	now := time.Now()
	for name, tc := range map[string]struct {
		q    admin.EventQuery
		kind error
		says string
	}{
		"limit":          {admin.EventQuery{Limit: admin.MaxPage + 1}, admin.ErrInvalid, "1 to 1000"},
		"span":           {admin.EventQuery{Since: now, Until: now.Add(-time.Hour)}, admin.ErrInvalid, "before since"},
		"cursor":         {admin.EventQuery{Cursor: "x"}, admin.ErrInvalid, "cursor"},
		"no base64":      {admin.EventQuery{Cursor: "???"}, admin.ErrInvalid, "cursor"},
		"stream":         {admin.EventQuery{Stream: "KV_genmesh"}, admin.ErrNotFound, "there are INTERACTIONS"},
		"source":         {admin.EventQuery{Source: "genesis"}, admin.ErrNotFound, "genesis"},
		"another stream": {admin.EventQuery{Source: "genesys", Stream: "AUDIT"}, admin.ErrInvalid, "in stream INTERACTIONS"},
		"subject":        {admin.EventQuery{Subject: "genesys..>"}, admin.ErrInvalid, "a token is empty"},
		"both":           {admin.EventQuery{Subject: "genesys.>", Type: "x"}, admin.ErrInvalid, "or else by source"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.Events(t.Context(), tc.q)
			require.ErrorIs(t, err, tc.kind)
			assert.ErrorContains(t, err, tc.says)
		})
	}
}

func TestAnEventIsShownWithItsBodyAndWhatBecameOfIt(t *testing.T) {
	d := newDesk(t)
	d.put("call-1", "connected")
	e, err := mesh.GetEvent(t.Context(), d.js, "INTERACTIONS", 1)
	require.NoError(t, err)
	require.NoError(t, d.letters.Bury(t.Context(), mesh.DeadLetter{Event: e, Subscriber: "crm", Reason: mesh.DeadRejected, Attempts: 2}))

	detail, err := d.Event(t.Context(), "INTERACTIONS", 1)
	require.NoError(t, err)
	assert.JSONEq(t, `{"state":"connected"}`, string(detail.Body.JSON))
	assert.Equal(t, e.Body, detail.Body.Raw)
	assert.Equal(t, "call-1", detail.Headers[mesh.HeaderInteraction])
	assert.Equal(t, "call-1", detail.Interaction)
	states := map[string]mesh.DeliveryState{}
	for _, delivery := range detail.Deliveries {
		states[delivery.Subscriber] = delivery.State
	}
	assert.Equal(t, map[string]mesh.DeliveryState{"crm": "dead", "analytics": mesh.StateWaiting, "compliance": mesh.StateWaiting}, states)

	_, err = d.Event(t.Context(), "INTERACTIONS", 99)
	require.ErrorIs(t, err, admin.ErrNotFound)
	_, err = d.Event(t.Context(), "INTERACTIONS", 0)
	require.ErrorIs(t, err, admin.ErrNotFound)
	_, err = d.Event(t.Context(), "KV_genmesh", 1)
	require.ErrorIs(t, err, admin.ErrNotFound, "only what streams.json has is shown")
}

func TestAMessageThatIsNoEventIsShownAsItIs(t *testing.T) {
	d := newDesk(t)
	_, err := d.js.Publish(t.Context(), "genesys.odd", []byte{0xff, '?'}, jetstream.WithExpectStream("INTERACTIONS"))
	require.NoError(t, err)
	detail, err := d.Event(t.Context(), "INTERACTIONS", 1)
	require.NoError(t, err)
	assert.Equal(t, []byte{0xff, '?'}, detail.Body.Raw)
	assert.Nil(t, detail.Body.JSON)
	assert.Equal(t, "genesys.odd", detail.Subject)
	assert.Len(t, detail.Deliveries, 3)
}
