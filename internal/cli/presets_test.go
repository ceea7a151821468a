package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/internal/app"
)

func TestPresetsAreListedAndExplained(t *testing.T) {
	listed := run(t, "presets")
	require.Equal(t, exitOK, listed.code, listed.err)
	for _, preset := range genesys.Presets() {
		assert.Contains(t, listed.out, preset.Name)
		explained := run(t, "presets", preset.Name)
		require.Equal(t, exitOK, explained.code, explained.err)
		assert.Contains(t, explained.out, preset.About)
		assert.Contains(t, explained.out, `"verification"`)
	}
	assert.Len(t, parsed[[]genesys.Preset](t, run(t, "presets", "-o", "json")), len(genesys.Presets()))

	unknown := run(t, "presets", "genesis")
	assert.Equal(t, exitError, unknown.code)
	assert.Contains(t, unknown.err, "genmesh presets lists them")
}

// TestEveryPresetMakesASource: a source that names a preset, and what the preset can't know, is complete.
func TestEveryPresetMakesASource(t *testing.T) {
	for _, preset := range genesys.Presets() {
		streams := editedStreams(t, `"preset": "genesys",`, `"preset": "`+preset.Name+`",`)
		topology, err := app.ParseStreams([]byte(streams), noEnvironment)
		require.NoError(t, err, preset.Name)
		assert.NotEmpty(t, topology.Sources[0].Verification.Method)
	}
}
