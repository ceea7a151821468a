//go:build !(linux || darwin || freebsd)

package cli

import "errors"

// freeBytes is not known on this system.
func freeBytes(string) (int64, error) {
	return 0, errors.New("the free space can't be read on this system")
}
