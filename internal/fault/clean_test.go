//go:build fault

package fault

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
	"github.com/genmesh/genmesh/internal/shipped"
)

// TestACleanRun: without a fault nothing is doubled, nothing is out of order, and answers come in time, at 500 events a second that come
// whether the answers do or not.
func TestACleanRun(t *testing.T) {
	perSecond := rounds(100, 500)
	l := ledger.New()
	crm, analytics, compliance := subscribe(t, l, "crm"), subscribe(t, l, "analytics"), subscribe(t, l, "compliance")
	mesh := newDev(t, writeConfiguration(t, configuration(1, crm.entry(""), analytics.entry(""), compliance.entry(""))), t.TempDir())
	mesh.Start()
	answers := sendOpenly(t, l, mesh.ingress, perSecond, time.Duration(rounds(15, 200))*time.Second)
	v := settled(t, l, connect(t, mesh.nats), time.Minute, crm, analytics, compliance)
	noneDoubled(t, mesh.Process, v)
	slices.Sort(answers)
	median, late, last := answers[len(answers)/2], answers[len(answers)*99/100], answers[len(answers)-1]
	figure(t, "P5", "%d events at %d per second: half of them answered within %s, 99 of 100 within %s, all within %s", len(answers), perSecond, round(median), round(late), round(last))
	figure(t, "P4", "%d events to three subscribers: none taken twice", len(answers))
	figure(t, "P11", "%d events to three subscribers: none out of order", len(answers))
	if !testing.Short() { // beside other tests a machine is as slow as it is
		assert.Zero(t, l.Tally().Refused)
		assert.Less(t, last, 5*time.Second)
		assert.Less(t, late, 500*time.Millisecond)
	}
}

// noneDoubled holds unless the machine stood still for longer than a lease lasts, which the process tells.
func noneDoubled(t testing.TB, p *shipped.Process, v ledger.Verdict) {
	t.Helper()
	if p.Logged("and is let go") > 0 {
		doubledAtMost(t, v, maxInFlight)
		return
	}
	assert.Empty(t, v.Doubled)
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// sendOpenly sends events at a rate, ten interactions at a time, and measures each answer from the moment when the event was due: a mesh that holds
// senders up does not hold up the events. Only the next event of the same interaction waits for the answer, or nothing would be said of their order.
func sendOpenly(t testing.TB, l *ledger.Ledger, ingress string, perSecond int, long time.Duration) (answers []time.Duration) {
	t.Helper()
	s := send(t, l, "open", 0, 0, ingress)
	var mu sync.Mutex
	var underWay sync.WaitGroup
	answered := map[string]chan struct{}{} // the latest event of each interaction
	began, total := time.Now(), int(long.Seconds())*perSecond
	for n := range total {
		due := began.Add(time.Duration(n) * time.Second / time.Duration(perSecond))
		pause(t.Context(), time.Until(due))
		name := ledger.Name{Interaction: fmt.Sprintf("open-%d-%d", n/perSecond/10, n%perSecond), Number: n / perSecond % 10}
		body, before, done := l.Body(name), answered[name.Interaction], make(chan struct{})
		answered[name.Interaction] = done
		underWay.Go(func() {
			defer close(done)
			if before != nil {
				<-before
			}
			if !assert.True(t, s.deliver(t.Context(), body, []string{ingress}, 0)) {
				return
			}
			took := time.Since(due)
			l.Answered(name)
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, took)
		})
	}
	underWay.Wait()
	require.Equal(t, total, len(answers))
	return answers
}

// TestTheSameEventFromAllSides: an event that comes many times at once is stored once, at any number of ingress; and what only shares its
// interaction with it is another event.
func TestTheSameEventFromAllSides(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	mesh := startParts(t, configuration(1, crm.entry("")), 2)
	s := send(t, l, "same", 0, 0, mesh.http...)
	events, times := rounds(20, 50), rounds(50, 200)
	for n := range events {
		name := ledger.Name{Interaction: fmt.Sprintf("same-%d", n/2), Number: n % 2} // pairs share an interaction
		body := l.Body(name)
		var all sync.WaitGroup
		for try := range times {
			all.Go(func() { assert.True(t, s.deliver(t.Context(), body, mesh.http, try)) })
		}
		all.Wait()
		l.Answered(name)
		if n%10 == 9 {
			mesh.ingress[n/10%2].Kill() // and what it remembered with it
			mesh.ingress[n/10%2].Start()
			assert.True(t, s.deliver(t.Context(), body, mesh.http, 0))
		}
	}
	v := settled(t, l, mesh.nats.jetStream(), time.Minute, crm)
	assert.Empty(t, v.Doubled)
	figure(t, "P3", "%d events, each sent %d times at once to two ingress, which were killed in between: %d stored", events, times, events)
}

// TestNoForgeryIsTaken sends what is nearly right: a bit of the body or the signature turned, cut off, written in another way.
func TestNoForgeryIsTaken(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	mesh := newDev(t, writeConfiguration(t, configuration(1, crm.entry(""))), t.TempDir())
	mesh.Start()
	s := send(t, l, "forged", 0, 0, mesh.ingress)
	total := rounds(4_000, 100_000)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for n := range total / 8 {
				body := ledger.New().Body(ledger.Name{Interaction: fmt.Sprintf("forged-%d", worker), Number: n})
				forged, signature := forge(body, sign(secret, body))
				status, err := s.postSigned(mesh.ingress, forged, signature)
				if assert.NoError(t, err) {
					assert.Equal(t, http.StatusUnauthorized, status, "%q signed %q", forged, signature)
				}
			}
		})
	}
	all.Wait()
	good := ledger.Name{Interaction: "good"}
	assert.True(t, s.deliver(t.Context(), l.Body(good), []string{mesh.ingress}, 0))
	l.Answered(good)
	settled(t, l, connect(t, mesh.nats), time.Minute, crm) // what is there besides was never sent
	figure(t, "P8", "%d requests, each a valid one that was changed: none taken", total)
}

// forge changes a signed body, or its signature, a little.
func forge(body []byte, signature string) ([]byte, string) {
	changed := slices.Clone(body)
	switch rand.IntN(6) {
	case 0:
		changed[rand.IntN(len(changed))] ^= 1 << rand.IntN(8)
	case 1:
		changed = changed[:rand.IntN(len(changed)-1)+1]
	case 2:
		changed = append(changed, " \n\t"[rand.IntN(3)])
	case 3:
		i, digit := rand.IntN(len(signature)), "0123456789abcdef"[rand.IntN(16)]
		if signature[i] == digit {
			digit = 'f' - digit%2 // 'f' or 'e', of which one is another
			if signature[i] == digit {
				digit = '0'
			}
		}
		signature = signature[:i] + string(digit) + signature[i+1:]
	case 4:
		signature = signature[:rand.IntN(len(signature))]
	case 5:
		signature = sign("another secret", body)
	}
	return changed, signature
}

// TestAnOutageSpendsNothing: a target that is away for longer than all its retries would last costs no event an attempt; when it is back, everything
// arrives, in order.
func TestAnOutageSpendsNothing(t *testing.T) {
	l := ledger.New()
	crm, analytics := subscribe(t, l, "crm"), subscribe(t, l, "analytics")
	asShipped := strings.Replace(crm.entry(""), `"backoff": {"base": "100ms", "max": "1s"},`, "", 1)
	mesh := newDev(t, writeConfiguration(t, configuration(1, asShipped, analytics.entry(""))), t.TempDir())
	mesh.Start()
	load := send(t, l, "outage", 4, 5*time.Millisecond, mesh.ingress)
	load.more(100, time.Minute)
	tries := failing(crm)
	began := time.Now()
	pause(t.Context(), time.Duration(rounds(20, 600))*time.Second)
	away := time.Since(began)
	crm.answer(nil)
	load.more(100, time.Minute)
	load.stop()
	v := settled(t, l, connect(t, mesh.nats), 5*time.Minute, crm, analytics)
	noneDoubled(t, mesh.Process, v)
	after, err := aftermath(t.Context(), connect(t, mesh.nats), crm)
	require.NoError(t, err)
	figure(t, "P7", "a target away for %s, tried %d times meanwhile: %d dead letters of %d events", away.Round(time.Second), tries.Load(), len(after.Dead["crm"]), l.Tally().Answered)
	assert.Empty(t, after.Dead["crm"])
}
