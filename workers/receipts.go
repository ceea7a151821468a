package workers

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
)

// receipts tell when the server has read what was sent to it. Tests in fake time have no server, and others.
type receipts interface {
	// connection tells the connections apart that this process has one after another; it counts from one. What was
	// sent over one that was lost may be lost, too.
	connection() uint64
	// await waits until the server has read all that was sent over a connection before, and reports false where that is not known.
	await(ctx context.Context, connection uint64) bool
}

// roundTrips give receipts. All who wait share one: one is under way at a time, and who comes meanwhile waits for the next.
type roundTrips struct {
	js jetstream.JetStream

	mu      sync.Mutex
	next    *roundTrip // that did not begin yet; nil if nobody waits for it
	running bool
}

type roundTrip struct {
	ended chan struct{}
	over  uint64 // the connection, once it has ended; 0 if it came to nothing
}

func (q *roundTrips) connection() uint64 { return q.js.Conn().Stats().Reconnects + 1 }

func (q *roundTrips) await(ctx context.Context, connection uint64) bool {
	trip := q.join()
	select {
	case <-trip.ended:
		return trip.over == connection
	case <-ctx.Done():
		return false
	}
}

func (q *roundTrips) join() *roundTrip {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == nil {
		q.next = &roundTrip{ended: make(chan struct{})}
	}
	if !q.running {
		q.running = true
		go q.run()
	}
	return q.next
}

// run makes round trips until nobody waits for one.
func (q *roundTrips) run() {
	for trip := q.begin(); trip != nil; trip = q.begin() {
		// A PING that is kept for the next connection, and lost with it, would leave the client one PONG behind.
		if conn := q.js.Conn(); conn.IsConnected() && conn.FlushTimeout(apiTimeout) == nil {
			trip.over = q.connection()
		}
		close(trip.ended)
	}
}

func (q *roundTrips) begin() *roundTrip {
	q.mu.Lock()
	defer q.mu.Unlock()
	trip := q.next
	q.next, q.running = nil, trip != nil
	return trip
}
