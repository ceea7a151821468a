package workers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// An operator reads in the log that a target went down and that it came back. An outage with many events and many vain tries must not
// bury these two lines under their like.
func TestOutageIsLoggedOnceWhenItBeginsAndOnceWhenItEnds(t *testing.T) {
	m := newMill(t, `"max_attempts": 50, "ack_wait": "10s", "backoff": {"base": "10ms", "max": "20ms"},
		"breaker": {"failures": 5, "for": "1ms"}`)
	log, hook := logtest.NewNullLogger()
	m.log = log
	said := func(level logrus.Level, words string) int {
		n := 0
		for _, entry := range hook.AllEntries() {
			if entry.Level == level && strings.Contains(entry.Message, words) {
				n++
			}
		}
		return n
	}
	opened := func() int { return said(logrus.ErrorLevel, "breaker is open") }
	closed := func() int { return said(logrus.InfoLevel, "breaker is closed") }

	const events = 30
	var down atomic.Bool
	down.Store(true)
	g := new(got)
	m.hire(func(_ context.Context, e mesh.Event) error {
		if down.Load() {
			return errors.New("the target answered 503")
		}
		g.add(e)
		return nil
	})
	for i := range events {
		m.publish(fmt.Sprint(i), 1)
	}
	state, err := mesh.OpenState(t.Context(), m.js)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		b, err := state.Breaker(t.Context(), "crm")
		return err == nil && b.Open && b.Probes >= 8
	}, 30*time.Second, 10*time.Millisecond, "the breaker stays open while one after another tries in vain")
	require.Eventually(t, func() bool { return opened() > 0 }, 10*time.Second, 10*time.Millisecond)
	assert.Zero(t, closed())

	down.Store(false)
	g.await(t, events)
	m.settled()
	require.Eventually(t, func() bool { return closed() > 0 }, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, 1, opened())
	assert.Equal(t, 1, closed())
	for _, entry := range hook.AllEntries() {
		if strings.Contains(entry.Message, "breaker is open") {
			assert.Equal(t, "crm", entry.Data["subscriber"])
			assert.Equal(t, "the target answered 503", entry.Data["last_error"])
		}
	}
}
