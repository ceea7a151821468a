//go:build linux || darwin || freebsd

package cli

import "syscall"

// descriptorLimit is how many files and connections a process may have open.
func descriptorLimit() (uint64, bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true
}
