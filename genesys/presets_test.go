package genesys_test

import (
	"encoding/json"
	"testing"

	"github.com/genmesh/genmesh/genesys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPresets(t *testing.T) {
	first := genesys.SourceDefaults()
	require.Contains(t, first, "genesys")
	var preset struct {
		Verification struct{ Header string }
		Identity     map[string]any
	}
	require.NoError(t, json.Unmarshal(first["genesys"], &preset))
	assert.Equal(t, "X-Genesys-Signature", preset.Verification.Header)
	assert.Equal(t, "data.id", preset.Identity["interaction"])

	delete(first, "genesys")
	assert.Contains(t, genesys.SourceDefaults(), "genesys", "the map is the caller's own")
}
