//go:build !(linux || darwin || freebsd)

package telemetry

import "errors"

// ReadDisk can't tell on this system.
func ReadDisk(string) (Disk, error) {
	return Disk{}, errors.New("the space on a disk can't be read on this system")
}
