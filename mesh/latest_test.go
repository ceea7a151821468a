package mesh_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

func TestLatestKindsAreThoseOfTheLatestEvents(t *testing.T) {
	js, topology := meshtest.Start(t).JetStream(), meshtest.Topology(t, standingStreams)
	meshtest.Apply(t, js, topology)
	types, media, err := mesh.LatestKinds(t.Context(), js, "EVENTS")
	require.NoError(t, err)
	assert.Empty(t, append(types, media...), "the stream is empty")

	kinds := [][2]string{{"forgotten", "fax"}}
	for range 30 {
		kinds = append(kinds, [2]string{"interaction", "call"})
	}
	kinds = append(kinds, [2]string{"survey", ""})
	for i, kind := range kinds {
		e := topology.Sources[0].Addressed(mesh.Event{Source: "genesys", Interaction: fmt.Sprint("c-", i), Type: kind[0], Media: kind[1], Fingerprint: "f", Body: []byte(`{}`)})
		_, err := js.PublishMsg(t.Context(), e.Msg(e.Interaction))
		require.NoError(t, err)
	}
	publish(t, js, "genesys.odd", 1) // not genmesh's
	stream, err := js.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 5))

	types, media, err = mesh.LatestKinds(t.Context(), js, "EVENTS")
	require.NoError(t, err)
	assert.Equal(t, []string{"survey", "interaction"}, types)
	assert.Equal(t, []string{"call"}, media)
	_, _, err = mesh.LatestKinds(t.Context(), js, "NONE")
	require.Error(t, err)
}
