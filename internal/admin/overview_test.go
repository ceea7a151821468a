package admin_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// withOptions is another Direct on the same server.
func (d *desk) withOptions(edit func(*admin.DirectOptions)) *admin.Direct {
	o := admin.DirectOptions{JetStream: d.js, Topology: func() *mesh.Topology { return d.topology }, Logger: meshtest.Quiet()}
	edit(&o)
	return admin.NewDirect(o)
}

func TestAnOverviewShowsTheWholeMesh(t *testing.T) {
	d := newDesk(t, `"preset": "genesys",`, `"preset": "genesys", "sensitive": true,`)
	d.put("call-1", "connected")
	d.put("call-2", "connected")
	d.bury("call-1")
	d.quarantine("call-3", `{}`, "schema")
	state, err := mesh.OpenState(t.Context(), d.js)
	require.NoError(t, err)
	require.NoError(t, state.SetPause(t.Context(), "compliance", mesh.Pause{Since: time.Now(), Reason: "upgrade"}))
	operator := d.withOptions(func(o *admin.DirectOptions) {
		o.Live = func() live.Snapshot {
			return live.Snapshot{
				Problem: "the numbers are old", Sources: map[string]live.SourceFlow{"genesys": {Accepted: 7}},
				Streams:     map[string]live.StreamFlow{"INTERACTIONS": {Stored: 7}},
				Subscribers: map[string]live.SubscriberFlow{"crm": {In: 7}},
			}
		}
		o.Processes = &asked{all: []admin.Process{{ID: "a"}, {ID: "b"}}}
	})

	o, err := operator.Overview(t.Context())
	require.NoError(t, err)
	assert.True(t, o.Connected)
	assert.Equal(t, "the numbers are old", o.Problem)
	assert.Equal(t, [3]uint64{1, 1, 2}, [3]uint64{o.DeadLetters, o.Quarantined, uint64(o.Processes)})

	require.Len(t, o.Sources, 1)
	source := o.Sources[0]
	assert.True(t, source.Sensitive)
	assert.Equal(t, admin.HealthGood, source.Health)
	assert.WithinDuration(t, time.Now(), source.LastStored, time.Minute)
	assert.Equal(t, 7.0, source.Flow.Accepted)

	require.Len(t, o.Streams, 6)
	stream := o.Streams[0]
	assert.Equal(t, []any{"INTERACTIONS", true, uint64(2), uint64(2), int64(10 << 30), int64(-1)},
		[]any{stream.Name, stream.Applied, stream.Messages, stream.InWindow, stream.MaxBytes, stream.MaxMessages})
	assert.Equal(t, []string{"file", "limits", "new"}, []string{stream.Storage, stream.Retention, stream.Discard})
	assert.Equal(t, 3, stream.Consumers)
	assert.Equal(t, mesh.Duration(2*time.Hour), stream.Window)
	assert.Equal(t, 7.0, stream.Flow.Stored)

	require.Len(t, o.Subscribers, 3)
	crm, compliance := o.Subscribers[0], o.Subscribers[2]
	assert.Equal(t, []any{"crm", "log:", "log", uint64(1)}, []any{crm.Name, crm.Target, crm.Kind, crm.DeadLetters})
	assert.Equal(t, admin.HealthFailing, crm.Health)
	assert.Contains(t, crm.Why, "nobody serves it")
	assert.Equal(t, 7.0, crm.Flow.In)
	assert.Equal(t, admin.HealthPaused, compliance.Health)
	assert.Nil(t, compliance.Flow)
}

func TestAnOverviewBeforeTheFirstApplySaysWhatIsMissing(t *testing.T) {
	o, err := newDeskUnapplied(t).Overview(t.Context())
	require.NoError(t, err)
	assert.True(t, o.Connected)
	assert.Equal(t, admin.HealthFailing, o.Streams[0].Health)
	assert.Contains(t, o.Streams[0].Why, "apply")
	assert.Equal(t, []string{"genesys.>"}, o.Streams[0].Subjects)
	assert.Equal(t, admin.HealthUnknown, o.Subscribers[0].Health)
	assert.Equal(t, admin.HealthFailing, o.Sources[0].Health)
}

func TestAnOverviewWithoutNATSIsWhatWasKnownLast(t *testing.T) {
	server := meshtest.Start(t)
	js := server.JetStream()
	d := &desk{t: t}
	d.edit()
	_, err := d.topology.Apply(t.Context(), js, false, mesh.Draining{})
	require.NoError(t, err)
	newDirect := func() *admin.Direct {
		return admin.NewDirect(admin.DirectOptions{JetStream: js, Topology: func() *mesh.Topology { return d.topology }, Logger: meshtest.Quiet()})
	}
	looked, never := newDirect(), newDirect()
	before, err := looked.Overview(t.Context())
	require.NoError(t, err)

	server.Stop()
	require.Eventually(t, func() bool { return !js.Conn().IsConnected() }, 10*time.Second, time.Millisecond) // it hears of it a moment later
	began := time.Now()
	after, err := looked.Overview(t.Context())
	require.NoError(t, err)
	assert.Less(t, time.Since(began), 2*time.Second)
	assert.False(t, after.Connected)
	assert.Contains(t, after.Problem, "NATS is out of reach")
	after.Connected, after.Problem = before.Connected, before.Problem
	assert.Equal(t, before, after)

	first, err := never.Overview(t.Context())
	require.NoError(t, err)
	assert.False(t, first.Connected)
	assert.Equal(t, admin.HealthUnknown, first.Sources[0].Health)
	assert.Len(t, first.Streams, 6)
	assert.Len(t, first.Subscribers, 3)

	server.Restart()
	require.Eventually(t, func() bool {
		o, err := looked.Overview(t.Context())
		return err == nil && o.Connected
	}, 10*time.Second, 20*time.Millisecond)
}

func TestAnOverviewThatNobodyWaitsForIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newDesk(t).Overview(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
