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
		take := func(b *binding, stream string, sequence uint64) *placed {
			msg := &placed{sequence: sequence}
			r.mu.Lock()
			defer r.mu.Unlock()
			d := &delivery{b: b, event: mesh.Event{Source: "s", Interaction: "i", Stream: stream, Sequence: sequence}, msg: msg, before: progress{Delivered: 1}, alive: time.Now()}
			r.held[d.place()] = d
			b.deliveries.Add(1)
			r.enqueue(d)
			return msg
		}
		take(live, "S", 1)
		take(replay, "DEAD", 900)
		take(live, "S", 2)
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

// given is the receipts of a server that reads at once.
type given struct{}

func (given) connection() uint64                       { return 1 }
func (given) await(_ context.Context, was uint64) bool { return was == 1 }
