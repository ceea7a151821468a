//go:build fault

package fault

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// disk is an ext4 file system of its own, whose power can be cut.
type disk struct {
	t     testing.TB
	image string
	dir   string
}

// newDisk makes and mounts one that ends with the test.
func newDisk(t testing.TB, megabytes int) *disk {
	t.Helper()
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "disk.img"), dir: filepath.Join(t.TempDir(), "mnt")}
	require.NoError(t, os.Mkdir(d.dir, 0o700))
	require.NoError(t, do("truncate", "-s", strconv.Itoa(megabytes)+"M", d.image))
	require.NoError(t, do("mkfs.ext4", "-q", "-F", d.image))
	d.mount()
	t.Cleanup(func() { _ = syscall.Unmount(d.dir, syscall.MNT_DETACH) })
	return d
}

func (d *disk) mount() {
	d.t.Helper()
	require.NoError(d.t, do("mount", "-o", "loop", d.image, d.dir))
}

// cut is what a power cut does to the disk: nothing reaches it any more, and what was written and not yet synced is gone. Whoever
// has files open has to be killed before the disk can be mounted again.
func (d *disk) cut() {
	d.t.Helper()
	root, err := os.Open(d.dir)
	require.NoError(d.t, err)
	defer root.Close()
	// EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH: linux/fs/ext4/ext4.h
	const shutdown, noLogFlush = 0x8004587d, uint32(2)
	flag := noLogFlush
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, root.Fd(), shutdown, uintptr(unsafe.Pointer(&flag)))
	require.Zero(d.t, errno, "EXT4_IOC_SHUTDOWN: %s", errno)
}

// back mounts the disk again as it was when its power was cut: the journal is replayed.
func (d *disk) back() {
	d.t.Helper()
	// Whoever was killed may take a moment to let go.
	require.Eventually(d.t, func() bool { return syscall.Unmount(d.dir, 0) == nil }, 20*time.Second, 10*time.Millisecond, "somebody has files open")
	d.mount()
}

// newMemory mounts a file system of so many megabytes that ends with the test.
func newMemory(t testing.TB, megabytes int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, do("mount", "-t", "tmpfs", "-o", "size="+strconv.Itoa(megabytes)+"m", "tmpfs", dir))
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}
