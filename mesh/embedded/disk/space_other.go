//go:build !(linux || darwin || freebsd)

package disk

import "errors"

// Read can't tell on this system.
func Read(string) (Space, error) {
	return Space{}, errors.New("the space on a disk can't be read on this system")
}
