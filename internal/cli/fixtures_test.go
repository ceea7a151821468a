package cli

import (
	"context"
	_ "embed"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
)

// sampleFile is a streams.json of the tests' own: the one that ships is there for its users to edit.
const sampleFile = "testdata/streams.json"

//go:embed testdata/streams.json
var sampleStreams string

// editedStreams is the sample with texts replaced, in pairs.
func editedStreams(t testing.TB, pairs ...string) string {
	t.Helper()
	text := sampleStreams
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, text, pairs[i])
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

// contextOf is a context that the test can end itself.
func contextOf(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

func topologyOf(t testing.TB, streams string) *mesh.Topology {
	t.Helper()
	topology, err := app.ParseStreams([]byte(streams), noEnvironment)
	require.NoError(t, err)
	return topology
}
