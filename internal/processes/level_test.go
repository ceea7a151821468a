package processes

import (
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

func TestALogLevelGoesBackByItself(t *testing.T) {
	server := meshtest.Start(t)
	a, b := meshtest.Quiet(), meshtest.Quiet()
	join(t, server, Options{ID: "a", Logger: a})
	join(t, server, Options{ID: "b", Logger: b})
	asker := NewAsker(server.Connect())

	until := time.Now().Add(400 * time.Millisecond)
	changed, err := asker.SetLogLevel(t.Context(), "a", "debug", until)
	require.NoError(t, err)
	require.Len(t, changed, 1)
	assert.Equal(t, "debug", changed[0].LogLevel)
	assert.WithinDuration(t, until, changed[0].LogLevelUntil, Patience)
	assert.Equal(t, logrus.InfoLevel, b.GetLevel(), "the other one was not asked")
	require.Eventually(t, func() bool { return a.GetLevel() == logrus.InfoLevel }, 20*time.Second, 10*time.Millisecond)

	eventually(t, func() bool {
		changed, err = asker.SetLogLevel(t.Context(), "", "warn", time.Time{})
		return err == nil && len(changed) == 2
	})
	assert.Zero(t, changed[0].LogLevelUntil)

	_, err = asker.SetLogLevel(t.Context(), "b", "trace", time.Now().Add(300*time.Millisecond))
	require.NoError(t, err)
	_, err = asker.SetLogLevel(t.Context(), "b", "error", time.Now().Add(400*time.Millisecond))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.GetLevel() == logrus.WarnLevel }, 20*time.Second, 10*time.Millisecond,
		"it goes back to what was set for good, not to what was set for a while")
}

func TestALogLevelThatMakesNoSenseIsRefused(t *testing.T) {
	server := meshtest.Start(t)
	log := meshtest.Quiet()
	join(t, server, Options{ID: "a", Logger: log})
	asker := NewAsker(server.Connect())
	for _, wrong := range []string{"", "loud", "panic", "fatal"} {
		_, err := asker.SetLogLevel(t.Context(), "", wrong, time.Time{})
		require.ErrorIs(t, err, admin.ErrInvalid, wrong)
	}
	_, err := asker.SetLogLevel(t.Context(), "", "debug", time.Now().Add(-time.Second))
	require.ErrorIs(t, err, admin.ErrInvalid)
	_, err = asker.SetLogLevel(t.Context(), "nobody", "debug", time.Time{})
	require.ErrorIs(t, err, admin.ErrNotFound)

	for _, hostile := range []string{"{", `{"level":"fatal"}`, `{"process":"b","level":"debug"}`} {
		require.NoError(t, asker.nc.PublishRequest(subjectLevel, asker.nc.NewInbox(), []byte(hostile)))
	}
	require.NotEmpty(t, ids(asker, "a"), "it answers on")
	assert.Equal(t, logrus.InfoLevel, log.GetLevel())
}
