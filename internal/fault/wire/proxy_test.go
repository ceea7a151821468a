package wire_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/genmesh/genmesh/internal/fault/wire"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, p *wire.Proxy) *nats.Conn {
	t.Helper()
	p.Server = strings.TrimPrefix(meshtest.Start(t).URL(), "nats://")
	addr, err := p.Start()
	require.NoError(t, err)
	t.Cleanup(p.Close)
	nc, err := nats.Connect(addr, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// TestEachMessageIsSeenBeforeItArrives, in both directions, with and without headers and replies.
func TestEachMessageIsSeenBeforeItArrives(t *testing.T) {
	seen := make(chan wire.Operation, 100)
	nc := start(t, &wire.Proxy{Look: func(op wire.Operation) bool { seen <- op; return true }})
	sub, err := nc.SubscribeSync("to.>")
	require.NoError(t, err)
	payload := bytes.Repeat([]byte("PUB x 3\r\nabc\r\n"), 20_000) // what looks like the protocol is no part of it
	for _, msg := range []*nats.Msg{
		{Subject: "to.a", Data: []byte("plain")},
		{Subject: "to.b", Reply: "back.b", Data: nil},
		{Subject: "to.c", Header: nats.Header{"A": {"1"}}, Data: []byte("with headers")},
		{Subject: "to.d", Reply: "back.d", Header: nats.Header{"A": {"1"}}, Data: payload},
	} {
		require.NoError(t, nc.PublishMsg(msg))
		got, err := sub.NextMsg(20 * time.Second)
		require.NoError(t, err)
		assert.Equal(t, msg.Data, append([]byte(nil), got.Data...))
		for _, fromClient := range []bool{true, false} {
			op := <-seen
			assert.Equal(t, fromClient, op.FromClient)
			assert.Equal(t, msg.Subject, op.Subject)
			assert.Equal(t, msg.Reply, op.Reply)
			assert.True(t, bytes.HasSuffix(op.Payload, msg.Data))
		}
	}
	assert.Empty(t, seen)
}

func TestARefusedMessageEndsTheConnectionAndNeverArrives(t *testing.T) {
	var refuse atomic.Bool
	nc := start(t, &wire.Proxy{Look: func(op wire.Operation) bool { return !op.FromClient || !refuse.Load() }})
	sub, err := nc.SubscribeSync("to")
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	refuse.Store(true)
	require.NoError(t, nc.Publish("to", []byte("refused")))
	require.Eventually(t, func() bool { return nc.Stats().Reconnects > 0 }, 20*time.Second, time.Millisecond)
	refuse.Store(false)
	require.Eventually(t, func() bool { return nc.Publish("to", []byte("taken")) == nil }, 20*time.Second, time.Millisecond)
	got, err := sub.NextMsg(20 * time.Second)
	require.NoError(t, err)
	assert.Equal(t, "taken", string(got.Data))
}

func TestALongWayTakesItsTimeInBothDirections(t *testing.T) {
	const delay = 100 * time.Millisecond
	nc := start(t, &wire.Proxy{Slow: wire.Slow{Delay: delay}})
	began := time.Now()
	require.NoError(t, nc.FlushTimeout(20*time.Second))
	assert.GreaterOrEqual(t, time.Since(began), 2*delay)
}

func TestANarrowWayTakesLongerForMore(t *testing.T) {
	nc := start(t, &wire.Proxy{Slow: wire.Slow{BytesPerSecond: 1 << 20}})
	began := time.Now()
	require.NoError(t, nc.Publish("nowhere", make([]byte, 256<<10)))
	require.NoError(t, nc.FlushTimeout(20*time.Second))
	assert.GreaterOrEqual(t, time.Since(began), 250*time.Millisecond)
}
