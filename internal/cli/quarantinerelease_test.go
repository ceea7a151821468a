package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// engage is the built-in configuration with a source whose deliveries bring several events. Mended, it
// asks for no schema any more.
func engage(t *testing.T, mended bool) string {
	source := `"preset": "genesys-engage",`
	if mended {
		source += ` "event_types": {"*": {"schema": "none"}},`
	}
	return file(t, "streams.json", editedStreams(t, `"preset": "genesys",`, source))
}

// entities is the body of a delivery with these events, each written as event, interaction and media
// type; no media type that is a number is good.
func entities(operation string, events ...string) string {
	var list []string
	for _, e := range events {
		part := strings.Fields(e)
		list = append(list, fmt.Sprintf(`{"event":%q,"entity":{"id":%q,"mediaType":%s}}`, part[0], part[1], part[2]))
	}
	return fmt.Sprintf(`{"operationId":%q,"data":{"entities":[%s]}}`, operation, strings.Join(list, ","))
}

func (h hospital) release(t *testing.T, streams string, args ...string) outcome {
	t.Helper()
	return run(t, append([]string{"quarantine", "release", "--server", h.url, "--streams", streams, "--yes"}, args...)...)
}

// types lists the events of the interactions' stream, as type and interaction.
func (h hospital) types(t *testing.T) []string {
	t.Helper()
	types := []string{}
	for _, e := range h.events(t) {
		types = append(types, e.Type+" "+e.Interaction)
	}
	return types
}

// list is what is in quarantine, as reason and interaction.
func (h hospital) list(t *testing.T) []string {
	t.Helper()
	list := []string{}
	for _, q := range parsed[[]quarantinedJSON](t, h.run(t, "list", "-o", "json")) {
		list = append(list, q.Reason+" "+q.Interaction)
	}
	return list
}

func TestWhatIsNotChosenHoldsTheLaterOnesBack(t *testing.T) {
	h := newHospital(t)
	h.admit(t, "42", interactionBody("42", "connected"), "event_age")
	later := h.admit(t, "42", interactionBody("42", "disconnected"), "schema")
	h.admit(t, "43", interactionBody("43", "connected"), "schema")

	assert.Contains(t, h.run(t, "release", "--reason", "schema", "--dry-run").out, "releasable 1 event")
	o := h.run(t, "release", "--reason", "schema", "--yes")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "2: held back: an earlier event of its interaction 42 stays in quarantine")
	require.Len(t, h.events(t), 1)
	assert.Equal(t, "43", h.events(t)[0].Interaction)
	assert.Contains(t, h.run(t, "release", fmt.Sprint(later), "--yes").err, "held back")

	require.Equal(t, exitOK, h.run(t, "release", "--all", "--yes").code)
	events := h.events(t)
	require.Len(t, events, 3)
	assert.Contains(t, string(events[1].Body), "connected")
	assert.Contains(t, string(events[2].Body), "disconnected")
}

// When it came in nobody knew what it is about; its body tells now.
func TestWhatWasUnreadHoldsTheLaterOnesBackOnceItCanBeRead(t *testing.T) {
	h := newHospital(t)
	h.admit(t, "", interactionBody("42", "connected"), "no_interaction_id")
	h.admit(t, "", "{", "invalid_json")
	h.admit(t, "42", interactionBody("42", "disconnected"), "schema")
	h.admit(t, "43", interactionBody("43", "connected"), "schema")

	assert.Contains(t, h.run(t, "release", "--reason", "schema", "--yes").err, "3: held back")
	assert.Len(t, h.events(t), 1)
	require.Equal(t, exitOK, h.run(t, "release", "1", "3", "--yes").code)
	assert.Equal(t, []uint64{2}, h.numbers(t), "it has no order to keep")
}

func TestReleaseNamesWhatIsNotThere(t *testing.T) {
	h := newHospital(t)
	h.admit(t, "42", interactionBody("42", "connected"), "schema")
	o := h.run(t, "release", "1", "7", "--yes")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.out, "released 1 event")
	assert.Contains(t, o.err, "7 is not in quarantine")
	assert.Equal(t, exitOK, h.run(t, "release", "--all", "--yes").code, "nothing is left, which is no error")
}

// The events of one delivery are released one by one; those that stay keep their place before what came
// after the delivery.
func TestGoodEventsOfADeliveryGoWithoutTheBadOnes(t *testing.T) {
	h := newHospital(t)
	h.admit(t, "", entities("1", `STARTED a "chat"`, `STARTED b 7`, `FINISHED a "chat"`, `FINISHED b "chat"`), "no_interaction_id")
	h.admit(t, "b", entities("2", `REOPENED b "chat"`), "schema")

	assert.Contains(t, h.release(t, engage(t, false), "--all", "--dry-run").err, "2 of its 4 events are good")
	require.Empty(t, h.events(t))
	o := h.release(t, engage(t, false), "--all")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "1: released 2 of its 4 events")
	assert.Contains(t, o.err, "still not good: schema")
	assert.Contains(t, o.err, "2: held back: an earlier event of its interaction b")
	assert.Equal(t, []string{"STARTED a", "FINISHED a"}, h.types(t))
	assert.Equal(t, []string{"schema b", "schema b", "held_back b"}, h.list(t))
	assert.JSONEq(t, entities("1", `STARTED b 7`), string(h.quarantined(t, 3).Body), "a body of its own")

	assert.Contains(t, h.release(t, engage(t, true), "2").err, "held back", "what was cut out came before it")
	o = h.release(t, engage(t, true), "--all")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, []string{"STARTED a", "FINISHED a", "STARTED b", "FINISHED b", "REOPENED b"}, h.types(t))
	assert.Empty(t, h.list(t))
	for _, e := range h.events(t) {
		assert.Zero(t, e.CutFrom)
	}
}

func (h hospital) quarantined(t *testing.T, number uint64) mesh.Event {
	t.Helper()
	e, err := mesh.GetEvent(t.Context(), h.js, "QUARANTINE", number)
	require.NoError(t, err)
	return e
}

// The stream takes no more when the bad one is in quarantine again already.
func TestReleaseThatWasCutOffIsDoneAgain(t *testing.T) {
	h := newHospital(t)
	h.admit(t, "", entities("1", `STARTED b 7`, `STARTED a "chat"`, `FINISHED a "chat"`), "no_interaction_id")
	bound := func(messages int64) {
		s, err := h.js.Stream(t.Context(), "INTERACTIONS")
		require.NoError(t, err)
		config := s.CachedInfo().Config
		config.MaxMsgs = messages
		_, err = h.js.UpdateStream(t.Context(), config)
		require.NoError(t, err)
	}
	_, err := h.js.Publish(t.Context(), "genesys.00.other", nil, jetstream.WithExpectStream("INTERACTIONS"))
	require.NoError(t, err)
	bound(1)
	assert.Contains(t, h.release(t, engage(t, false), "1").err, "can't store the event now")
	assert.Equal(t, []string{"no_interaction_id ", "schema b"}, h.list(t))

	bound(-1)
	s, err := h.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	require.NoError(t, s.DeleteMsg(t.Context(), 1))
	assert.Contains(t, h.release(t, engage(t, false), "--all").err, "released 2 of its 3 events")
	assert.Equal(t, []string{"schema b"}, h.list(t), "once")
	var types []string
	for n := uint64(2); n <= 3; n++ {
		e, err := mesh.GetEvent(t.Context(), h.js, "INTERACTIONS", n)
		require.NoError(t, err)
		types = append(types, e.Type+" "+e.Interaction)
	}
	assert.Equal(t, []string{"STARTED a", "FINISHED a"}, types)
}

func TestDeliveryWithMoreEventsThanACommitTakesIsReleased(t *testing.T) {
	h := newHospital(t)
	const n = 2*mesh.MaxEventsAtOnce + 10
	var events, want []string
	for i := range n {
		events = append(events, fmt.Sprintf(`T%d a "chat"`, i))
		want = append(want, fmt.Sprintf("T%d a", i))
	}
	h.admit(t, "", entities("1", events...), "too_many_events")

	o := h.release(t, engage(t, false), "--all")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, want, h.types(t))
	assert.Empty(t, h.list(t))
}

// Whoever sends it again after it was discarded is told of what is kept.
func TestBodyThatWasDiscardedIsQuarantinedAgain(t *testing.T) {
	h := newHospital(t)
	first := h.admit(t, "42", interactionBody("42", "connected"), "schema")
	require.Equal(t, first, h.admit(t, "42", interactionBody("42", "connected"), "schema"))
	require.Equal(t, exitOK, h.run(t, "discard", fmt.Sprint(first), "--yes").code)

	again := h.admit(t, "42", interactionBody("42", "connected"), "schema")
	assert.Equal(t, []uint64{again}, h.numbers(t))
}
