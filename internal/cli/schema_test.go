package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

// store puts events into the stream as ingress does that gets one in a minute.
func (h hospital) store(t *testing.T, bodies ...string) {
	t.Helper()
	stream, err := h.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	received := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(stream.CachedInfo().State.LastSeq) * time.Minute)
	source := topologyOf(t, editedStreams(t)).Sources[0]
	reader, err := ingress.NewReader(source)
	require.NoError(t, err)
	for _, body := range bodies {
		received = received.Add(time.Minute)
		readings := reader.Read(nil, mesh.Event{Source: source.Name, Received: received, Body: []byte(body)})
		require.Len(t, readings, 1)
		require.Empty(t, readings[0].Reason)
		_, err := h.committer.CommitAll(t.Context(), []mesh.Event{readings[0].Event})
		require.NoError(t, err)
	}
}

func calls(from, n int, more string) []string {
	var bodies []string
	for i := range n {
		bodies = append(bodies, fmt.Sprintf(`{"timestamp":1767225600,"eventTypeId":"interaction","data":{"id":"%d","type":"call"%s}}`, from+i, more))
	}
	return bodies
}

func TestDriftTellsWhenEventsBeganToLookDifferent(t *testing.T) {
	h := newHospital(t)
	h.store(t, calls(0, 250, `,"contactId":"c-1"`)...)
	o := run(t, "schema", "drift", "genesys", "--server", h.url)
	require.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, "no change in 250 events\n", o.out)

	h.store(t, calls(1000, 200, `,"mood":"secret mood"`)...)
	o = run(t, "schema", "drift", "genesys", "--server", h.url)
	assert.Equal(t, exitChanges, o.code, o.err)
	assert.Regexp(t, `251 +interaction +new +/data/mood +- +string`, o.out)
	assert.Regexp(t, `interaction +vanished +/data/contactId +string`, o.out)
	assert.NotContains(t, o.out, "secret mood")
	changes := parsed[[]driftJSON](t, run(t, "schema", "drift", "genesys", "--server", h.url, "-o", "json"))
	require.Len(t, changes, 2)
	assert.EqualValues(t, 251, changes[0].Sequence)

	assert.Equal(t, "no change in 0 events\n", run(t, "schema", "drift", "genesys", "--server", h.url, "--type", "other*").out)
	assert.Contains(t, run(t, "schema", "drift", "nobody", "--server", h.url).err, `no source "nobody"`)
}

// TestAnErasureIsNoDrift: the event that tells of it is genmesh's own.
func TestAnErasureIsNoDrift(t *testing.T) {
	h := newHospital(t)
	h.store(t, calls(0, 250, "")...)
	require.Equal(t, exitOK, run(t, "erase", "7", "--because", "request 4711", "--yes", "--server", h.url).code)
	o := run(t, "schema", "drift", "genesys", "--server", h.url)
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Regexp(t, `^no change in 249 events\n$`, o.out)
}

func TestInferredSchemaIsOneThatASourceTakes(t *testing.T) {
	h := newHospital(t)
	assert.Contains(t, run(t, "schema", "infer", "genesys", "--server", h.url).err, "no such events")
	h.store(t, calls(0, 20, `,"agent":{"id":"a-1"}`)...)
	h.store(t, calls(20, 20, "")...)
	o := run(t, "schema", "infer", "genesys", "--server", h.url)
	require.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.err, "40 events only")
	proposal := parsed[map[string]any](t, o)
	assert.ElementsMatch(t, []any{"data", "eventTypeId", "timestamp"}, proposal["required"])

	name := file(t, "interaction.schema.json", o.out)
	streams := file(t, "streams.json", editedStreams(t, `"preset": "genesys",`,
		`"preset": "genesys", "event_types": {"interaction": {"schema": "`+strings.ReplaceAll(name, `\`, `/`)+`"}},`))
	reader, err := ingress.NewReader(topologyOf(t, editedStreams(t, `"preset": "genesys",`,
		`"preset": "genesys", "event_types": {"interaction": {"schema": "`+strings.ReplaceAll(name, `\`, `/`)+`"}},`)).Sources[0])
	require.NoError(t, err)
	good := reader.Read(nil, mesh.Event{Received: time.Now(), Body: []byte(calls(99, 1, "")[0])})
	assert.Empty(t, good[0].Reason)
	bad := reader.Read(nil, mesh.Event{Received: time.Now(), Body: []byte(strings.Replace(calls(99, 1, "")[0], `"timestamp":1767225600,`, "", 1))})
	assert.Equal(t, "schema", bad[0].Reason)
	assert.Equal(t, "lacks timestamp", bad[0].Event.Detail)
	assert.Equal(t, exitOK, run(t, "validate", "--streams", streams).code)

	h.store(t, strings.Replace(calls(500, 1, "")[0], `"interaction"`, `"survey"`, 1))
	o = run(t, "schema", "infer", "genesys", "--server", h.url)
	assert.Equal(t, exitError, o.code)
	assert.Regexp(t, `40  interaction\n +1  survey`, o.err)
	assert.Equal(t, exitOK, run(t, "schema", "infer", "genesys", "--server", h.url, "--type", "*").code)
}
