package schema_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/schema"
)

// logged is a log that a test can wait on.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// watch runs a watcher until the test ends.
func watch(t *testing.T, learn func(context.Context, func(eventType, content string, at time.Time)) error) (*schema.Watcher, *logged, *prometheus.Registry) {
	t.Helper()
	text, registry := new(logged), prometheus.NewRegistry()
	log := logrus.New()
	log.SetOutput(text)
	w := schema.NewWatcher(schema.WatcherOptions{Source: "genesys", Learn: learn, Logger: log, Metrics: schema.NewMetrics(registry)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	return w, text, registry
}

func TestWatcherReportsChangesOnce(t *testing.T) {
	w, log, registry := watch(t, func(_ context.Context, look func(eventType, content string, at time.Time)) error {
		for i := range 300 {
			look(interaction, call("")(i), time.Now().Add(time.Duration(i-300)*time.Minute))
		}
		return nil
	})
	require.Eventually(t, func() bool {
		w.Observe(interaction, call(`,"mood":"good"`)(0))
		return strings.Contains(log.String(), "/mood")
	}, 10*time.Second, time.Millisecond)
	for i := range 100 {
		w.Observe(interaction, call(`,"mood":"bad"`)(i))
	}
	w.Observe("survey", `{}`)
	require.Eventually(t, func() bool {
		w.Observe("survey", `{}`)
		return strings.Contains(log.String(), "new event type")
	}, 10*time.Second, time.Millisecond)
	assert.Equal(t, 1, strings.Count(log.String(), "/mood"))
	assert.NotContains(t, log.String(), "good", "no values")
	assert.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP genmesh_ingress_schema_changes_total Fields of a source's events that are new, have vanished or have another type than before.
# TYPE genmesh_ingress_schema_changes_total counter
genmesh_ingress_schema_changes_total{change="new",source="genesys"} 2
`)))
}

func TestWatcherGoesOnWithoutTheStoredEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log, _ := watch(t, func(context.Context, func(eventType, content string, at time.Time)) error {
			return errors.New("no stream")
		})
		synctest.Wait()
		require.Contains(t, log.String(), "no stream")
		for i := range 1000 {
			w.Observe(interaction, call("")(i))
			pass(time.Second)
		}
		w.Observe(interaction, call(`,"mood":1`)(0))
		pass(time.Second)
		assert.Contains(t, log.String(), "/mood")
	})
}

// pass lets time pass, and the watcher do what it does then.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// TestWatcherNeverBlocks: nobody looks, and still nobody waits and little is kept.
func TestWatcherNeverBlocks(t *testing.T) {
	log := logrus.New()
	w := schema.NewWatcher(schema.WatcherOptions{Source: "genesys", Logger: log})
	large := `{"a":"` + strings.Repeat("x", 1<<20) + `"}`
	for range 10_000 {
		w.Observe(interaction, large)
	}
}
