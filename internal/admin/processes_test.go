package admin_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// asked answers for processes.
type asked struct {
	all     []admin.Process
	err     error
	process string
	level   string
	until   time.Time
	known   []mesh.UnderWay
	places  []mesh.Place
}

func (a *asked) Ask(context.Context) ([]admin.Process, error) { return a.all, a.err }

func (a *asked) UnderWay(_ context.Context, places []mesh.Place) ([]mesh.UnderWay, error) {
	a.places = places
	return a.known, a.err
}

func (a *asked) SetLogLevel(_ context.Context, process, level string, until time.Time) ([]admin.Process, error) {
	a.process, a.level, a.until = process, level, until
	return a.all, a.err
}

func TestProcessesAreThoseThatAnswer(t *testing.T) {
	d := newDesk(t)
	none, err := d.Processes(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []admin.Process{}, none)

	processes := &asked{all: []admin.Process{{ID: "a", LogLevel: "debug"}}}
	operator := d.withOptions(func(o *admin.DirectOptions) { o.Processes = processes })
	all, err := operator.Processes(t.Context())
	require.NoError(t, err)
	assert.Equal(t, processes.all, all)
}

func TestAChangedLogLevelIsAudited(t *testing.T) {
	d := newDesk(t)
	processes := &asked{all: []admin.Process{{ID: "a"}, {ID: "b"}}}
	operator := d.withOptions(func(o *admin.DirectOptions) { o.Processes = processes })
	changed, err := operator.SetLogLevel(t.Context(), d.by, "", "debug", mesh.Duration(15*time.Minute))
	require.NoError(t, err)
	assert.Equal(t, processes.all, changed)
	assert.Equal(t, [2]string{"", "debug"}, [2]string{processes.process, processes.level})
	assert.WithinDuration(t, time.Now().Add(15*time.Minute), processes.until, time.Minute)
	_, err = operator.SetLogLevel(t.Context(), d.by, "a", "info", 0)
	require.NoError(t, err)
	assert.Zero(t, processes.until, "until it ends")

	records := d.audits()
	require.Len(t, records, 2)
	assert.Equal(t, admin.ActionLogLevel, records[0].Action)
	assert.Equal(t, "debug for 15m", records[0].About)
	assert.Equal(t, 2, records[0].Done)
	assert.Equal(t, "info until it ends, only process a", records[1].About)

	_, err = operator.SetLogLevel(t.Context(), d.by, "", "debug", mesh.Duration(48*time.Hour))
	require.ErrorIs(t, err, admin.ErrInvalid)
	_, err = d.SetLogLevel(t.Context(), d.by, "", "debug", 0)
	require.ErrorIs(t, err, admin.ErrConflict, "nobody asks them here")
	processes.err = errors.New("away")
	_, err = operator.SetLogLevel(t.Context(), d.by, "", "debug", 0)
	require.Error(t, err)
	assert.Len(t, d.audits(), 2, "what was not done is not recorded")
}
