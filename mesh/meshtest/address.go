package meshtest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Ports that systems give to outgoing connections begin at 32768 (Linux) or above: one of those may be taken between the moment
// it was found and the moment a server listens on it.
const lowestPort, pastHighestPort = 12_000, 32_000

// FreeAddr is an address of this machine that nobody listens on, for a server that has to be told its port.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(lowestPort+rand.IntN(pastHighestPort-lowestPort)))
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return addr
	}
	t.Fatal("a hundred ports of this machine are taken")
	return ""
}

// FreePort is the port of a FreeAddr.
func FreePort(t testing.TB) int {
	t.Helper()
	_, port, err := net.SplitHostPort(FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return number
}
