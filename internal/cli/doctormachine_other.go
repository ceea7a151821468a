//go:build !(linux || darwin || freebsd)

package cli

// descriptorLimit can't tell on this system.
func descriptorLimit() (uint64, bool) { return 0, false }
