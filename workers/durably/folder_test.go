package durably

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFoldersAreMadeForTheOwnerAndTheGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "c")
	require.NoError(t, MakeFolder(path))
	require.NoError(t, MakeFolder(path), "it is there")
	for _, made := range []string{path, filepath.Dir(path)} {
		info, err := os.Stat(made)
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o027, "%s: %s", made, info.Mode())
	}
}

func TestFileInThePlaceOfAFolderIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.Error(t, MakeFolder(filepath.Join(path, "below")))
}
