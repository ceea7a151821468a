package workers

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
)

// CrewOptions is what a Crew needs.
type CrewOptions struct {
	JetStream jetstream.JetStream
	// Hosts is true in the process that runs the embedded server: whoever hosted its data before is
	// gone, and what it served need not wait for its lease to end.
	Hosts bool
	// Lease is after how long without a sign of life from a process its consumers go to others; the
	// process itself stops at three quarters of it. Default 6 s.
	Lease  time.Duration
	Logger logrus.FieldLogger
}

var errNoState = errors.New("the state bucket is not open")

const (
	defaultCrewLease = 6 * time.Second
	// lookInterval is how often the server's consumers are looked at.
	lookInterval = 2 * time.Second
	crewRetry    = time.Second
)

// Crew is this process among the worker processes of a mesh. It settles who serves which consumer:
// one that keeps the order is served by one process at a time, and the processes share them evenly;
// one that is shared by all is served by every process.
//
// A consumer is claimed in the state bucket (mesh.StateBucket) by compare-and-set, and a claim holds while its
// process gives a sign of life there, once in a sixth of the lease. Nobody's clock is compared with another's: each
// process measures by its own how long it has heard nothing of another, and when its own last sign
// of life was taken. A process that could give none for three quarters of the lease stops calling
// targets at once; a process that was frozen looks at that before each call.
type Crew struct {
	CrewOptions
	id      string
	machine string
	log     logrus.FieldLogger
	// receipts are shared by all runners, and the round trips with them.
	receipts receipts

	mu        sync.Mutex
	state     *mesh.State        // nil until it was opened
	kv        jetstream.KeyValue // of the same bucket
	born      time.Time          // since when the bucket was not purged, by the server's clock; zero if that can't be told
	runners   map[string]*Runner // by subscriber
	members   map[string]*member
	claims    map[string]holding // by unit
	units     map[string]*unit
	pauses    map[string]mesh.Pause
	breakers  map[string]mesh.BreakerState
	waits     map[string]bool // subscribers of which the bucket says that they wait
	isCurrent bool            // what is known of the bucket is all that is in it
	serverNow time.Time       // the server's time of our last sign of life
	revision  uint64          // of our newest sign of life that was taken
	sent      time.Time       // when that was sent
	watched   time.Time       // when the watch began

	began time.Time
	// beaten is when our last sign of life was sent that came back through the watch, since began; 0 before the
	// first. Every attempt looks at it, so it needs no lock.
	beaten atomic.Int64

	changed chan struct{}
	looks   chan struct{}
	serving sync.WaitGroup
}

// NewCrew makes a Crew; Run starts it.
func NewCrew(o CrewOptions) *Crew {
	o.Lease = cmp.Or(o.Lease, defaultCrewLease)
	return &Crew{
		CrewOptions: o, id: newMemberID(), machine: machine(), began: time.Now(), log: o.Logger.WithField("component", "crew"),
		receipts: &roundTrips{js: o.JetStream},
		runners:  map[string]*Runner{}, members: map[string]*member{}, claims: map[string]holding{}, units: map[string]*unit{},
		pauses: map[string]mesh.Pause{}, breakers: map[string]mesh.BreakerState{}, waits: map[string]bool{},
		changed: make(chan struct{}, 1), looks: make(chan struct{}, 1),
	}
}

// newMemberID names a process: where it runs, for people, and a random part that makes it one.
func newMemberID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	raw := make([]byte, 6)
	_, _ = rand.Read(raw) // never fails
	return fmt.Sprintf("%s-%d-%s", mesh.Token(strings.ReplaceAll(host, ".", "-")), os.Getpid(), hex.EncodeToString(raw))
}

// Run takes part until ctx ends. The runners that use the crew have to end before.
func (c *Crew) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	parts.Go(func() { c.look(ctx) })
	parts.Go(func() { c.guard(ctx) })
	defer parts.Wait()
	var last string
	for ctx.Err() == nil {
		err := c.take(ctx)
		if err != nil && ctx.Err() == nil && err.Error() != last {
			c.log.WithError(err).Warn("who serves what can't be settled with the other processes; trying again until it can")
			last = err.Error()
		}
		sleep(ctx, min(crewRetry, c.Lease/12))
	}
	c.serving.Wait()
	c.resign()
	return nil
}

// take follows the state bucket until that fails.
func (c *Crew) take(ctx context.Context) error {
	state, err := mesh.OpenState(ctx, c.JetStream)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return fmt.Errorf("%w (genmesh apply makes it)", err)
	}
	if err != nil {
		return err
	}
	kv := state.KeyValue()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watcher, err := kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watch the state bucket: %w", err)
	}
	defer watcher.Stop() //nolint:errcheck // the server forgets it anyway
	c.mu.Lock()
	c.state, c.kv, c.born, c.isCurrent, c.watched = state, kv, time.Time{}, false, time.Now()
	c.claims = map[string]holding{} // the bucket may be another one
	c.mu.Unlock()
	var beating sync.WaitGroup
	defer beating.Wait()
	defer cancel()
	beating.Go(func() { c.beat(ctx, kv, cancel) })
	settle := time.NewTicker(c.Lease / 12)
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, open := <-watcher.Updates():
			if !open {
				return errors.New("the watch of the state bucket ended")
			}
			if c.noteAll(entry, watcher.Updates()) {
				c.settle(ctx)
			}
		case <-c.changed:
			c.settle(ctx)
		case <-settle.C:
			c.settle(ctx)
		}
	}
}

// noteAll takes in an entry and those that came with it, so that many need one look at what follows. It reports whether anything follows
// from them at once.
func (c *Crew) noteAll(entry jetstream.KeyValueEntry, more <-chan jetstream.KeyValueEntry) (follows bool) {
	for {
		c.note(entry)
		follows = follows || entry == nil || !strings.HasPrefix(entry.Key(), memberKeys)
		open := false
		select {
		case entry, open = <-more:
		default:
		}
		if !open {
			return follows
		}
	}
}

// note takes in what the bucket says of a key. A nil entry means that everything was told.
func (c *Crew) note(entry jetstream.KeyValueEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry == nil {
		c.isCurrent = true
		return
	}
	gone := entry.Operation() != jetstream.KeyValuePut
	kind, name, _ := strings.Cut(entry.Key(), ".")
	switch kind + "." {
	case memberKeys:
		c.noteMember(name, entry, gone)
	case claimKeys:
		c.noteClaim(name, entry, gone)
	case mesh.BornKey + ".":
		c.born = entry.Created()
		if gone {
			c.born = time.Time{}
		}
	case mesh.PauseKeys:
		c.pauses[name] = parsedState[mesh.Pause](entry, gone)
		if r := c.runners[name]; r != nil {
			r.turnstile.pause(c.pauses[name])
		}
	case mesh.WaitKeys:
		if r := c.runners[name]; r != nil && !gone {
			r.standing.heard()
		}
		c.waits[name] = !gone
	case mesh.BreakerKeys:
		c.breakers[name] = parsedState[mesh.BreakerState](entry, gone)
	}
}

// parsedState is the entry's value; what is gone or can't be read is nothing.
func parsedState[T any](entry jetstream.KeyValueEntry, gone bool) T {
	var value T
	if !gone && json.Unmarshal(entry.Value(), &value) != nil {
		var none T
		return none
	}
	return value
}

// wake makes the crew look again at what is to be done.
func (c *Crew) wake() { signal(c.changed) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// attach adds a runner, whose consumers are served from now on.
func (c *Crew) attach(r *Runner) {
	c.mu.Lock()
	c.runners[r.Subscriber.Name] = r
	r.turnstile.pause(c.pauses[r.Subscriber.Name])
	if c.waits[r.Subscriber.Name] {
		r.standing.heard()
	}
	c.mu.Unlock()
	signal(c.looks)
}

// detach takes a runner away and returns once none of its consumers is served here.
func (c *Crew) detach(r *Runner) {
	c.mu.Lock()
	delete(c.runners, r.Subscriber.Name)
	var ended []<-chan struct{}
	for _, u := range c.units {
		if u.binding != nil && u.binding.r == r {
			u.binding.leave(r.Grace)
			ended = append(ended, u.binding.ended)
		}
	}
	c.mu.Unlock()
	for _, done := range ended {
		<-done
	}
}

// settle does what follows from what is known: consumers that are to be served here are claimed and
// served, others let go.
func (c *Crew) settle(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isCurrent || !c.isAlive() {
		return
	}
	for _, u := range c.units {
		r := c.runners[u.served.Subscriber]
		switch {
		case u.binding != nil || u.claiming:
			c.review(u)
		case r == nil:
			c.disown(u)
		case u.served.Shared:
			c.serve(r, u, handover{})
		case c.isOurs(u):
			u.claiming = true
			seen, handed := c.claims[u.key()].revision, c.handed(u)
			c.serving.Go(func() { c.claim(ctx, u, seen, handed) })
		}
	}
	c.divide()
	for name, r := range c.runners {
		r.metrics.serves(c.servedHere(name))
	}
}

// disown lets a consumer go that is claimed for a subscriber that is not served here any more, as when NATS was away when that
// ended. The caller holds the lock.
func (c *Crew) disown(u *unit) {
	if c.claims[u.key()].owner != c.id {
		return
	}
	u.claiming = true
	handed := c.handed(u)
	c.serving.Go(func() {
		c.release(u, handed)
		c.mu.Lock()
		defer c.mu.Unlock()
		u.claiming = false
		if u.gone {
			c.forgetUnit(u)
		}
	})
}

func (c *Crew) servedHere(subscriber string) int {
	n := 0
	for _, u := range c.units {
		if u.binding != nil && u.served.Subscriber == subscriber {
			n++
		}
	}
	return n
}

// review lets go of a consumer that another process should serve, or does already.
func (c *Crew) review(u *unit) {
	if u.binding == nil || u.served.Shared {
		return
	}
	owner := c.claims[u.key()].owner
	switch {
	case owner == "" && u.binding.leaving.Err() == nil:
		u.binding.fence("our claim is gone from the state bucket, which somebody deleted or purged")
	case owner != "" && owner != c.id:
		u.binding.fence("process " + owner + " took it over")
	case time.Now().Before(u.kept):
	case c.preferred(u) != c.id:
		u.binding.leave(handoverGrace)
	}
}

// drop ends the service of a consumer that is no more.
func (c *Crew) drop(u *unit) {
	switch {
	case u.binding == nil:
	case u.served.Replay != nil: // it was ended
		u.binding.leave(0)
	default:
		u.binding.leave(u.binding.r.Grace)
	}
}

// serve starts the service of a consumer; the caller holds the lock.
func (c *Crew) serve(r *Runner, u *unit, handed handover) {
	b := newBinding(c, r, u, handed)
	u.binding = b
	c.divide()
	// Whoever served the consumer before may have left it with an open breaker.
	r.turnstile.breaker.restore(c.breakers[r.Subscriber.Name])
	r.metrics.breaker(r.turnstile.breaker.isOpen())
	c.serving.Go(func() {
		b.run()
		c.left(u, b)
	})
}

// left notes that a consumer is no longer served here.
func (c *Crew) left(u *unit, b *binding) {
	if c.endsService(b) {
		b.r.idle()
	}
	switch {
	case b.shared:
	case b.isFenced():
		kept := b.handover()
		c.mu.Lock()
		u.own = &kept
		c.mu.Unlock()
	default:
		c.release(u, b.handover())
	}
	c.mu.Lock()
	u.binding, u.free = nil, time.Now()
	gone := u.gone
	if gone {
		c.forgetUnit(u)
	}
	c.mu.Unlock()
	if gone && !b.shared {
		c.purgeClaim(u.key())
	}
	b.r.forgetLag(b)
	close(b.ended)
	c.wake()
}

// replayShare is the part of its subscriber's rate that a process has that serves only replays.
const replayShare = 0.1

// endsService notes that a binding serves no more, and reports whether nothing else of its subscriber is served here. Of several that
// end at a time, the one that is noted last is told so.
func (c *Crew) endsService(b *binding) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.over = true
	for _, u := range c.units {
		if u.binding != nil && !u.binding.over && u.binding.r == b.r {
			return false
		}
	}
	return true
}

// divide tells each runner which share of its subscriber's rate is its own.
func (c *Crew) divide() {
	shares, replays := map[string]float64{}, map[string]bool{}
	for _, u := range c.units {
		name := u.served.Subscriber
		switch {
		case u.binding == nil:
		case u.binding.isReplay:
			replays[name] = true
		case u.served.Shared:
			shares[name] += 1 / float64(max(len(c.serversOf(name)), 1))
		default:
			shares[name] += 1 / float64(u.served.Of)
		}
	}
	for name, r := range c.runners {
		if shares[name] == 0 && replays[name] {
			shares[name] = replayShare
		}
		r.turnstile.share(shares[name])
	}
}
