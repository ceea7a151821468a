package workers

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/mesh"
)

// A lane has live events and a replayed one, and both consumers are left: what follows one that was given back is given back, too.
func TestNothingOvertakesWhatWasGivenBackFromALaneOfTwoConsumers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried []uint64
		r := NewRunner(Options{
			Subscriber: mesh.Subscriber{
				Name: "crm", MaxAttempts: 6, MaxDeliver: 9, MaxInFlight: 1, AckWait: mesh.Duration(30 * time.Second), Backoff: defaultBackoff(),
			},
			ReplayStream: "DEAD",
			Handler: HandlerFunc(func(_ context.Context, e mesh.Event) error {
				tried = append(tried, e.Sequence)
				if e.Sequence != 2 {
					return errors.New("no")
				}
				return nil
			}),
			DeadLetters: new(buriedLetters), Logger: quiet(), Metrics: NewMetrics(nil),
		})
		c := NewCrew(CrewOptions{Logger: quiet()})
		c.receipts = given{}
		c.beaten.Store(1)
		live := newBinding(c, r, &unit{stream: "S", durable: "crm"}, handover{})
		replay := newBinding(c, r, &unit{stream: "DEAD", durable: "crm"}, handover{})
		live.hold(1)
		replay.hold(900)
		live.hold(2)
		synctest.Wait() // 1 was tried, and waits for its retry
		live.leave(time.Second)
		replay.leave(time.Second)
		synctest.Wait()
		live.deliveries.Wait()
		replay.deliveries.Wait()
		live.fenced(nil)
		replay.fenced(nil)
		synctest.Wait()
		assert.NotContains(t, tried, uint64(2), "2 overtook 1, which was given back")
	})
}

// A replayed event waits behind a live one of its interaction, which is tried again in an hour. Whoever takes the replays over need not
// wait for that.
func TestWhatWaitsBehindAnotherConsumersEventIsGivenBackWhenItsOwnIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRunner(Options{
			Subscriber: mesh.Subscriber{
				Name: "crm", MaxAttempts: 6, MaxDeliver: 9, MaxInFlight: 1, AckWait: mesh.Duration(30 * time.Second),
				Backoff: mesh.Backoff{Base: mesh.Duration(time.Hour), Max: mesh.Duration(time.Hour), Factor: 1},
			},
			ReplayStream: "DEAD",
			Handler:      HandlerFunc(func(context.Context, mesh.Event) error { return errors.New("no") }),
			DeadLetters:  new(buriedLetters), Logger: quiet(), Metrics: NewMetrics(nil),
		})
		c := NewCrew(CrewOptions{Logger: quiet()})
		c.receipts = given{}
		c.beaten.Store(1)
		live := newBinding(c, r, &unit{stream: "S", durable: "crm"}, handover{})
		replay := newBinding(c, r, &unit{stream: "DEAD", durable: "crm"}, handover{})
		first := live.hold(1)
		synctest.Wait()
		replayed := replay.hold(900)
		began := time.Now()
		replay.leave(handoverGrace)
		replay.empty()
		assert.Less(t, time.Since(began), time.Minute)
		assert.Equal(t, []string{"nak 100ms"}, replayed.said)
		assert.Empty(t, first.said, "it is still in hand")

		live.leave(0)
		live.deliveries.Wait()
		live.fenced(nil)
		replay.fenced(nil)
		synctest.Wait()
	})
}

// hold puts an event of the one interaction that these tests know into its lane, as if it had come from the server.
func (b *binding) hold(sequence uint64) *placed {
	return b.holdEvent(mesh.Event{Source: "s", Interaction: "i", Stream: b.stream, Sequence: sequence})
}

func (b *binding) holdEvent(e mesh.Event) *placed {
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	msg := &placed{sequence: e.Sequence}
	d := &delivery{b: b, event: e, msg: msg, before: progress{Delivered: 1}, alive: time.Now()}
	b.r.held[d.place()] = d
	b.deliveries.Add(1)
	b.r.enqueue(d)
	return msg
}

// given is the receipts of a server that reads at once.
type given struct{}

func (given) connection() uint64                       { return 1 }
func (given) await(_ context.Context, was uint64) bool { return was == 1 }
