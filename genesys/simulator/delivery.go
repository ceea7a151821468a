package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/genesys/cloud"
)

// target is one receiver of events.
type target struct {
	name string
	// now is where events go at this moment, and how; false if none shall.
	now func() (cloud.Subscription, string, bool)
}

func staticTarget(t Target) *target {
	subscription := cloud.Subscription{TargetURL: t.URL, RetryPolicy: cloud.RetryPolicy{MaxRetries: 5, BackoffType: "EXPONENTIAL"}}
	return &target{name: t.URL, now: func() (cloud.Subscription, string, bool) { return subscription, t.Secret, true }}
}

const (
	// lanesPerTarget bounds the deliveries to one target at once. Events of one interaction share a
	// lane, so that they are delivered one after another.
	lanesPerTarget = 64
	laneLength     = 16
	maxAnswerBytes = 64 << 10
)

// dispatcher hands events to the lanes of all targets. A lane that is full slows the simulator down:
// what waits is bounded.
type dispatcher struct {
	sim     *Simulator
	running sync.WaitGroup
	work    context.Context
	cancel  context.CancelFunc
	lanes   map[string]*[lanesPerTarget]chan Event // by target
}

func newDispatcher(s *Simulator) *dispatcher {
	work, cancel := context.WithCancel(context.Background())
	return &dispatcher{
		sim: s, work: work, cancel: cancel,
		lanes: make(map[string]*[lanesPerTarget]chan Event),
	}
}

// dispatch hands an event on; false means that ctx has ended.
func (d *dispatcher) dispatch(ctx context.Context, e Event) bool {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.Interaction)) // a hash never fails
	for _, t := range d.sim.targets() {
		lane := d.laneOf(t, h.Sum64()%lanesPerTarget)
		select {
		case lane <- e:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func (d *dispatcher) laneOf(t *target, i uint64) chan Event {
	lanes := d.lanes[t.name]
	if lanes == nil {
		lanes = new([lanesPerTarget]chan Event)
		d.lanes[t.name] = lanes
	}
	if lanes[i] == nil {
		lanes[i] = make(chan Event, laneLength)
		seed := d.sim.options.Seed
		l := &lane{sim: d.sim, target: t, rng: rand.New(rand.NewPCG(seed, i+2)), held: make(map[string]Event)}
		d.running.Go(func() { l.run(d.work, lanes[i]) })
	}
	return lanes[i]
}

// drain lets what is under way come to its end.
func (d *dispatcher) drain() {
	for _, lanes := range d.lanes {
		for _, lane := range lanes {
			if lane != nil {
				close(lane)
			}
		}
	}
	d.running.Wait()
	d.cancel()
}

// lane delivers events one after another.
type lane struct {
	sim    *Simulator
	target *target
	rng    *rand.Rand
	held   map[string]Event // by interaction: it changes places with the next one
}

func (l *lane) run(ctx context.Context, events <-chan Event) {
	for e := range events {
		held, isHeld := l.held[e.Interaction]
		if !isHeld && !e.Last && l.chance(l.sim.currentFaults().Reordered) {
			l.held[e.Interaction] = e
			continue
		}
		l.handle(ctx, e)
		if isHeld {
			delete(l.held, e.Interaction)
			l.handle(ctx, held)
		}
	}
	for _, held := range l.held {
		l.handle(ctx, held)
	}
}

func (l *lane) chance(percent float64) bool { return l.rng.Float64()*100 < percent }

// handle delivers an event, and what goes wrong beside it.
func (l *lane) handle(ctx context.Context, e Event) {
	f := l.sim.currentFaults()
	if l.chance(f.Truncated) {
		l.deliver(ctx, KindTruncated, e, e.Body[:len(e.Body)/2])
	}
	if l.chance(f.Forged) {
		l.deliver(ctx, KindForged, e, bytes.Replace(e.Body, []byte(`"state"`), []byte(`"forged":true,"state"`), 1))
	}
	if l.chance(f.Unreadable) {
		l.deliver(ctx, KindUnreadable, e, fmt.Appendf(nil, `{"id":%q,"data":{"id":`, e.ID))
	}
	l.deliver(ctx, KindEvent, e, e.Body)
	if l.chance(f.Duplicates) {
		l.deliver(ctx, KindDuplicate, e, e.Body)
	}
}

// deliver posts a body until it is answered well, refused or given up, and writes it down.
func (l *lane) deliver(ctx context.Context, kind Kind, e Event, body []byte) {
	entry := Entry{
		Target: l.target.name, Kind: kind, EventID: e.ID, Interaction: e.Interaction, Sequence: e.Sequence, BodySHA256: bodyHash(body),
		Outcome: Unfinished,
	}
	defer func() { l.sim.ledger.add(entry) }()
	for n := 0; ctx.Err() == nil; n++ {
		subscription, key, active := l.target.now()
		if !active {
			return
		}
		last := n >= subscription.RetryPolicy.MaxRetries
		attempt, outcome := l.post(ctx, subscription.TargetURL, l.signature(kind, key, e, body), body)
		if outcome != "" && attempt.Status < 300 && !last && l.chance(l.sim.currentFaults().LostAnswers) {
			attempt.Ignored, outcome = true, ""
		}
		entry.Attempts = append(entry.Attempts, attempt)
		switch {
		case outcome != "":
			entry.Outcome = outcome
			return
		case ctx.Err() != nil:
			return
		case last:
			entry.Outcome = GivenUp
			said := l.sim.log.WithField("target", l.target.name)
			if attempt.Status > 0 {
				said = said.WithField("status", attempt.Status)
			} else {
				said = said.WithField("error", attempt.Error)
			}
			said.Warn("a delivery is given up for good: it is lost")
			return
		}
		wait := l.sim.options.RetryBase
		if subscription.RetryPolicy.BackoffType != "FIXED" {
			wait <<= n
		}
		sleep(ctx, wait)
	}
}

// signature is the sender's, but for what is forged, and what was cut off after it was signed.
func (l *lane) signature(kind Kind, key string, e Event, body []byte) string {
	switch kind {
	case KindForged:
		return genesys.Sign("nobody's key", body)
	case KindTruncated:
		return genesys.Sign(key, e.Body)
	}
	return genesys.Sign(key, body)
}

// post makes one attempt. The outcome is "" if it shall be made again.
func (l *lane) post(ctx context.Context, url, signature string, body []byte) (Attempt, Outcome) {
	attempt := Attempt{At: time.Now().UTC()}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		attempt.Error = err.Error()
		return attempt, Refused
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Genesys-Signature", signature)
	r.Header.Set("X-Genesys-Event-ID", fmt.Sprintf("%016x", rand.Uint64()))
	r.Header.Set("X-Genesys-Event-Type", "interaction")
	response, err := l.sim.client.Do(r)
	if err != nil {
		attempt.Error = err.Error()
		return attempt, ""
	}
	defer response.Body.Close() // only read
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	attempt.Status = response.StatusCode
	switch {
	case err != nil:
		attempt.Error = err.Error()
		return attempt, ""
	case response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests:
		return attempt, ""
	case response.StatusCode >= 300:
		return attempt, Refused
	}
	return attempt, told(answer)
}

// told is what the receiver says that it did. Another receiver than genmesh says nothing: accepted.
func told(answer []byte) Outcome {
	var said struct {
		Status Outcome `json:"status"`
	}
	_ = json.Unmarshal(answer, &said)
	if said.Status == Known || said.Status == Quarantined {
		return said.Status
	}
	return Accepted
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
