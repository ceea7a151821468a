package workers

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// An event waits for its retry while many others of the stream pass, and then its worker dies: whoever takes over asks for it.
func TestRecallAsksForTheOldestAndTheNewest(t *testing.T) {
	asked := recalled(t, 1, 50_000, nil)
	assert.Len(t, asked, maxRecalled)
	assert.Contains(t, asked, uint64(1))
	assert.Contains(t, asked, uint64(maxRecalled/2))
	assert.NotContains(t, asked, uint64(25_000))
	assert.Contains(t, asked, uint64(50_000))
}

// What was given back in order comes by itself, and each delivery counts.
func TestRecallLeavesAloneWhatIsOnItsWay(t *testing.T) {
	assert.Equal(t, map[uint64]bool{11: true, 13: true}, recalled(t, 11, 13, map[uint64]progress{12: {Attempts: 1}}))
}

// recalled are the sequences that are asked for, of those from first to last, where the one before has left word of some.
func recalled(t *testing.T, first, last uint64, known map[uint64]progress) map[uint64]bool {
	t.Helper()
	js := meshtest.Start(t).JetStream()
	r := NewRunner(Options{JetStream: js, Subscriber: mesh.Subscriber{Name: "crm"}, Logger: quiet(), Metrics: NewMetrics(nil)})
	b := newBinding(NewCrew(CrewOptions{JetStream: js, Logger: quiet()}), r, &unit{stream: "S", durable: "crm"}, handover{Events: known})
	defer b.fenced(nil)
	naks, err := js.Conn().SubscribeSync("$JS.ACK.S.crm.>")
	require.NoError(t, err)
	require.NoError(t, naks.SetPendingLimits(-1, -1))
	b.recall(&jetstream.ConsumerInfo{
		AckFloor: jetstream.SequenceInfo{Stream: first - 1}, Delivered: jetstream.SequenceInfo{Stream: last},
	}, r.onTheirWay(b))
	require.NoError(t, js.Conn().Publish("$JS.ACK.S.crm.end", nil))
	asked := map[uint64]bool{}
	for {
		nak, err := naks.NextMsg(10 * time.Second)
		require.NoError(t, err)
		if strings.HasSuffix(nak.Subject, ".end") {
			return asked
		}
		asked[sequenceOf(t, nak)] = true
	}
}

func sequenceOf(t *testing.T, nak *nats.Msg) uint64 {
	t.Helper()
	sequence, err := strconv.ParseUint(strings.Split(nak.Subject, ".")[5], 10, 64)
	require.NoError(t, err)
	return sequence
}
