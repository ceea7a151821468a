package workers

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/genmesh/genmesh/mesh"
)

// turnstile lets a subscriber's attempts through, in this process: not while the subscriber is
// paused, its target asks for air or its breaker is open, not faster than its rate, and not more at
// once than there are slots. What waits here spends no attempt.
type turnstile struct {
	slots   *slots
	breaker *breaker

	mu sync.Mutex
	// changed is closed, and made anew, when something that was shut may have opened.
	changed chan struct{}
	backoff mesh.Backoff
	until   time.Time // the target asks for air until then
	waits   int       // in a row, without a hint how long
	took    time.Time // when the latest of those calls began
	paused  mesh.Pause

	// The rate is the configured one, as far as it is this process' share, or what the target's own
	// word on its limit leaves, whichever is lower.
	limiter *rate.Limiter
	rate    mesh.Rate
	burst   int
	portion float64
	hint    rate.Limit // Inf where there is none
	flying  int        // attempts under way
	own     window
}

// window is what a target said of its own limit: so many more requests until it ends.
type window struct {
	left    int
	ends    time.Time
	most    int           // the highest count left that was told lately: about the limit
	length  time.Duration // the longest time to its end that was told lately
	guessed bool          // the target has said nothing since it began
}

// maxHint bounds how long a target's own hint can make its subscriber wait.
const maxHint = 15 * time.Minute

func newTurnstile(s mesh.Subscriber, breaker *breaker) *turnstile {
	t := &turnstile{
		slots: newSlots(s.MaxInFlight), breaker: breaker, changed: make(chan struct{}), backoff: s.Backoff,
		limiter: rate.NewLimiter(rate.Inf, 1), rate: s.RateLimit, burst: max(s.Burst, 1), portion: 1, hint: rate.Inf,
	}
	breaker.changed = t.open
	t.setRate(time.Now())
	return t
}

// open tells those who wait to look again.
func (t *turnstile) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.changed)
	t.changed = make(chan struct{})
}

// turn is whose turn it is: how old the event is, whether it is a replay that has to give way, and the rate
// of that, or nil.
type turn struct {
	age    uint64
	replay bool
	rate   *rate.Limiter
}

// enter waits for the turn of an attempt and takes a slot, which leave gives back; replays wait until
// no live event does. false means that leaving has ended while the way was shut, or starting at all. probes is
// true if the attempt is the one that finds out whether the target is well again.
func (t *turnstile) enter(leaving, starting context.Context, at turn) (probes, ok bool) {
	for starting.Err() == nil {
		if !t.pass(leaving) {
			return false, false
		}
		if at.rate != nil && !t.awaitToken(leaving, at.rate) { // before the slot: who waits for long must not hold one
			return false, false
		}
		if !t.slots.take(starting, at.replay, at.age) {
			return false, false
		}
		if probes, ok := t.admit(leaving); ok {
			return probes, true
		}
		t.slots.free(at.replay)
		if leaving.Err() != nil {
			return false, false
		}
	}
	return false, false
}

// pass waits until nothing is shut.
func (t *turnstile) pass(leaving context.Context) bool {
	for {
		wait, changed := t.shutFor(time.Now())
		if wait <= 0 {
			return true
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-leaving.Done():
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}

// forever stands for a wait whose end is not known.
const forever = 24 * time.Hour

// shutFor is how long the way is shut, and what ends that earlier.
func (t *turnstile) shutFor(now time.Time) (time.Duration, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := max(t.until.Sub(now), t.breaker.shutFor(now))
	if t.paused.Holds(now) {
		pause := forever
		if !t.paused.Until.IsZero() {
			pause = t.paused.Until.Sub(now)
		}
		wait = max(wait, pause)
	}
	return wait, t.changed
}

// admit is the last look of who has a slot: the way may have been shut while it waited for that.
func (t *turnstile) admit(leaving context.Context) (probes, ok bool) {
	if wait, _ := t.shutFor(time.Now()); wait > 0 {
		return false, false
	}
	t.renewRate(time.Now())
	if !t.awaitToken(leaving, t.limiter) {
		return false, false
	}
	if wait, _ := t.shutFor(time.Now()); wait > 0 {
		return false, false
	}
	if probes, ok = t.breaker.admit(time.Now()); ok && !t.depart(time.Now()) {
		t.breaker.gaveUp(probes)
		return false, false
	}
	return probes, ok
}

// depart counts an attempt that begins; false means that the target takes no more until its window ends.
func (t *turnstile) depart(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Before(t.own.ends) {
		if t.own.left <= 0 {
			t.shutUntil(t.own.ends)
			return false
		}
		t.own.left--
	}
	t.flying++
	return true
}

func (t *turnstile) shutUntil(at time.Time) {
	if at.After(t.until) {
		t.until = at
	}
}

// longestToken is how long a token is waited for before the limiter is asked again: its limit may have been
// raised meanwhile, and a reservation would not notice.
const longestToken = 100 * time.Millisecond

// awaitToken waits until the limiter lets an attempt through; false means that leaving has ended first.
func (t *turnstile) awaitToken(leaving context.Context, limiter *rate.Limiter) bool {
	for {
		now := time.Now()
		limit := limiter.Limit()
		if limit == rate.Inf || limiter.AllowN(now, 1) {
			return true
		}
		missing := max(1-limiter.TokensAt(now), 0) / float64(limit)
		wait := longestToken
		if missing < longestToken.Seconds() {
			wait = max(time.Duration(missing*float64(time.Second)), time.Millisecond)
		}
		if !sleep(leaving, wait) {
			return false
		}
		t.renewRate(time.Now())
	}
}

// leave gives the slot back.
func (t *turnstile) leave(replay bool) {
	t.mu.Lock()
	t.flying--
	t.mu.Unlock()
	t.slots.free(replay)
}

// asksForAir shuts the way for the hint, or for the backoff if there is none. It reports how long,
// and false if it was shut already: calls that were under way together tell one thing.
func (t *turnstile) asksForAir(hint time.Duration) (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	wasShut := now.Before(t.until)
	if !wasShut {
		t.waits++
	}
	wait := min(hint, maxHint)
	if hint <= 0 {
		wait = delayBefore(t.backoff, t.waits)
	}
	t.shutUntil(now.Add(wait))
	t.slots.narrow()
	return wait, !wasShut
}

// taken notes that the target took an event, or refused one, in a call that began then: it asks for no air.
func (t *turnstile) taken(began time.Time) {
	t.mu.Lock()
	t.waits = 0
	if began.After(t.took) {
		t.took = began
	}
	t.mu.Unlock()
	t.slots.widen()
}

// justTook is how long ago a call may have begun that was answered for what the target does to another event to be that one's own fault.
const justTook = time.Second

// tookSince reports whether the target has answered a call that began after a moment, and whether it did so just now.
func (t *turnstile) tookSince(moment time.Time) (since, lately bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.took.After(moment), time.Since(t.took) < justTook
}

// pause shuts the way as an operator says; the zero Pause opens it.
func (t *turnstile) pause(p mesh.Pause) {
	t.mu.Lock()
	t.paused = p
	t.mu.Unlock()
	t.open()
}

// share sets which part of the subscriber's rate is this process' own.
func (t *turnstile) share(portion float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if portion > 0 && portion != t.portion { // without any there is nothing to pace
		t.portion = portion
		t.setRate(time.Now())
	}
}

// setRate sets the limiter to what goes now; the caller holds the lock, or is the only one.
func (t *turnstile) setRate(now time.Time) {
	limit, burst := rate.Inf, t.burst
	if t.rate.Events > 0 {
		limit = rate.Limit(t.rate.PerSecond() * t.portion)
		burst = max(int(math.Ceil(float64(t.burst)*t.portion)), 1)
	}
	if t.hint < limit {
		limit, burst = t.hint, 1
	}
	if t.limiter.Limit() != limit {
		t.limiter.SetLimitAt(now, limit)
	}
	if t.limiter.Burst() != burst {
		t.limiter.SetBurstAt(now, burst)
	}
}

// renewRate begins the target's next window when one has ended: with as much as the last one had, as far as
// was seen, until the target says otherwise. One that it said nothing in is the last.
func (t *turnstile) renewRate(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch w := &t.own; {
	case w.ends.IsZero() || now.Before(w.ends):
		return
	case w.guessed:
		*w = window{}
	default:
		w.left, w.ends, w.guessed = max(w.most-t.flying, 1), now.Add(w.length), true
	}
	t.spread(now)
}

// lowShare is the part of its limit below which a target's word on the requests left slows the subscriber down.
const lowShare = 5

// sameWindow is how far apart two words on the end of one window may be, besides a tenth of it.
const sameWindow = 50 * time.Millisecond

// noteLimit hears what the target says of its own limit: so many more requests until reset has passed.
// Far from the limit that changes nothing; near it, what is left is spread over the time, so that
// the limit is never reached.
func (t *turnstile) noteLimit(remaining int, reset time.Duration) {
	now := time.Now()
	reset = min(max(reset, time.Millisecond), maxHint)
	t.mu.Lock()
	defer t.mu.Unlock()
	w := &t.own
	ends := now.Add(reset)
	// Answers come out of order: in the same window the lowest word counts.
	same := !w.guessed && now.Before(w.ends) && ends.Sub(w.ends).Abs() < w.length/10+sameWindow
	w.most, w.length, w.guessed = max(w.most, remaining+1), max(w.length, reset), false
	// What is under way besides the one that brought the answer was not counted yet, maybe.
	left := remaining - max(t.flying-1, 0)
	if same {
		left = min(left, w.left)
	}
	w.left, w.ends = left, ends
	if w.left <= 0 && remaining == 0 {
		t.shutUntil(w.ends)
	}
	t.spread(now)
}

// spread sets how fast what is left may go; the caller holds the lock.
func (t *turnstile) spread(now time.Time) {
	w := &t.own
	t.hint = rate.Inf
	if now.Before(w.ends) && w.left <= max(w.most/lowShare, 2*t.slots.size()) {
		t.hint = rate.Limit(float64(max(w.left, 1)) / w.ends.Sub(now).Seconds())
	}
	t.setRate(now)
}
