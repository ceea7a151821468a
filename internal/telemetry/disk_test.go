package telemetry

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/embedded/disk"
)

func TestTheDiskOfTheDataFolderIsMeasured(t *testing.T) {
	folder := t.TempDir()
	space, err := disk.Read(folder)
	if err != nil && strings.Contains(err.Error(), "on this system") {
		t.Skip("this system does not tell the space on a disk")
	}
	require.NoError(t, err)
	assert.Positive(t, space.Size)
	assert.LessOrEqual(t, space.Free, space.Size)
	assert.Equal(t, float64(space.Size), valueOf(t, NewDiskMetrics(folder), "genmesh_data_disk_size_bytes"))

	assert.Zero(t, testutil.CollectAndCount(NewDiskMetrics(folder+"/missing")), "a number that nobody could read is no number")
}
