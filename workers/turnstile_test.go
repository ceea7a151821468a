package workers

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func paced(edit func(*mesh.Subscriber)) *turnstile {
	s := mesh.Subscriber{
		Name: "crm", MaxInFlight: 4, Backoff: defaultBackoff(),
		Breaker: mesh.Breaker{Failures: 3, For: mesh.Duration(2 * time.Second)},
	}
	if edit != nil {
		edit(&s)
	}
	return newTurnstile(s, newBreaker(s, func(mesh.BreakerState) {}))
}

func enters(t *testing.T, ts *turnstile) (probes bool) {
	t.Helper()
	probes, ok := ts.enter(t.Context(), t.Context(), turn{})
	require.True(t, ok)
	return probes
}

func TestTurnstileWaitsForTheLongestHintAndForItsOwnBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := paced(nil)
		began := time.Now()
		passedAfter := func() time.Duration {
			enters(t, ts)
			ts.leave(false)
			return time.Since(began)
		}
		assert.Zero(t, passedAfter())

		ts.asksForAir(5 * time.Second)
		_, news := ts.asksForAir(3 * time.Second)
		assert.False(t, news, "calls that were under way together tell one thing")
		assert.Equal(t, 5*time.Second, passedAfter())

		ts.asksForAir(24 * time.Hour)
		assert.Equal(t, 5*time.Second+maxHint, passedAfter())

		ts.taken(time.Now())
		for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second,
			32 * time.Second, time.Minute, time.Minute} {
			began = time.Now()
			ts.asksForAir(0)
			ts.asksForAir(0)
			assert.Equal(t, want, passedAfter())
		}
	})
}

func TestTurnstileThatIsShutLetsGoOfAnEndingRunner(t *testing.T) {
	ts := paced(nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok := ts.enter(ended, t.Context(), turn{})
	assert.True(t, ok, "an open way is no wait")
	ts.leave(false)
	ts.asksForAir(time.Hour)
	_, ok = ts.enter(ended, t.Context(), turn{})
	assert.False(t, ok)
}

func TestRateIsKeptAndSharedByProcesses(t *testing.T) {
	for portion, want := range map[float64]time.Duration{1: 9 * time.Second, 0.5: 19 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ts := paced(func(s *mesh.Subscriber) { s.RateLimit, s.Burst = mesh.Rate{Events: 10, Per: time.Second}, 10 })
			ts.share(portion)
			began := time.Now()
			for range 100 {
				enters(t, ts)
				ts.leave(false)
			}
			assert.InDelta(t, want.Seconds(), time.Since(began).Seconds(), 1)
		})
	}
}

// A target with a limit of its own: 100 requests in ten seconds. It says how many are left, and is
// never driven into refusing.
func TestSubscriberSlowsDownBeforeTheTargetsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := paced(nil)
		const limit, window = 100, 10 * time.Second
		used, ends := 0, time.Now().Add(window)
		began := time.Now()
		for range 5 * limit {
			enters(t, ts)
			if !time.Now().Before(ends) {
				used, ends = 0, time.Now().Add(window)
			}
			used++
			require.LessOrEqual(t, used, limit, "after %s", time.Since(began))
			ts.noteLimit(limit-used, time.Until(ends))
			ts.leave(false)
			time.Sleep(10 * time.Millisecond)
		}
		assert.Less(t, time.Since(began), 6*window, "the limit is used, too")
	})
}

// More calls at once than the target takes in a window: only the first one can go wrong, for nobody knew.
func TestManyCallsAtOnceStayWithinTheTargetsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := paced(func(s *mesh.Subscriber) { s.MaxInFlight = 32 })
		const limit, window = 30, 10 * time.Second
		var mu sync.Mutex
		used, ends, windows, over := 0, time.Now().Add(window), 0, 0
		began := time.Now()
		var calls sync.WaitGroup
		for range 10 * limit {
			calls.Go(func() {
				enters(t, ts)
				mu.Lock()
				if !time.Now().Before(ends) {
					used, ends, windows = 0, time.Now().Add(window), windows+1
				}
				if used++; used > limit && windows > 0 {
					over++
				}
				left, reset := max(limit-used, 0), time.Until(ends)
				mu.Unlock()
				time.Sleep(20 * time.Millisecond)
				ts.noteLimit(left, reset)
				ts.leave(false)
			})
		}
		calls.Wait()
		assert.Zero(t, over)
		assert.Less(t, time.Since(began), 14*window, "the limit is used, too")
	})
}

func TestOlderEventsComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		require.True(t, s.take(t.Context(), false, 1))
		var order []uint64
		for _, age := range []uint64{30, 10, 20, 40} {
			go func() {
				s.take(t.Context(), false, age)
				order = append(order, age)
				s.free(false)
			}()
		}
		synctest.Wait()
		s.free(false)
		synctest.Wait()
		assert.Equal(t, []uint64{10, 20, 30, 40}, order)
	})
}

func TestPauseShutsAndResumeOpensAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := paced(nil)
		began := time.Now()
		ts.pause(mesh.Pause{Since: began})
		go func() {
			time.Sleep(90 * time.Minute)
			ts.pause(mesh.Pause{})
		}()
		enters(t, ts)
		assert.Equal(t, 90*time.Minute, time.Since(began))
		ts.leave(false)
		ts.pause(mesh.Pause{Since: time.Now(), Until: time.Now().Add(time.Minute)})
		enters(t, ts)
		assert.Equal(t, 91*time.Minute, time.Since(began), "a pause with an end ends by itself")
	})
}

var errDown = errors.New("down")

func TestBreakerOpensAfterSustainedFailureAndProbesWithOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []mesh.BreakerState
		s := mesh.Subscriber{
			Name: "crm", MaxInFlight: 4, Backoff: defaultBackoff(),
			Breaker: mesh.Breaker{Failures: 3, For: mesh.Duration(2 * time.Second)},
		}
		ts := newTurnstile(s, newBreaker(s, func(b mesh.BreakerState) { told = append(told, b) }))
		for range 10 { // at once: no sustained failure
			assert.False(t, enters(t, ts))
			assert.True(t, ts.breaker.failed(false, errDown))
			ts.leave(false)
		}
		assert.Empty(t, told)
		time.Sleep(2 * time.Second)
		enters(t, ts)
		assert.True(t, ts.breaker.failed(false, errDown), "what opens it counts")
		ts.leave(false)
		require.Len(t, told, 1)
		assert.True(t, told[0].Open)

		// Ten events wait; one at a time tries, after 1, 2, 4, 8 s.
		began, tries := time.Now(), []time.Duration{}
		done := make(chan struct{})
		for range 10 {
			go func() {
				for {
					probes, ok := ts.enter(t.Context(), t.Context(), turn{})
					if !ok {
						return
					}
					if !probes {
						ts.leave(false)
						done <- struct{}{}
						return
					}
					tries = append(tries, time.Since(began))
					time.Sleep(100 * time.Millisecond)
					well := len(tries) == 5
					ts.leave(false)
					if well {
						ts.breaker.answered()
						done <- struct{}{}
						return
					}
					assert.False(t, ts.breaker.failed(true, errDown), "a probe spends no attempt")
				}
			}()
		}
		for range 10 {
			<-done
		}
		want := []time.Duration{1000, 3100, 7200, 15300, 31400}
		require.Len(t, tries, len(want))
		for i := range want {
			assert.Equal(t, want[i]*time.Millisecond, tries[i])
		}
		assert.False(t, told[len(told)-1].Open)
		assert.Equal(t, 31500*time.Millisecond, time.Since(began), "all go on once one was taken")
	})
}

func TestBreakerStaysOpenOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := mesh.BreakerState{Open: true, Since: time.Now().Add(-time.Hour), Until: time.Now().Add(20 * time.Second), Probes: 5}
		ts := paced(nil)
		ts.breaker.restore(before)
		began := time.Now()
		assert.True(t, enters(t, ts))
		assert.Equal(t, 20*time.Second, time.Since(began))
		ts.breaker.failed(true, errDown)
		ts.leave(false)
		assert.True(t, enters(t, ts))
		assert.Equal(t, 80*time.Second, time.Since(began), "the waits go on growing: 2^6 s, at most a minute")
	})
}

func TestDisabledBreakerNeverOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := paced(func(s *mesh.Subscriber) { s.Breaker.Disabled = true })
		for range 100 {
			enters(t, ts)
			ts.breaker.failed(false, errDown)
			ts.leave(false)
			time.Sleep(time.Second)
		}
		assert.False(t, ts.breaker.open)
	})
}

func TestLiveEventsComeBeforeReplays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(4)
		for range 4 {
			require.True(t, s.take(t.Context(), false, 0))
		}
		var order []string
		for range 2 {
			go func() {
				s.take(t.Context(), true, 0)
				order = append(order, "replay")
			}()
		}
		synctest.Wait()
		for range 3 {
			go func() {
				s.take(t.Context(), false, 0)
				order = append(order, "live")
			}()
		}
		synctest.Wait()
		for range 4 {
			s.free(false)
			synctest.Wait()
		}
		assert.Equal(t, []string{"live", "live", "live", "replay"}, order)
		assert.Equal(t, 4, s.taken)
		s.free(false)
		synctest.Wait()
		assert.Equal(t, 3, s.taken, "replays have a quarter of the slots, whatever is free")
		s.free(true)
		synctest.Wait()
		assert.Equal(t, 3, s.taken)
	})
}

func TestWhoLeavesTheQueueTakesNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(1)
		require.True(t, s.take(t.Context(), false, 0))
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan bool)
		go func() { left <- s.take(ctx, false, 0) }()
		synctest.Wait()
		cancel()
		require.False(t, <-left)
		s.free(false)
		assert.Zero(t, s.taken)
	})
}

// Thirty-two events wait for a target that asks for air again and again. Each time one of them finds out whether it has
// some, and not all; when it has, all of them are under way again soon.
func TestTargetThatAsksForAirIsNotMetByAVolley(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := paced(func(s *mesh.Subscriber) { s.MaxInFlight = 32 })
		well := time.Now().Add(10 * time.Second)
		var mu sync.Mutex
		refused, atOnce, most := 0, 0, 0
		call := func() {
			mu.Lock()
			atOnce++
			most = max(most, atOnce)
			mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			atOnce--
			isWell := !time.Now().Before(well)
			if !isWell {
				refused++
			}
			mu.Unlock()
			if isWell {
				ts.taken(time.Now())
			} else {
				ts.asksForAir(3 * time.Second)
			}
		}
		ts.asksForAir(3 * time.Second)
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				for range 20 {
					enters(t, ts)
					call()
					ts.leave(false)
				}
			})
		}
		all.Wait()
		assert.LessOrEqual(t, refused, 3, "one for each wait")
		assert.Equal(t, 32, most, "in the end they all go at once")
	})
}
