package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// load is what a contact centre does: senders that send each event again until it is answered,
// and a ledger of what was answered.
type load struct {
	mu       sync.Mutex
	answered map[string]bool
	sent     map[string]bool
}

// startLoad sends lifecycles of events to addr from several senders until stop is called, which
// waits until every event under way is answered.
func startLoad(t testing.TB, addr string, senders int) (l *load, stop func()) {
	l = &load{answered: map[string]bool{}, sent: map[string]bool{}}
	ending := make(chan struct{})
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ending:
					return
				default:
				}
				l.send(t, addr, event(fmt.Sprintf("%d-%d", sender, n/5), n%5))
			}
		})
	}
	return l, sync.OnceFunc(func() { close(ending); all.Wait() })
}

// send sends one event until it is answered; every seventh is delivered twice.
func (l *load) send(t testing.TB, addr, body string) {
	l.mu.Lock()
	l.sent[body] = true
	twice := len(l.sent)%7 == 0
	l.mu.Unlock()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		a, err := post(context.Background(), addr, body)
		if err != nil || a.status == 503 {
			<-time.After(10 * time.Millisecond) // the sender's own retry policy
			continue
		}
		if !assert.Contains(t, []int{200, 202}, a.status, a) {
			return
		}
		if twice {
			twice = false
			continue
		}
		l.mu.Lock()
		l.answered[body] = true
		l.mu.Unlock()
		return
	}
	t.Errorf("event was never answered: %s", body)
}

// note tells the ledger of events that a test sends itself.
func (l *load) note(bodies ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, body := range bodies {
		l.sent[body] = true
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answered)
}

// missing lists the answered events that a sink did not take and that are no dead letters.
func (l *load) missing(s *sink, dead map[string]bool) []string {
	taken := s.bodies()
	l.mu.Lock()
	defer l.mu.Unlock()
	var missing []string
	for body := range l.answered {
		if taken[body] == 0 && !dead[body] {
			missing = append(missing, body)
		}
	}
	return missing
}

// foreign lists what a sink took that nobody sent.
func (l *load) foreign(s *sink) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var foreign []string
	for body := range s.bodies() {
		if !l.sent[body] {
			foreign = append(foreign, body)
		}
	}
	return foreign
}
