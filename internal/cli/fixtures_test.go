package cli

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
)

// editedStreams is the repository's streams.json with texts replaced, in pairs.
func editedStreams(t testing.TB, pairs ...string) string {
	t.Helper()
	data, err := os.ReadFile("../../streams.json")
	require.NoError(t, err)
	text := string(data)
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
