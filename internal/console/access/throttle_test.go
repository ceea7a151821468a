package access

import (
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGuessingBecomesSlow(t *testing.T) {
	s := open(t, accessFile(t, people()))
	client := s.browser(t)
	for range freeOfPair {
		require.Equal(t, http.StatusUnauthorized, s.form(t, client, "ann", "wrong wrong wrong", "/").status)
	}
	got := s.form(t, client, "ann", annPassword, "/")
	assert.Equal(t, http.StatusTooManyRequests, got.status, "even the right password is not looked at")
	assert.Equal(t, "1", got.header.Get("Retry-After"))
	assert.Contains(t, got.body, `role="alert"`)
	basic := s.ask(t, client, http.MethodGet, "/", "", "Authorization", basicAuth("ann", annPassword))
	assert.Equal(t, http.StatusTooManyRequests, basic.status, "nor by the other way in")
	assert.Equal(t, "1", basic.header.Get("Retry-After"))
	assert.Equal(t, http.StatusSeeOther, s.form(t, s.browser(t), "bob", bobPassword, "/").status, "others from there are let in")

	s.clock.pass(time.Second)
	require.Equal(t, http.StatusSeeOther, s.form(t, client, "ann", annPassword, "/").status)
	for range freeOfPair {
		require.Equal(t, http.StatusUnauthorized, s.form(t, client, "ann", "wrong wrong wrong", "/").status, "a success forgives what was before")
	}
}

func TestDelaysDoubleUpToAMinuteAndAreForgotten(t *testing.T) {
	now := &clock{at: time.Now()}
	guesses := newThrottle(now.now)
	from := netip.MustParseAddr("203.0.113.5")
	var waits []time.Duration
	for range freeOfPair + 8 {
		_, wait := guesses.begin(from, "ann")
		waits = append(waits, wait)
		now.pass(wait)
		if wait > 0 {
			_, wait = guesses.begin(from, "ann")
			assert.Zero(t, wait, "after the wait there is another attempt")
		}
	}
	second := time.Second
	assert.Equal(t, []time.Duration{0, 0, 0, second, 2 * second, 4 * second, 8 * second, 16 * second, 32 * second, time.Minute, time.Minute}, waits)
	_, wait := guesses.begin(from, "ann")
	assert.Equal(t, time.Minute, wait)
	now.pass(forgetAfter + second)
	_, wait = guesses.begin(from, "ann")
	assert.Zero(t, wait)
}

// TestManyAttemptsAtOnceAreNoWayAroundTheDelay: each counts before it is known to fail.
func TestManyAttemptsAtOnceAreNoWayAroundTheDelay(t *testing.T) {
	s := open(t, accessFile(t, people()))
	var checked, refused int
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 20 {
		client := s.browser(t)
		all.Go(func() {
			got := s.form(t, client, "ann", "wrong wrong wrong", "/")
			mu.Lock()
			defer mu.Unlock()
			if got.status == http.StatusUnauthorized {
				checked++
			} else {
				refused++
			}
		})
	}
	all.Wait()
	assert.Equal(t, freeOfPair, checked)
	assert.Equal(t, 20-freeOfPair, refused)
}

// TestNobodyLocksAnAdminOut: an account that is guessed at from everywhere stays open from where its owner has been.
func TestNobodyLocksAnAdminOut(t *testing.T) {
	now := &clock{at: time.Now()}
	guesses := newThrottle(now.now)
	home, elsewhere := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	owner, _ := guesses.begin(home, "ann")
	owner.succeeded()
	throttled := 0
	for i := range 200 {
		if _, wait := guesses.begin(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), "ann"); wait > 0 {
			throttled++
		}
	}
	assert.Equal(t, 200-freeOfAccount, throttled, "the guesses are slowed down from wherever they come")
	_, wait := guesses.begin(elsewhere, "ann")
	assert.Positive(t, wait)
	assert.LessOrEqual(t, wait, lastDelay)
	_, wait = guesses.begin(home, "ann")
	assert.Zero(t, wait)
	_, wait = guesses.begin(elsewhere, "bob")
	assert.Zero(t, wait, "other accounts are not concerned")
}

// TestOneAddressThatTriesManyNamesIsSlowedDown, and a /64 of IPv6 is one address.
func TestOneAddressThatTriesManyNamesIsSlowedDown(t *testing.T) {
	for _, address := range []func(i int) netip.Addr{
		func(int) netip.Addr { return netip.MustParseAddr("203.0.113.5") },
		func(i int) netip.Addr { return netip.MustParseAddr("2001:db8:1:2::" + strconv.Itoa(i)) },
	} {
		guesses := newThrottle((&clock{at: time.Now()}).now)
		for i := range freeOfAddress {
			_, wait := guesses.begin(address(i), "user"+strconv.Itoa(i))
			require.Zero(t, wait)
		}
		_, wait := guesses.begin(address(77), "another")
		assert.Positive(t, wait)
	}
	guesses := newThrottle((&clock{at: time.Now()}).now)
	for range freeOfAddress + 1 {
		_, wait := guesses.begin(netip.MustParseAddr("2001:db8:1:2::1"), "")
		_ = wait
	}
	_, wait := guesses.begin(netip.MustParseAddr("2001:db8:1:3::1"), "")
	assert.Zero(t, wait, "the neighbour is another one")
}

func TestTheThrottleTakesAFixedAmountOfMemory(t *testing.T) {
	guesses := newThrottle((&clock{at: time.Now()}).now)
	for i := range 3 * maxRemembered {
		_, _ = guesses.begin(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), "user"+strconv.Itoa(i))
	}
	for _, kind := range []*delays{guesses.pairs, guesses.addresses, guesses.accounts} {
		assert.Equal(t, maxRemembered, kind.byKey.Len())
	}
}

// TestAScraperWithAPasswordCostsOneHashAMinute: without a free slot for hashing, it is still let in.
func TestAScraperWithAPasswordCostsOneHashAMinute(t *testing.T) {
	s := open(t, accessFile(t, people()))
	scrape := func(name, password string) answer {
		return s.ask(t, s.browser(t), http.MethodGet, "/metrics", "", "Authorization", basicAuth(name, password))
	}
	assert.Equal(t, http.StatusOK, scrape("ann", annPassword).status)
	s.guard.hashing.waiting.Store(maxWaiting + hashSlots) // as if so many were waiting
	assert.Equal(t, http.StatusOK, scrape("ann", annPassword).status)
	busy := scrape("bob", bobPassword)
	assert.Equal(t, http.StatusServiceUnavailable, busy.status)
	assert.Equal(t, "5", busy.header.Get("Retry-After"))
	assert.Equal(t, http.StatusServiceUnavailable, scrape("ann", "wrong wrong wrong").status, "another password is none that was right")
	s.clock.pass(basicsLast)
	assert.Equal(t, http.StatusServiceUnavailable, scrape("ann", annPassword).status, "after a minute it is checked again")
	s.guard.hashing.waiting.Store(0)
	for range freeOfPair {
		assert.Equal(t, http.StatusOK, scrape("ann", annPassword).status)
	}
	assert.EqualValues(t, 3, s.logins(t, resultBusy))
}

// TestPasswordsAreCheckedTwoAtATime: more wait for a few seconds, and are told to come again.
func TestPasswordsAreCheckedTwoAtATime(t *testing.T) {
	s := open(t, accessFile(t, people()))
	require.True(t, s.guard.hashing.slots.TryAcquire(hashSlots))
	done := make(chan answer, 1)
	client := s.browser(t)
	go func() { done <- s.form(t, client, "ann", annPassword, "/") }()
	require.Eventually(t, func() bool { return s.guard.hashing.waiting.Load() == 1 }, 10*time.Second, time.Millisecond)
	s.guard.hashing.slots.Release(hashSlots)
	assert.Equal(t, http.StatusSeeOther, (<-done).status)
	assert.Zero(t, s.guard.hashing.waiting.Load())
}
