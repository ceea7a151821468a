//go:build linux || darwin || freebsd

package disk

import (
	"fmt"
	"syscall"
)

// Read looks at the disk of a folder.
func Read(folder string) (Space, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return Space{}, fmt.Errorf("space on the disk of %s: %w", folder, err)
	}
	block := uint64(stat.Bsize)
	return Space{Size: int64(uint64(stat.Blocks) * block), Free: int64(uint64(stat.Bavail) * block)}, nil
}
