package telemetry

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheDiskOfTheDataFolderIsMeasured(t *testing.T) {
	folder := t.TempDir()
	disk, err := ReadDisk(folder)
	if err != nil && strings.Contains(err.Error(), "on this system") {
		t.Skip("this system does not tell the space on a disk")
	}
	require.NoError(t, err)
	assert.Positive(t, disk.Size)
	assert.LessOrEqual(t, disk.Free, disk.Size)
	assert.Equal(t, float64(disk.Size), valueOf(t, NewDiskMetrics(folder), "genmesh_data_disk_size_bytes"))

	assert.Zero(t, testutil.CollectAndCount(NewDiskMetrics(folder+"/missing")), "a number that nobody could read is no number")
}
