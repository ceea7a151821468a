package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// hospital is a server with events in quarantine.
type hospital struct {
	url       string
	js        jetstream.JetStream
	committer *mesh.Committer
}

func newHospital(t *testing.T) hospital {
	server := appliedServer(t)
	log := logrus.New()
	log.SetOutput(io.Discard)
	committer, err := mesh.NewCommitter(server.JetStream(), topologyOf(t, editedStreams(t)), log, prometheus.NewRegistry())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- committer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	return hospital{server.URL(), server.JetStream(), committer}
}

func (h hospital) admit(t *testing.T, interaction, body, reason string) uint64 {
	t.Helper()
	receipt, err := h.committer.Quarantine(t.Context(), mesh.Event{
		Source: "genesys", Interaction: interaction, Received: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Body: []byte(body),
		Detail: "what was wrong",
	}, reason)
	require.NoError(t, err)
	return receipt.Sequence
}

func (h hospital) run(t *testing.T, args ...string) outcome {
	t.Helper()
	return run(t, append([]string{"quarantine", args[0], "--server", h.url}, args[1:]...)...)
}

func (h hospital) numbers(t *testing.T, args ...string) []uint64 {
	t.Helper()
	numbers := []uint64{}
	for _, q := range parsed[[]quarantinedJSON](t, h.run(t, append([]string{"list", "-o", "json"}, args...)...)) {
		numbers = append(numbers, q.Number)
	}
	return numbers
}

func (h hospital) events(t *testing.T) []mesh.Event {
	t.Helper()
	s, err := h.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	var events []mesh.Event
	for n := s.CachedInfo().State.FirstSeq; n <= s.CachedInfo().State.LastSeq && n > 0; n++ {
		e, err := mesh.GetEvent(t.Context(), h.js, "INTERACTIONS", n)
		require.NoError(t, err)
		events = append(events, e)
	}
	return events
}

func interactionBody(interaction, state string) string {
	return fmt.Sprintf(`{"timestamp":1767225600,"eventTypeId":"interaction","data":{"id":%q,"type":"call","state":%q}}`, interaction, state)
}

func TestQuarantineIsListedAndShown(t *testing.T) {
	h := newHospital(t)
	assert.Equal(t, "nothing in quarantine\n", h.run(t, "list").out)
	h.admit(t, "1", interactionBody("1", "connected"), "schema")
	h.admit(t, "", "{\"a\":\"\x1b[2J\"", "invalid_json")

	listed := h.run(t, "list")
	assert.Contains(t, listed.out, "schema")
	assert.Contains(t, listed.out, "what was wrong")
	assert.Equal(t, []uint64{2}, h.numbers(t, "--reason", "invalid_json"))
	assert.Equal(t, []uint64{1, 2}, h.numbers(t, "--source", "genesys", "--since", "1h"))
	assert.Empty(t, h.numbers(t, "--source", "other"))
	assert.Empty(t, h.numbers(t, "--until", "1h"))

	shown := h.run(t, "show", "2")
	require.Equal(t, exitOK, shown.code, shown.err)
	assert.Contains(t, shown.out, `\x1b[2J`, "a terminal obeys nothing of it")
	assert.NotContains(t, shown.out, "\x1b")
	assert.Equal(t, map[string]any{"id": "1", "state": "connected", "type": "call"},
		parsed[quarantinedJSON](t, h.run(t, "show", "1", "-o", "json")).Body.(map[string]any)["data"])
	assert.Contains(t, h.run(t, "show", "7").err, "not in quarantine")
	assert.Contains(t, h.run(t, "show", "x").err, "genmesh quarantine list")
}

func TestReleaseAsksAndTellsWhatBecameOfEach(t *testing.T) {
	h := newHospital(t)
	bad := h.admit(t, "42", strings.Replace(interactionBody("42", "connected"), `"call"`, `{}`, 1), "schema")
	later := h.admit(t, "42", interactionBody("42", "queued"), "schema")
	h.admit(t, "43", interactionBody("43", "connected"), "schema")
	o := h.run(t, "release", "--all", "--dry-run")
	assert.Contains(t, o.out, "releasable 1 event\n")
	assert.NotContains(t, o.err, "audited", "a dry run is nothing that was done")
	assert.Contains(t, h.run(t, "release", "--all").err, "release 3 events? Confirm with --yes", "nobody is there to ask")
	require.Empty(t, h.events(t))

	o = h.run(t, "release", "--all", "--yes")
	assert.Equal(t, exitError, o.code)
	assert.Equal(t, "released 1 event\n", o.out)
	assert.Contains(t, o.err, "1: still not good: schema /data/type")
	assert.Contains(t, o.err, "2: held back")
	assert.Contains(t, o.err, "2 of 3 events: not released; genmesh quarantine show says more of one.")
	assert.Equal(t, []uint64{bad, later}, h.numbers(t))
	require.Len(t, h.events(t), 1)
	assert.Equal(t, "43", h.events(t)[0].Interaction)

	// The schema is mended.
	fixed := file(t, "streams.json", editedStreams(t, `"preset": "genesys",`, `"preset": "genesys", "event_types": {"*": {"schema": "none"}},`))
	o = run(t, "quarantine", "release", "--server", h.url, "--streams", fixed, "--source", "genesys", "--yes", "-o", "json")
	require.Equal(t, exitOK, o.code, o.err)
	assert.JSONEq(t, `{"action":"release","chosen":2,"done":2,"failed":[],"audited":true}`, o.out)
	assert.Len(t, h.events(t), 3)
	assert.Equal(t, "released 0 events\n", h.run(t, "release", "--all").out, "nothing is left, and nothing is asked")
}

func TestDiscardedEventsAreGone(t *testing.T) {
	h := newHospital(t)
	h.admit(t, "", "{", "invalid_json")
	_, err := h.js.Publish(t.Context(), "quarantine.genesys.schema", []byte("no event of ours"))
	require.NoError(t, err)
	assert.Contains(t, h.run(t, "list").out, "unreadable")
	assert.Contains(t, h.run(t, "release", "2", "--yes").err, "no event")
	o := h.run(t, "discard", "1", "2", "9", "--yes")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.out, "discarded 2 events")
	assert.Contains(t, o.err, "9 is not in quarantine")
	assert.Empty(t, h.numbers(t))
}
