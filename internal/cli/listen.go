package cli

import (
	"fmt"
	"net"
)

// off switches an address off, as "" does on a command line: an empty variable counts as unset.
const off = "off"

// addressOf is what a flag for an address says; "" is none.
func addressOf(flag string) string {
	if flag == off {
		return ""
	}
	return flag
}

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
