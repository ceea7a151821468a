package workers

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/mesh"
)

// A process lets a consumer go while an event waits for its retry, and gives that back. The next event of the interaction
// was on its way meanwhile and comes before the subscription is drained. It must not overtake: it goes back, too.
func TestEventThatComesWhileAConsumerIsLeftDoesNotOvertakeOneThatWasGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried []uint64
		r := NewRunner(Options{
			Subscriber: mesh.Subscriber{
				Name: "crm", MaxAttempts: 6, MaxDeliver: 9, MaxInFlight: 1, AckWait: mesh.Duration(30 * time.Second), Backoff: defaultBackoff(),
			},
			Handler: HandlerFunc(func(_ context.Context, e mesh.Event) error {
				tried = append(tried, e.Sequence)
				if e.Sequence == 1 {
					return errors.New("no")
				}
				return nil
			}),
			DeadLetters: new(buriedLetters), Logger: quiet(), Metrics: NewMetrics(nil),
		})
		c := NewCrew(CrewOptions{Logger: quiet()})
		c.receipts = given{}
		c.beaten.Store(1)
		b := newBinding(c, r, &unit{stream: "S", durable: "crm"}, handover{})
		first := b.hold(1)
		synctest.Wait() // it was tried, and waits for its retry
		b.leave(time.Second)
		synctest.Wait()
		second := b.hold(2)
		b.deliveries.Wait()
		b.fenced(nil)
		synctest.Wait()

		assert.Equal(t, []uint64{1}, tried)
		assert.Equal(t, []string{"nak 100ms"}, first.said)
		assert.Equal(t, []string{"nak 100ms"}, second.said)
	})
}

// placed is a delivery that says where it is from.
type placed struct {
	receipt
	sequence uint64
}

func (p *placed) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{Stream: "S", Sequence: jetstream.SequencePair{Stream: p.sequence}, NumDelivered: 1}, nil
}
