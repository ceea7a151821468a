package cli

import (
	"fmt"
	"net"
)

// listenFlag is an address that a command is about to open, and the flag that changes it.
type listenFlag struct {
	flag string
	addr string
}

// checkListen opens all addresses at once and closes them again, so that what is in use is
// found before anything starts, and with the flag that helps. "" is an address that stays off.
func checkListen(flags ...listenFlag) error {
	for _, f := range flags {
		if f.addr == "" {
			continue
		}
		listener, err := net.Listen("tcp", f.addr)
		if err != nil {
			return fmt.Errorf("can't listen on %s: %w; choose another address with --%s", f.addr, err, f.flag)
		}
		defer listener.Close() // nothing was sent
	}
	return nil
}
