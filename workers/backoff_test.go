package workers

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func defaultBackoff() mesh.Backoff {
	return mesh.Backoff{Base: mesh.Duration(time.Second), Factor: 2, Max: mesh.Duration(time.Minute), Jitter: "none"}
}

func TestBackoffDoublesUpToItsCap(t *testing.T) {
	for failed, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 6: 32 * time.Second,
		7: time.Minute, 8: time.Minute, 10_000: time.Minute,
	} {
		assert.Equal(t, want, delayBefore(defaultBackoff(), failed), failed)
	}
	jittered := defaultBackoff()
	jittered.Jitter = "full"
	different := map[time.Duration]bool{}
	for range 100 {
		d := delayBefore(jittered, 4)
		assert.Positive(t, d)
		assert.LessOrEqual(t, d, 8*time.Second)
		different[d] = true
	}
	assert.Greater(t, len(different), 50)
}

// receipt stands for one delivery, to see what the runner says of it and when.
type receipt struct {
	jetstream.Msg
	mu   sync.Mutex
	said []string
}

func (r *receipt) say(s string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, s)
	return nil
}
func (r *receipt) Ack() error                         { return r.say("ack") }
func (r *receipt) InProgress() error                  { return r.say("in progress") }
func (r *receipt) NakWithDelay(d time.Duration) error { return r.say("nak " + d.String()) }
func (r *receipt) TermWithReason(string) error        { return r.say("term") }
func (r *receipt) Headers() nats.Header               { return nil }
func (r *receipt) Reply() string                      { return "" }

type buriedLetters struct {
	mu  sync.Mutex
	all []mesh.DeadLetter
}

func (b *buriedLetters) Bury(_ context.Context, d mesh.DeadLetter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, d)
	return nil
}

// The schedule of the default: attempts at 0, 1, 3, 7, 15 and 31 s, then the dead letter, with
// the server told of the held event in between.
func TestAttemptsKeepTheirSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		letters := new(buriedLetters)
		r := NewRunner(Options{
			Subscriber: mesh.Subscriber{
				Name: "crm", MaxAttempts: 6, MaxDeliver: 9, MaxInFlight: 1, AckWait: mesh.Duration(30 * time.Second),
				Backoff: defaultBackoff(),
			},
			Handler: HandlerFunc(func(_ context.Context, e mesh.Event) error {
				at = append(at, time.Since(began))
				assert.Equal(t, len(at), e.Attempt)
				return errors.New("no")
			}),
			DeadLetters: letters, Logger: quiet(), Metrics: NewMetrics(nil),
		})
		c := NewCrew(CrewOptions{Logger: quiet()})
		c.receipts = given{}
		b := newBinding(c, r, &unit{stream: "S", durable: "crm", served: mesh.Served{Shared: true}}, handover{})
		go b.keepAlive()
		msg := new(receipt)
		r.mu.Lock()
		d := &delivery{b: b, event: mesh.Event{Source: "s", Interaction: "i", Sequence: 1}, msg: msg, before: progress{Delivered: 1}, alive: time.Now()}
		r.held[d.place()] = d
		b.deliveries.Add(1)
		r.enqueue(d)
		r.mu.Unlock()
		b.deliveries.Wait()
		b.fenced(nil)
		synctest.Wait()

		s := time.Second
		assert.Equal(t, []time.Duration{0, 1 * s, 3 * s, 7 * s, 15 * s, 31 * s}, at)
		require.Len(t, letters.all, 1)
		assert.Equal(t, 6, letters.all[0].Attempts)
		assert.Equal(t, 31*s, letters.all[0].LastAttempt.Sub(letters.all[0].FirstAttempt))
		assert.Equal(t, []string{"in progress", "in progress", "in progress", "term"}, msg.said)
	})
}

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetLevel(logrus.PanicLevel)
	return log
}
