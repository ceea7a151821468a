//go:build linux || darwin || freebsd

package cli

import (
	"fmt"
	"syscall"
)

// freeBytes is the space that this user may still fill on the disk of a folder.
func freeBytes(folder string) (int64, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(folder, &disk); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", folder, err)
	}
	return int64(uint64(disk.Bavail) * uint64(disk.Bsize)), nil
}
