package republish_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/republish"
	"github.com/genmesh/genmesh/workers/targettest"
)

func TestConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		js := meshtest.Start(t).JetStream()
		stream := addStream(t, js, jetstream.StreamConfig{Name: "OUT", Subjects: []string{"out.>"}})
		return targettest.Fixture{
			Target:    newTarget(t, "nats:out.crm", "crm", js),
			Arrived:   func(t testing.TB) []targettest.Arrival { return arrivals(t, stream) },
			Collapses: true,
		}
	})
}

func TestTheEventsOwnSubjectMayFollow(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	stream := addStream(t, js, jetstream.StreamConfig{Name: "OUT", Subjects: []string{"out.>"}})
	event := targettest.Event(7)
	require.NoError(t, newTarget(t, "nats:out.crm.>", "crm", js).Handle(t.Context(), event))

	raw, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "out.crm."+event.Subject, raw.Subject)
	assert.Equal(t, event.IdempotencyKey(), raw.Header.Get(republish.HeaderIdempotencyKey))
	assert.Equal(t, event.TraceParent, raw.Header.Get("traceparent"))
	stored, err := mesh.ParseEvent(raw.Subject, raw.Header, raw.Data)
	require.NoError(t, err)
	assert.Equal(t, event.Occurred, stored.Occurred)
	assert.Equal(t, event.IdempotencyKey(), stored.IdempotencyKey())
}

func TestSubscribersDoNotDropEachOthersEvents(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	stream := addStream(t, js, jetstream.StreamConfig{Name: "OUT", Subjects: []string{"out.>"}})
	for range 2 {
		require.NoError(t, newTarget(t, "nats:out.crm", "crm", js).Handle(t.Context(), targettest.Event(1)))
		require.NoError(t, newTarget(t, "nats:out.analytics", "analytics", js).Handle(t.Context(), targettest.Event(1)))
	}
	assert.Len(t, arrivals(t, stream), 2)
}

func TestFailures(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	addStream(t, js, jetstream.StreamConfig{
		Name: "FULL", Subjects: []string{"full"}, MaxMsgs: 1, Discard: jetstream.DiscardNew,
	})
	addStream(t, js, jetstream.StreamConfig{Name: "SMALL", Subjects: []string{"small"}, MaxMsgSize: 2048})

	err := newTarget(t, "nats:nobody.listens", "crm", js).Handle(t.Context(), targettest.Event(1))
	require.ErrorContains(t, err, "no stream takes this subject")
	assert.Equal(t, workers.Retry, targettest.FateOf(err))

	full := newTarget(t, "nats:full", "crm", js)
	require.NoError(t, full.Handle(t.Context(), targettest.Event(1)))
	err = full.Handle(t.Context(), targettest.Event(2))
	require.ErrorContains(t, err, "maximum messages exceeded")
	assert.Equal(t, workers.Retry, targettest.FateOf(err))

	large := targettest.Event(1)
	large.Body = bytes.Repeat([]byte(" "), 4096)
	err = newTarget(t, "nats:small", "crm", js).Handle(t.Context(), large)
	assert.Equal(t, workers.Refuse, targettest.FateOf(err), "%v", err)
	large.Body = make([]byte, 2<<20)
	err = newTarget(t, "nats:full", "crm", js).Handle(t.Context(), large)
	assert.Equal(t, workers.Refuse, targettest.FateOf(err), "%v", err)
}

func TestAnOutageIsRetried(t *testing.T) {
	server := meshtest.Start(t)
	js := server.JetStream()
	stream := addStream(t, js, jetstream.StreamConfig{Name: "OUT", Subjects: []string{"out"}, Storage: jetstream.FileStorage})
	target := newTarget(t, "nats:out", "crm", js)
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	server.Stop()
	start := time.Now()
	err := target.Handle(t.Context(), targettest.Event(2))
	require.Error(t, err)
	assert.Equal(t, workers.Retry, targettest.FateOf(err))
	assert.Less(t, time.Since(start), 10*time.Second)
	server.Restart()
	require.Eventually(t, func() bool { return target.Handle(t.Context(), targettest.Event(2)) == nil },
		20*time.Second, 50*time.Millisecond)
	assert.Len(t, arrivals(t, stream), 2)
}

func TestNewRefusesSubjectsThatAreNotItsOwn(t *testing.T) {
	for _, url := range []string{
		"", "nats", "nats:", "nats:.", "nats:a..b", "nats:a.", "nats:>", "nats:.>", "nats:*", "nats:a.*", "nats:a.>.b",
		"nats:a b", "nats:a\r\nb", "nats:a.{type}", "nats:é", "nats://server/subject", "http://a",
		"nats:dead", "nats:dead.crm", "nats:dead.>", "nats:quarantine.x", "nats:replay.x", "nats:_mesh.deliver",
		"nats:$JS.API.STREAM.DELETE.X", "nats:$SYS.>", "nats:_INBOX.x",
	} {
		_, err := republish.New(mesh.Target{URL: url}, "crm", nil)
		assert.ErrorContains(t, err, "subscriber crm", url)
		assert.ErrorContains(t, republish.Check(mesh.Target{URL: url}), "url: ", url)
	}
	for _, url := range []string{"nats:a", "NATS:a", "nats:a.b-c_d", "nats:deadline.x", "nats:a.>", "nats:a.dead"} {
		_, err := republish.New(mesh.Target{URL: url}, "crm", nil)
		assert.NoError(t, err, url)
		assert.NoError(t, republish.Check(mesh.Target{URL: url}), url)
	}
}

func newTarget(t *testing.T, url, subscriber string, js jetstream.JetStream) *republish.Target {
	t.Helper()
	target, err := republish.New(mesh.Target{URL: url, Timeout: mesh.Duration(5 * time.Second)}, subscriber, js)
	require.NoError(t, err)
	return target
}

func addStream(t *testing.T, js jetstream.JetStream, config jetstream.StreamConfig) jetstream.Stream {
	t.Helper()
	stream, err := js.CreateStream(t.Context(), config)
	require.NoError(t, err)
	return stream
}

// arrivals reads the stream. The suite's fingerprints tell the sequences that events had where
// they came from; here they have others.
func arrivals(t testing.TB, stream jetstream.Stream) []targettest.Arrival {
	t.Helper()
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	var found []targettest.Arrival
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq; seq++ {
		raw, err := stream.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		event, err := mesh.ParseEvent(raw.Subject, raw.Header, raw.Data)
		require.NoError(t, err)
		sequence, err := strconv.ParseUint(strings.TrimPrefix(event.Fingerprint, "fingerprint-"), 10, 64)
		require.NoError(t, err)
		found = append(found, targettest.Arrival{
			Source: event.Source, Type: event.Type, Interaction: event.Interaction,
			Sequence: sequence,
			Key:      raw.Header.Get(republish.HeaderIdempotencyKey), Body: event.Body,
		})
	}
	return found
}
