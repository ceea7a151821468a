package access

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// The delays that failed attempts cause. They double from a second to a minute, so that nobody is locked out for good, and are forgotten after a
// quarter of an hour without an attempt.
const (
	firstDelay  = time.Second
	lastDelay   = time.Minute
	forgetAfter = 15 * time.Minute
	// maxRemembered bounds each kind of what is remembered; the one that was used last longest ago is forgotten first.
	maxRemembered = 10_000
	// How many failures are free: of an account from one address, of an address, and of an account from all addresses.
	freeOfPair, freeOfAddress, freeOfAccount = 3, 10, 30
)

// throttle slows guessing down. An attempt counts as failed before it is made, so that many at once are no way around it. Unknown names are
// throttled as known ones are.
//
// Somebody who guesses at an account from many addresses makes that account slow for all addresses but those from which it has been signed in
// to lately: so they can't keep its owner out.
type throttle struct {
	now func() time.Time

	mu                         sync.Mutex
	pairs, addresses, accounts *delays
	known                      *simplelru.LRU[throttleKey, struct{}] // pairs that have succeeded
}

func newThrottle(now func() time.Time) *throttle {
	known, _ := simplelru.NewLRU[throttleKey, struct{}](maxRemembered, nil) // fails only for a size below 1
	return &throttle{
		now: now, pairs: newDelays(freeOfPair), addresses: newDelays(freeOfAddress), accounts: newDelays(freeOfAccount), known: known,
	}
}

// throttleKey is a hash, so that what is remembered has one size whatever is tried.
type throttleKey = [sha256.Size]byte

// attempt is one that was begun.
type attempt struct {
	throttle               *throttle
	pair, address, account throttleKey
	named                  bool
}

// begin begins an attempt, or tells how long to wait for one. Without a name only the address counts.
func (t *throttle) begin(from netip.Addr, name string) (*attempt, time.Duration) {
	address := network(from)
	a := &attempt{
		throttle: t, named: name != "",
		address: sha256.Sum256([]byte(address)),
		account: sha256.Sum256([]byte(name)),
		pair:    sha256.Sum256([]byte(address + "\x00" + name)),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	wait := t.addresses.wait(a.address, now)
	if a.named {
		wait = max(wait, t.pairs.wait(a.pair, now))
		if !t.known.Contains(a.pair) {
			wait = max(wait, t.accounts.wait(a.account, now))
		}
	}
	if wait > 0 {
		return nil, wait
	}
	t.addresses.add(a.address, now, 1)
	if a.named {
		t.pairs.add(a.pair, now, 1)
		t.accounts.add(a.account, now, 1)
	}
	return a, 0
}

// succeeded takes the attempt back, and what was tried of the account from there before. Other accounts' failures from there stay counted.
func (a *attempt) succeeded() {
	a.withdraw()
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	if a.named {
		a.throttle.pairs.byKey.Remove(a.pair)
		a.throttle.known.Add(a.pair, struct{}{})
	}
}

// withdraw is for an attempt that was not made after all.
func (a *attempt) withdraw() {
	t := a.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.addresses.add(a.address, now, -1)
	if a.named {
		t.pairs.add(a.pair, now, -1)
		t.accounts.add(a.account, now, -1)
	}
}

// network is what one party surely has of the address space: an IPv6 host has 2^64 addresses.
func network(from netip.Addr) string {
	if !from.Is6() {
		return from.String()
	}
	prefix, _ := from.Prefix(64) // fails only for more bits than there are
	return prefix.String()
}

// delays counts failures of one kind.
type delays struct {
	free  int
	byKey *simplelru.LRU[throttleKey, failures]
}

type failures struct {
	count int
	last  time.Time
}

func newDelays(free int) *delays {
	byKey, _ := simplelru.NewLRU[throttleKey, failures](maxRemembered, nil) // fails only for a size below 1
	return &delays{free: free, byKey: byKey}
}

func (d *delays) wait(key throttleKey, now time.Time) time.Duration {
	f := d.get(key, now)
	if f.count < d.free {
		return 0
	}
	delay := lastDelay
	if doublings := f.count - d.free; doublings < 6 {
		delay = min(firstDelay<<doublings, lastDelay)
	}
	return max(f.last.Add(delay).Sub(now), 0)
}

func (d *delays) add(key throttleKey, now time.Time, n int) {
	f := d.get(key, now)
	if n > 0 {
		f.last = now
	}
	if f.count += n; f.count <= 0 {
		d.byKey.Remove(key)
		return
	}
	d.byKey.Add(key, f)
}

func (d *delays) get(key throttleKey, now time.Time) failures {
	f, ok := d.byKey.Get(key)
	if !ok || now.Sub(f.last) > forgetAfter {
		return failures{}
	}
	return f
}
