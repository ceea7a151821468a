package e2e

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/genesys/simulator"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// received are the events that a sink took, for the simulator's comparison.
func (s *sink) received() iter.Seq[simulator.Received] {
	return func(yield func(simulator.Received) bool) {
		for _, d := range s.all() {
			if !yield(simulator.Received{Interaction: d.interaction, Body: []byte(d.body)}) {
				return
			}
		}
	}
}

// TestSentIsStoredIsDelivered lets a Genesys Cloud misbehave in every way that it knows, in front of a
// target that fails at the first attempt now and then, and compares what was sent with what arrived.
func TestSentIsStoredIsDelivered(t *testing.T) {
	crm, analytics := newSink(t), newSink(t)
	var mu sync.Mutex
	tried := map[string]bool{}
	crm.answerWith(func(d delivery) int {
		mu.Lock()
		defer mu.Unlock()
		if again := tried[d.key]; !again && len(tried)%7 == 0 {
			tried[d.key] = true
			return http.StatusServiceUnavailable
		}
		tried[d.key] = true
		return http.StatusOK
	})
	p := startDev(t, streams(subscriber("crm", crm), subscriber("analytics", analytics)))
	s, err := simulator.New(simulator.Options{
		Seed: 11, Start: time.Unix(1767225600, 0), Interactions: 60, Rate: 2000, Count: 1500, RetryBase: 10 * time.Millisecond, Logger: meshtest.Quiet(),
		Targets: []simulator.Target{{URL: "http://" + p.addr.Ingress + "/webhooks/genesys", Secret: secret}},
		Faults:  simulator.Faults{Duplicates: 15, LostAnswers: 5, Truncated: 3, Forged: 3, Unreadable: 2, Burst: 100, SkewSeconds: -3600},
	})
	require.NoError(t, err)
	require.NoError(t, s.Run(t.Context()))

	summary := s.Ledger().Summary()
	assert.Zero(t, summary.Wrong(), "%+v", summary)
	assert.Equal(t, 1500, summary.Sent(simulator.KindEvent))
	assert.EqualValues(t, 1500, p.stored("INTERACTIONS"), "each event once")
	assert.LessOrEqual(t, p.stored("QUARANTINE"), uint64(summary.Sent(simulator.KindUnreadable)))
	assert.Positive(t, p.stored("QUARANTINE"))
	for name, domain := range map[string]*sink{"crm": crm, "analytics": analytics} {
		domain.await(t, 1500)
		d := simulator.Reconcile(s.Ledger().Entries(), domain.received())
		assert.True(t, d.None(), "%s: %+v", name, d)
	}
	assert.Empty(t, p.dead())
}

// subscribedStreams is a streams.json whose keys come from a subscription.
func subscribedStreams(api string, subscribers ...string) []byte {
	return bytes.Replace(streams(subscribers...), []byte(`"secret": "${SECRET}",`), fmt.Appendf(nil, `
	  "api": {"url": %q, "client_id": "simulator", "client_secret": "${SIMULATOR}"},
	  "subscription": {"name": "mesh", "event_types": ["interaction"], "target_url": "https://mesh.example.com/webhooks/genesys"},`, api), 1)
}

// TestKeysRotateInMidFlow: Genesys Cloud changes the key and says nothing. No delivery is refused or lost.
func TestKeysRotateInMidFlow(t *testing.T) {
	s, err := simulator.New(simulator.Options{Addr: "127.0.0.1:0", Seed: 12, Rate: 200, Logger: meshtest.Quiet()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	client, err := cloud.New(cloud.Options{
		URL: "http://" + s.Addr(), ClientID: "simulator", ClientSecret: "simulator", HTTPClient: &http.Client{Transport: transport},
	})
	require.NoError(t, err)
	made, err := client.CreateSubscription(t.Context(), cloud.Subscription{
		Name: "mesh", EventTypes: []string{"interaction"}, TargetURL: "https://mesh.example.com", HTTPMethod: "POST",
		RetryPolicy: cloud.RetryPolicy{MaxRetries: 5, BackoffType: "EXPONENTIAL"},
	})
	require.NoError(t, err)

	crm := newSink(t)
	p := startDev(t, subscribedStreams("http://"+s.Addr(), subscriber("crm", crm)))
	made.TargetURL, made.Active = "http://"+p.addr.Ingress+"/webhooks/genesys", true
	_, err = client.UpdateSubscription(t.Context(), made)
	require.NoError(t, err)
	accepted := func() int { return s.Ledger().Summary().Of(simulator.KindEvent, simulator.Accepted) }
	more := func(n int) {
		t.Helper()
		before := accepted()
		require.Eventually(t, func() bool { return accepted() >= before+n }, 30*time.Second, 5*time.Millisecond, "%+v", s.Ledger().Summary())
	}
	more(100)
	s.Rotate(0)
	more(200)
	s.Rotate(time.Hour) // announced: the key of before is still in use
	more(100)
	assert.Zero(t, s.Ledger().Summary().Wrong(), "%+v", s.Ledger().Summary())

	cancel()
	require.NoError(t, <-done)
	n := accepted()
	crm.await(t, n)
	taken := slices.DeleteFunc(s.Ledger().Entries(), func(e simulator.Entry) bool { return e.Outcome == simulator.Unfinished })
	d := simulator.Reconcile(taken, crm.received())
	assert.Empty(t, slices.Concat(d.Missing, d.Doubled, d.Altered, d.OutOfOrder), "%+v", d)
	assert.NotContains(t, p.log.String(), made.Keys()[0], "no key in the log")
}
