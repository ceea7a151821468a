package live

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// exported are the collector's metrics by name and label value.
func exported(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(t, err)
	all := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), "genmesh_")
			for _, pair := range m.GetLabel() {
				name += " " + pair.GetValue()
			}
			all[name] = m.GetGauge().GetValue()
		}
	}
	return all
}

func TestWhatTheWatcherSawLastIsExported(t *testing.T) {
	v := newTown(t, subscriber("crm", "")+","+subscriber("wfm", ""))
	require.NoError(t, v.letters.Bury(t.Context(), mesh.DeadLetter{
		Event: mesh.Event{Stream: "INTERACTIONS", Sequence: 1, Subject: "genesys.00.a.b.c"}, Subscriber: "crm", Reason: mesh.DeadRejected,
	}))
	require.NoError(t, mesh.PauseSubscriber(t.Context(), v.js, v.topology, v.topology.Subscribers[1], mesh.Pause{}))
	v.publish("interaction", 3)
	c := NewCollector(v.watcher)
	assert.Empty(t, exported(t, c), "nothing was sampled yet")
	v.sample()
	problems, err := testutil.CollectAndLint(c)
	require.NoError(t, err)
	assert.Empty(t, problems)

	got := exported(t, c)
	for name, want := range map[string]float64{
		"processes":                     0,
		"subscriber_waiting_events crm": 3, "subscriber_in_hand_events crm": 0, "subscriber_paused crm": 0, "subscriber_served crm": 0,
		"subscriber_paused wfm": 1, "dead_letters crm": 1, "dead_letters wfm": 0, "quarantined_events genesys": 0,
		"stream_messages INTERACTIONS": 3, "stream_limit_bytes INTERACTIONS": 10 << 20, "stream_messages QUARANTINE": 0,
	} {
		value, is := got[name]
		assert.True(t, is, name)
		assert.Equal(t, want, value, name)
	}
	assert.InDelta(t, 0, got["live_sample_age_seconds"], 5)
	assert.InDelta(t, time.Now().Unix(), got["stream_last_stored_timestamp_seconds INTERACTIONS"], 5)
	assert.InDelta(t, got["stream_bytes INTERACTIONS"]/(10<<20), got["stream_fill_ratio INTERACTIONS"], 1e-9)
	assert.Positive(t, got["subscriber_oldest_waiting_seconds crm"])
	assert.NotContains(t, got, "stream_limit_bytes QUARANTINE", "it has no bound")
	assert.NotContains(t, got, "stream_fill_ratio QUARANTINE", "it never refuses anything")
	assert.NotContains(t, got, "stream_last_stored_timestamp_seconds QUARANTINE", "it never stored anything")
}

func TestWhatIsStaleIsNotExported(t *testing.T) {
	v := newTown(t, subscriber("crm", ""))
	s := v.sample()
	s.At = s.At.Add(-2 * stale)
	v.watcher.latest.Store(&s)
	got := exported(t, NewCollector(v.watcher))
	assert.InDelta(t, 2*stale.Seconds(), got["live_sample_age_seconds"], 5)
	delete(got, "live_sample_age_seconds")
	assert.Empty(t, got)
}

func TestAStreamThatCantBeReadIsNotExportedForLong(t *testing.T) {
	v := newTown(t, subscriber("crm", ""))
	s := v.sample()
	f := s.Subscribers["crm"]
	f.read = f.read.Add(-2 * stale)
	s.Subscribers["crm"] = f
	v.watcher.latest.Store(&s)
	got := exported(t, NewCollector(v.watcher))
	assert.NotContains(t, got, "subscriber_waiting_events crm")
	assert.Contains(t, got, "stream_messages INTERACTIONS")
}
