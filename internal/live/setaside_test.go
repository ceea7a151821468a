package live

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func TestManyDeadLettersAreCountedOneSubscriberAfterAnother(t *testing.T) {
	v := newTown(t, subscriber("crm", "")+","+subscriber("wfm", ""))
	for i := range 5 {
		name := []string{"crm", "wfm"}[i/3]
		require.NoError(t, v.letters.Bury(t.Context(), mesh.DeadLetter{
			Event: mesh.Event{Stream: "INTERACTIONS", Sequence: uint64(i + 1), Subject: "genesys.00.a.b.c"}, Subscriber: name, Reason: mesh.DeadRejected,
		}))
	}
	want := map[string]uint64{"crm": 3, "wfm": 2}
	assert.Equal(t, want, v.sample().DeadLetters)
	stream, err := v.js.Stream(t.Context(), "DEAD_LETTERS")
	require.NoError(t, err)
	by, err := v.watcher.dead.countEach(t.Context(), stream, []string{"crm", "wfm"})
	require.NoError(t, err)
	assert.Equal(t, want, by)
}

func TestQuarantineIsCountedBySource(t *testing.T) {
	v := newTown(t, "")
	for i, source := range []string{"genesys", "genesys", "gone"} {
		e := mesh.Event{Source: source, Reason: "no_interaction", Body: []byte("{}"), Subject: "quarantine." + source + ".no_interaction"}
		_, err := v.js.PublishMsg(t.Context(), e.Msg(fmt.Sprint(i)))
		require.NoError(t, err)
	}
	assert.Equal(t, map[string]uint64{"genesys": 2}, v.sample().Quarantined, "labels are names of streams.json")
}
