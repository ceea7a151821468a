package mesh_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

const historyTopology = `{
  "sources": [
    {"name": "genesys", "path": "/genesys", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS",
     "dedupe_key": "{source}:{interaction}:{fingerprint}"},
    {"name": "topics", "path": "/topics", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS",
     "subject": "{source}.{partition}.{interaction}.{type...}", "dedupe_key": "{source}:{interaction}:{fingerprint}"}],
  "streams": [
    {"name": "INTERACTIONS", "subjects": ["genesys.>", "topics.>"], "retention": "limits", "discard": "new",
     "max_age": "1h", "duplicate_window": "10m", "allow_atomic": true, "allow_direct": true},
    {"name": "DEAD_LETTERS", "subjects": ["dead.>"], "duplicate_window": "10m", "allow_direct": true},
    {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
  "subscribers": [
    {"name": "crm", "stream": "INTERACTIONS", "target": {"url": "log:"}},
    {"name": "calls", "stream": "INTERACTIONS", "filter_subjects": ["genesys.*.*.call.>", "topics.*.*.v2.call.>"], "partitions": 4,
     "target": {"url": "log:"}},
    {"name": "chats", "stream": "INTERACTIONS", "filter_subjects": ["genesys.*.*.chat.>"], "order": "none", "replay_policy": "original",
     "target": {"url": "log:"}}]
}`

// library is a server with a history.
type library struct {
	*commits
	topology *mesh.Topology
	server   *meshtest.Server
}

func newLibrary(t *testing.T) library {
	t.Helper()
	server := meshtest.Start(t)
	topology := meshtest.Topology(t, historyTopology)
	meshtest.Apply(t, server.JetStream(), topology)
	return library{startCommits(t, server.JetStream(), topology), topology, server}
}

// put stores an event and returns it as it is stored.
func (l library) put(source, interaction, eventType, media string) mesh.Event {
	l.t.Helper()
	e := event(interaction, fmt.Sprint(time.Now().UnixNano()))
	e.Source, e.Type, e.Media = source, eventType, media
	r := l.commit(e)
	stored, err := mesh.GetEvent(l.t.Context(), l.js, r.Stream, r.Sequence)
	require.NoError(l.t, err)
	return stored
}

func (l library) subscriber(name string) mesh.Subscriber {
	for _, s := range l.topology.Subscribers {
		if s.Name == name {
			return s
		}
	}
	l.t.Fatalf("no subscriber %s", name)
	return mesh.Subscriber{}
}

// reading is a replay's consumer in the hands of a worker that does nothing but read.
type reading struct {
	mu  sync.Mutex
	got []mesh.Event
}

func (r *reading) sequences() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	sequences := []uint64{}
	for _, e := range r.got {
		sequences = append(sequences, e.Sequence)
	}
	return sequences
}

// serve reads a replay as a worker does; a message is acknowledged if ack says so.
func (l library) serve(s mesh.Subscriber, h mesh.HistoryReplay, ack func() bool) *reading {
	l.t.Helper()
	consumer, err := l.js.PushConsumer(l.t.Context(), s.Stream, s.Name+"=replay-"+h.ID)
	require.NoError(l.t, err)
	served, ok := mesh.ServedBy(consumer.CachedInfo().Config)
	require.True(l.t, ok)
	r := new(reading)
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		e, err := mesh.ParseStored(msg)
		if err != nil {
			l.t.Error(err)
			return
		}
		if served.Replay.Has(e) && s.Matches(e.Subject) {
			r.mu.Lock()
			r.got = append(r.got, e)
			r.mu.Unlock()
		}
		if ack() {
			_ = msg.Ack()
		}
	})
	require.NoError(l.t, err)
	l.t.Cleanup(consuming.Stop)
	return r
}

func always() bool { return true }

// Whatever is asked for, the plan counts what a worker then hands on: no more and no less.
func TestReplayPlansWhatItDelivers(t *testing.T) {
	l := newLibrary(t)
	var all []mesh.Event
	for i := range 40 {
		interaction, media := fmt.Sprintf("call-%d", i%5), []string{"call", "chat"}[i%2]
		if i%4 == 3 {
			all = append(all, l.put("topics", interaction, "v2."+media+".state", media))
		} else {
			all = append(all, l.put("genesys", interaction, []string{"interaction", "detail"}[i/2%2], media))
		}
	}
	middle := all[20].Stored
	for name, span := range map[string]mesh.HistorySpan{
		"all":                  {},
		"since":                {Since: middle},
		"until":                {Until: middle},
		"between":              {Since: all[10].Stored, Until: middle},
		"interaction":          {Interaction: "call-3"},
		"type":                 {Type: "detail"},
		"type of topics":       {Type: "v2.call.state"},
		"interaction and type": {Interaction: "call-1", Type: "interaction", Since: all[2].Stored},
		"none":                 {Interaction: "call-7"},
		"no such type":         {Type: "v2.call"},
	} {
		for _, s := range l.topology.Subscribers {
			t.Run(name+" to "+s.Name, func(t *testing.T) {
				want := []uint64{}
				for _, e := range all {
					if s.Matches(e.Subject) && (span.Since.IsZero() || !e.Stored.Before(span.Since)) &&
						(span.Until.IsZero() || e.Stored.Before(span.Until)) &&
						(span.Interaction == "" || span.Interaction == e.Interaction) && (span.Type == "" || span.Type == e.Type) {
						want = append(want, e.Sequence)
					}
				}
				h, err := l.topology.PlanReplay(t.Context(), l.js, s, span)
				if len(want) == 0 {
					require.ErrorIs(t, err, mesh.ErrNothingToReplay)
					return
				}
				require.NoError(t, err)
				assert.EqualValues(t, len(want), h.Events)

				h, err = l.topology.StartReplay(t.Context(), l.js, s, h)
				require.NoError(t, err)
				r := l.serve(s, h, always)
				require.Eventually(t, func() bool { return len(r.sequences()) >= len(want) }, 20*time.Second, 5*time.Millisecond)
				assert.Equal(t, want, r.sequences())
				require.NoError(t, mesh.EndReplay(t.Context(), l.js, s, h.ID))
				require.NoError(t, mesh.EndReplay(t.Context(), l.js, s, h.ID), "ending it twice is no mistake")
			})
		}
	}
}

func TestReplayEndsWhereTheLiveEventsBegin(t *testing.T) {
	l := newLibrary(t)
	crm := l.subscriber("crm")
	old := l.put("genesys", "1", "interaction", "call")
	h, err := l.topology.PlanReplay(t.Context(), l.js, crm, mesh.HistorySpan{Until: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	later := l.put("genesys", "1", "interaction", "call")

	assert.True(t, h.Has(old))
	assert.False(t, h.Has(later))
	_, err = l.topology.PlanReplay(t.Context(), l.js, crm, mesh.HistorySpan{Since: time.Now().Add(time.Hour)})
	assert.ErrorIs(t, err, mesh.ErrNothingToReplay, "nothing was stored in the future")
}

func TestRunningReplayTellsHowFarItIs(t *testing.T) {
	l := newLibrary(t)
	crm := l.subscriber("crm")
	for i := range 100 {
		l.put("genesys", fmt.Sprint(i), "interaction", "call")
	}
	h, err := l.topology.PlanReplay(t.Context(), l.js, crm, mesh.HistorySpan{})
	require.NoError(t, err)
	h.Rate, h.Reason, h.By = mesh.Rate{Events: 50, Per: time.Second}, "the CRM lost an hour", "ann@desk"
	h, err = l.topology.StartReplay(t.Context(), l.js, crm, h)
	require.NoError(t, err)
	for i := range 150 { // what comes in later is no part of it
		l.put("genesys", fmt.Sprint(i), "interaction", "chat")
	}

	var running []mesh.RunningReplay
	// The server counts what waits a moment after it has answered that it is stored.
	require.Eventually(t, func() bool {
		running = l.replays(crm)
		return len(running) == 1 && running[0].Left == 100
	}, 10*time.Second, 5*time.Millisecond)
	assert.Equal(t, mesh.RunningReplay{HistoryReplay: h, Subscriber: "crm", Left: 100}, running[0])
	raw, err := json.Marshal(running[0])
	require.NoError(t, err)
	for _, name := range []string{
		`"id"`, `"from":1`, `"until":100`, `"rate":"50/s"`, `"events":100`, `"left":100`, `"in_hand":0`, `"served":false`, `"subscriber":"crm"`,
	} {
		assert.Contains(t, string(raw), name)
	}

	answered := 0
	l.serve(crm, h, func() bool { answered++; return answered <= 30 })
	require.Eventually(t, func() bool {
		r := l.replays(crm)[0]
		return r.Left == 70 && r.InHand > 0 && r.Served
	}, 20*time.Second, 10*time.Millisecond)
	assert.Empty(t, l.replays(l.subscriber("calls")), "it is another subscriber's")

	plan, err := l.topology.Plan(t.Context(), l.js)
	require.NoError(t, err)
	assert.Empty(t, plan.Steps, "a replay is no difference between streams.json and the server")
}

func (l library) replays(s mesh.Subscriber) []mesh.RunningReplay {
	l.t.Helper()
	running, err := mesh.Replays(l.t.Context(), l.js, s)
	require.NoError(l.t, err)
	return running
}

func TestReplayEstimateIsHonest(t *testing.T) {
	l := newLibrary(t)
	crm := l.subscriber("crm")
	var all []mesh.Event
	for i := range 20 {
		all = append(all, l.put("genesys", fmt.Sprintf("call-%d", i%2), "interaction", "call"))
	}
	h, err := l.topology.PlanReplay(t.Context(), l.js, crm, mesh.HistorySpan{Interaction: "call-1", Until: all[9].Stored.Add(1)})
	require.NoError(t, err)
	h.Rate = mesh.Rate{Events: 30, Per: time.Minute}

	estimate, err := l.topology.EstimateReplay(t.Context(), l.js, crm, h)

	require.NoError(t, err)
	assert.EqualValues(t, 5, h.Events)
	assert.Equal(t, 10*time.Second, time.Duration(estimate.Takes))
	assert.EqualValues(t, 5*crm.MaxAttempts, estimate.MostCalls)
	assert.True(t, estimate.First.Equal(all[1].Stored))
	assert.True(t, estimate.Last.Equal(all[9].Stored))
	stream, err := l.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	assert.InDelta(t, stream.CachedInfo().State.Bytes/4, estimate.Bytes, 5, "a quarter of the events")
}

// BenchmarkPlanReplay counts one interaction's events among many others.
func BenchmarkPlanReplay(b *testing.B) {
	server := meshtest.Start(b)
	js := server.JetStream()
	topology := meshtest.Topology(b, historyTopology)
	meshtest.Apply(b, js, topology)
	const events = 20_000
	for i := range events {
		e := event(fmt.Sprint(i), "connected")
		e.Subject = "genesys." + mesh.Partition(e.Interaction) + ".interaction.call." + e.Interaction
		_, err := js.PublishMsgAsync(e.Msg(""))
		require.NoError(b, err)
		if i%1000 == 999 {
			<-js.PublishAsyncComplete()
		}
	}
	for name, span := range map[string]mesh.HistorySpan{"all": {}, "interaction": {Interaction: "777"}, "type": {Type: "interaction"}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, err := topology.PlanReplay(b.Context(), js, topology.Subscribers[0], span)
				require.NoError(b, err)
			}
		})
	}
}
