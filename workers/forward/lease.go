package forward

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/genmesh/genmesh/workers"
)

// withLease looks at the process' lease once more when a request is about to leave: its headers are
// in the buffer, its body is not. A process that stood still between its last look and the write
// would let an older event overtake; what it has not sent by then it does not send. That is so for what the transport
// repeats by itself, too.
func withLease(ctx context.Context) context.Context {
	var conn atomic.Pointer[net.Conn]
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { conn.Store(&info.Conn) },
		WroteHeaders: func() {
			if c := conn.Load(); c != nil && workers.LeaseHeld(ctx) != nil {
				_ = (*c).Close()
			}
		},
	})
}
