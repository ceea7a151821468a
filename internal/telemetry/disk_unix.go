//go:build linux || darwin || freebsd

package telemetry

import (
	"fmt"
	"syscall"
)

// ReadDisk looks at the disk of a folder.
func ReadDisk(folder string) (Disk, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(folder, &disk); err != nil {
		return Disk{}, fmt.Errorf("space on the disk of %s: %w", folder, err)
	}
	block := uint64(disk.Bsize)
	return Disk{Size: int64(uint64(disk.Blocks) * block), Free: int64(uint64(disk.Bavail) * block)}, nil
}
