package workers_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// A process dies at the second event of an interaction, and what it sent shortly before never arrives. The next process goes on with the
// second event: that the first one is done had arrived before the second was begun.
func TestNoEventIsBegunBeforeTheServerKnowsThatTheOneBeforeItIsDone(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, quick)
	m.lease = shortLease
	line := &slowLine{delay: 30 * time.Millisecond}
	conn, err := mesh.Connect("dies", m.server.URL(), meshtest.Quiet(), nats.SetCustomDialer(line))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	var calls atomic.Int64
	second := make(chan struct{})
	dies := m.hireOver(conn, func(ctx context.Context, _ mesh.Event) error {
		if calls.Add(1) == 1 {
			return nil
		}
		line.cut()
		close(second)
		<-ctx.Done()
		return ctx.Err()
	})
	for i := range 4 {
		m.publish("987", i)
	}
	<-second
	dies.die()

	d := newDiary()
	m.hire(func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
	m.settledAll()
	assert.Equal(t, []uint64{2, 3, 4}, d.seen["987"])
}

// The same, and before it dies the process loses the connection over which it had said that the first one is done.
func TestNoEventIsBegunBeforeTheServerKnowsOverALostConnection(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, quick)
	m.lease = 10 * time.Second // it outlives the connection
	line := &slowLine{delay: 30 * time.Millisecond}
	firstTold := make(chan struct{})
	acks := 0
	line.sends = func(p []byte) {
		for range bytes.Count(p, []byte("+ACK")) {
			switch acks++; acks {
			case 1:
				close(firstTold)
			case 2:
				line.drop()
			}
		}
	}
	conn, err := mesh.Connect("dies", m.server.URL(), meshtest.Quiet(), nats.SetCustomDialer(line))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	second := make(chan struct{})
	dies := m.hireOver(conn, func(ctx context.Context, e mesh.Event) error {
		switch e.Sequence {
		case 1:
			return nil // and its lane waits for the server
		case 2:
			<-firstTold // so that this one's lane waits for the next round trip
			return nil
		}
		line.cut()
		close(second)
		<-ctx.Done()
		return ctx.Err()
	})
	m.publish("another", 1)
	m.publish("987", 1)
	m.publish("987", 2)
	<-second
	dies.die()

	d := newDiary()
	m.lease = shortLease
	m.hire(func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
	m.settledAll()
	assert.Equal(t, []uint64{3}, d.seen["987"])
}

// slowLine dials connections whose sent bytes take their time, and are lost with the line.
type slowLine struct {
	delay time.Duration
	sends func([]byte) // nil, or told of all that is sent, by one goroutine at a time

	mu    sync.Mutex
	isCut bool
	conns []net.Conn
}

func (l *slowLine) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		_ = conn.Close()
		return nil, net.ErrClosed
	}
	l.conns = append(l.conns, conn)
	slow := &slowConn{Conn: conn, line: l, parcels: make(chan parcel, 1_000), closed: make(chan struct{})}
	go slow.carry()
	return slow, nil
}

// cut ends the line: what is on its way is lost.
func (l *slowLine) cut() {
	l.mu.Lock()
	l.isCut = true
	l.mu.Unlock()
	l.drop()
}

// drop ends the connections; others can be dialled.
func (l *slowLine) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.Close()
	}
}

type slowConn struct {
	net.Conn
	line    *slowLine
	parcels chan parcel
	once    sync.Once
	closed  chan struct{}
}

type parcel struct {
	bytes []byte
	due   time.Time
}

func (c *slowConn) Write(p []byte) (int, error) {
	if c.line.sends != nil {
		c.line.sends(p)
	}
	select {
	case c.parcels <- parcel{bytes.Clone(p), time.Now().Add(c.line.delay)}:
		return len(p), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *slowConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func (c *slowConn) carry() {
	for {
		select {
		case p := <-c.parcels:
			<-time.After(time.Until(p.due))
			_, _ = c.Conn.Write(p.bytes) // the line may be cut by now
		case <-c.closed:
			return
		}
	}
}
