package forward

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serveNames makes resolve the DNS, for as long as the test runs: the real resolver asks it, at an address of this machine.
func serveNames(t *testing.T, at string, resolve func(query []byte) (answer []byte, err error)) {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", at)
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		query := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(query)
			if err != nil {
				return // it is closed
			}
			if answer, err := resolve(query[:n]); assert.NoError(t, err) {
				_, err = conn.WriteTo(answer, from)
				assert.NoError(t, err)
			}
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		assert.NoError(t, conn.Close())
		<-served
	})
}
