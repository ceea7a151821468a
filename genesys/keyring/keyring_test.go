package keyring_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/genesys/keyring"
)

var verification = genesys.Verification{Header: "X-Genesys-Signature"}

// service is a key service.
type service struct {
	mu    sync.Mutex
	keys  []string
	err   error
	delay time.Duration
	asked atomic.Int64
}

func (s *service) set(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys, s.err = keys, nil
}

func (s *service) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *service) fetch(ctx context.Context) ([]string, error) {
	s.asked.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.delay > 0 {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.keys, s.err
}

type ring struct {
	*keyring.Keyring
	t   *testing.T
	log *strings.Builder
}

func newRing(t *testing.T, o keyring.Options) *ring {
	t.Helper()
	log := logrus.New()
	r := &ring{t: t, log: new(strings.Builder)}
	log.SetOutput(r.log)
	o.Source, o.Logger = "genesys", log
	o.Verifier = func(keys []string) (*genesys.Verifier, error) { return genesys.NewVerifier(verification, keys) }
	k, err := keyring.New(o)
	require.NoError(t, err)
	r.Keyring = k
	return r
}

// run runs the keyring until the returned function is called.
func (r *ring) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		assert.NoError(r.t, <-done)
	}
}

// pass lets time pass, and everybody do what they do then.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func signed(key string) *genesys.Delivery {
	body := []byte(`{"id":"1"}`)
	return &genesys.Delivery{
		Header: http.Header{"X-Genesys-Signature": {genesys.Sign(key, body)}}, Body: body, Received: time.Now(),
	}
}

func (r *ring) verify(key string) error { return r.Verify(context.Background(), signed(key)) }

func (r *ring) refuses(key string) {
	r.t.Helper()
	assert.ErrorIs(r.t, r.verify(key), genesys.ErrSignatureMismatch)
}

func (r *ring) comesAgain(key string) time.Duration {
	r.t.Helper()
	u, ok := errors.AsType[*keyring.Unconfirmed](r.verify(key))
	require.True(r.t, ok)
	return u.RetryAfter()
}

func TestRotationThatNobodyAnnouncedLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"old"}, delay: 100 * time.Millisecond}
		r := newRing(t, keyring.Options{Fetch: s.fetch, Overlap: time.Hour})
		defer r.run()()
		pass(time.Second)
		require.NoError(t, r.verify("old"))
		require.Equal(t, int64(1), s.asked.Load())

		s.set("new")
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				key := "new"
				if i%3 == 0 {
					key = "old" // sent before the rotation
				}
				assert.NoError(t, r.verify(key))
			})
		}
		all.Wait()
		assert.Equal(t, int64(2), s.asked.Load(), "one look for all of them")
		assert.Equal(t, 1, r.State().Current)
		assert.Equal(t, 1, r.State().Previous)

		pass(time.Hour + time.Minute)
		assert.Zero(t, r.State().Previous, "its time is over")
		r.refuses("old")
		assert.NoError(t, r.verify("new"))
	})
}

func TestForgeriesDontReachTheKeyService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"good"}}
		registry := prometheus.NewRegistry()
		r := newRing(t, keyring.Options{Fetch: s.fetch, Metrics: keyring.NewMetrics(registry)})
		defer r.run()()
		for i := range 10_000 {
			err := r.verify(fmt.Sprintf("forger %d", i))
			require.Error(t, err)
			if i == 0 {
				require.ErrorIs(t, err, genesys.ErrSignatureMismatch, "looked up since it came: it is forged")
			}
		}
		assert.Equal(t, int64(2), s.asked.Load(), "at the start, and for the first forgery")
		assert.Equal(t, time.Minute, r.comesAgain("forger"))
		assert.NoError(t, r.verify("good"), "who has the key is not kept waiting")

		s.set("rotated") // just after a forgery: the worst time
		assert.LessOrEqual(t, r.comesAgain("rotated"), time.Minute)
		pass(time.Minute)
		assert.NoError(t, r.verify("rotated"), "it was asked to come again, so it is not lost")
		assert.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
			# HELP genmesh_ingress_key_unconfirmed_total Deliveries that no known key signed and that were asked to come again, for the keys could not be looked at.
			# TYPE genmesh_ingress_key_unconfirmed_total counter
			genmesh_ingress_key_unconfirmed_total{source="genesys"} 10001
		`), "genmesh_ingress_key_unconfirmed_total"))
	})
}

func TestOutageOfTheKeyServiceTurnsNothingAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"known"}}
		r := newRing(t, keyring.Options{Fetch: s.fetch, Overlap: time.Minute})
		defer r.run()()
		for name, trouble := range map[string]func(){
			"away":           func() { s.fail(errors.New("connection refused")) },
			"without a key":  func() { s.set() },
			"a blank key":    func() { s.set("known", " ") },
			"many keys":      func() { s.set(strings.Split(strings.Repeat("x,", 40), ",")...) },
			"without an end": func() { s.set("known"); s.mu.Lock(); s.delay = time.Hour; s.mu.Unlock() },
		} {
			trouble()
			pass(time.Hour)
			assert.NoError(t, r.verify("known"), name)
			assert.Error(t, r.State().Failure, name)
			assert.Positive(t, r.comesAgain("unknown"), name)
		}
		assert.NotContains(t, r.log.String(), "known\"")
	})
}

func TestLyingKeyServiceDoesNotEvictTheGoodKeyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"good"}}
		r := newRing(t, keyring.Options{Fetch: s.fetch, Overlap: 24 * time.Hour})
		defer r.run()()
		s.set("a lie")
		pass(time.Hour)
		assert.NoError(t, r.verify("good"))
		s.set("good")
		pass(time.Hour)
		assert.Equal(t, 1, r.State().Current)
		pass(48 * time.Hour)
		assert.NoError(t, r.verify("good"))
		r.refuses("a lie")
	})
}

func TestKeysOfAFileAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := &service{keys: []string{"first"}}
		r := newRing(t, keyring.Options{Overlap: time.Minute, Local: func() ([]string, error) { return file.fetch(t.Context()) }})
		defer r.run()()
		r.refuses("second")
		file.set("second", "first")
		pass(2 * time.Second)
		assert.NoError(t, r.verify("second"), "a bad signature looks at the file at once")
		file.set("second")
		pass(10 * time.Second)
		assert.NoError(t, r.verify("first"), "it overlaps")
		file.fail(errors.New("permission denied"))
		pass(2 * time.Minute)
		r.refuses("first")
		assert.NoError(t, r.verify("second"), "a file that can't be read changes nothing")
		assert.Equal(t, 1, strings.Count(r.log.String(), "permission denied"), "told once")
	})
}

func TestKeysOfBothOriginsAreGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"fetched"}}
		r := newRing(t, keyring.Options{Fetch: s.fetch, Local: func() ([]string, error) { return []string{"local"}, nil }})
		require.NoError(t, r.verify("local"), "before the first fetch")
		require.NoError(t, r.verify("fetched"), "fetched for it")
		assert.Equal(t, 2, r.State().Current)
	})
}

func TestWithoutOverlapAKeyEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"leaked"}}
		r := newRing(t, keyring.Options{Fetch: s.fetch})
		defer r.run()()
		s.set("new")
		pass(time.Hour)
		r.refuses("leaked")
	})
}

func TestEndInMidFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"key"}, delay: time.Hour}
		r := newRing(t, keyring.Options{Fetch: s.fetch})
		stop := r.run()
		waiting := make(chan error, 1)
		go func() { waiting <- r.verify("key") }()
		synctest.Wait()
		stop()
		_, ok := errors.AsType[*keyring.Unconfirmed](<-waiting)
		assert.True(t, ok)
		assert.Positive(t, r.comesAgain("key"))
	})
}

func TestDeliveriesThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"key"}, delay: time.Second}
		r := newRing(t, keyring.Options{Fetch: s.fetch})
		var again, good atomic.Int64
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if r.verify("key") == nil {
					good.Add(1)
				} else {
					again.Add(1)
				}
			})
		}
		all.Wait()
		assert.Equal(t, int64(256), good.Load())
		assert.Equal(t, int64(744), again.Load())
	})
}

func TestKeyringNeedsAnOrigin(t *testing.T) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	for name, o := range map[string]keyring.Options{
		"none":       {},
		"unreadable": {Local: func() ([]string, error) { return nil, errors.New("not set") }},
		"blank":      {Local: func() ([]string, error) { return []string{" "}, nil }},
	} {
		o.Logger = log
		o.Verifier = func(keys []string) (*genesys.Verifier, error) { return genesys.NewVerifier(verification, keys) }
		_, err := keyring.New(o)
		assert.Error(t, err, name)
	}
}

func TestKeysNeverShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"correct-horse"}}
		r := newRing(t, keyring.Options{Fetch: s.fetch, Overlap: time.Second})
		defer r.run()()
		s.set("battery-staple")
		pass(time.Hour)
		s.set("correct-horse", "battery-staple")
		pass(time.Hour)
		text := r.log.String() + fmt.Sprintf("%+v", r.State())
		assert.Contains(t, text, "new key")
		assert.NotContains(t, text, "horse")
		assert.NotContains(t, text, "staple")
	})
}

// BenchmarkVerify is what a keyring adds to its verifier.
func BenchmarkVerify(b *testing.B) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	k, err := keyring.New(keyring.Options{
		Logger: log, Local: func() ([]string, error) { return []string{"key"}, nil },
		Verifier: func(keys []string) (*genesys.Verifier, error) { return genesys.NewVerifier(verification, keys) },
	})
	require.NoError(b, err)
	bare, err := genesys.NewVerifier(verification, []string{"key"})
	require.NoError(b, err)
	d := signed("key")
	for name, v := range map[string]interface {
		Verify(context.Context, *genesys.Delivery) error
	}{"bare": bare, "keyring": k} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := v.Verify(b.Context(), d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestManyRotationsEndNoCurrentKey: a local key stays, whatever the key service does.
func TestManyRotationsEndNoCurrentKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"key 0"}}
		r := newRing(t, keyring.Options{Local: func() ([]string, error) { return []string{"local"}, nil }, Fetch: s.fetch, Overlap: 24 * time.Hour})
		defer r.run()()
		for n := range 30 {
			s.set(fmt.Sprintf("key %d", n))
			pass(20 * time.Minute)
			require.NoError(t, r.verify("local"))
			require.NoError(t, r.verify(fmt.Sprintf("key %d", n)))
		}
		assert.Equal(t, 2, r.State().Current)
		assert.Equal(t, 16, r.State().Previous, "what is kept is bounded")
		require.NoError(t, r.verify("key 20"))
		r.refuses("key 2")
		assert.Contains(t, r.log.String(), "more than 16 keys")
	})
}

// TestKeysSurviveAReloadWhileTheServiceIsAway: another keyring comes in the place of the first.
func TestKeysSurviveAReloadWhileTheServiceIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"fetched"}}
		local := func(keys ...string) func() ([]string, error) { return func() ([]string, error) { return keys, nil } }
		first := newRing(t, keyring.Options{Local: local("local"), Fetch: s.fetch, Overlap: time.Hour})
		stop := first.run()
		pass(time.Second)
		stop()
		s.fail(errors.New("away"))

		same := newRing(t, keyring.Options{Local: local("other"), Fetch: s.fetch, Overlap: 2 * time.Hour})
		same.TakeOver(first.Keyring, false, true)
		require.NoError(t, same.verify("fetched"))
		require.NoError(t, same.verify("other"))
		same.comesAgain("local") // its reference was taken out
		assert.False(t, same.State().Fetched.IsZero())

		other := newRing(t, keyring.Options{Local: local("local"), Fetch: s.fetch, Overlap: time.Hour})
		other.TakeOver(first.Keyring, true, false)
		require.NoError(t, other.verify("local"))
		other.comesAgain("fetched") // the subscription is another
	})
}

// TestForgeryJustBeforeARotation: it has used up the fetch of this minute, and still the busy sender is
// not turned away until it gives up.
func TestForgeryJustBeforeARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{keys: []string{"old"}}
		r := newRing(t, keyring.Options{Fetch: s.fetch, Overlap: time.Hour})
		defer r.run()()
		pass(time.Minute)
		busy := func(key string, d time.Duration) {
			for began := time.Now(); time.Since(began) < d; pass(50 * time.Millisecond) {
				_ = r.verify(key)
			}
		}
		busy("old", 10*time.Second)
		r.refuses("forged")
		require.Equal(t, int64(2), s.asked.Load(), "at the start, and for the forgery")
		busy("old", 5*time.Second)
		s.set("new")
		busy("new", 3*time.Second)
		require.NoError(t, r.verify("new"))
		assert.Equal(t, int64(3), s.asked.Load())
		s.set("newer") // and once more, in the same minute
		busy("new", time.Second)
		busy("newer", 3*time.Second)
		require.NoError(t, r.verify("newer"))

		// A sender that has nothing to send lets nobody fetch as often as they like.
		asked := s.asked.Load()
		for range 600 {
			_ = r.verify("forged")
			pass(time.Second)
		}
		assert.LessOrEqual(t, s.asked.Load()-asked, int64(11), "ten minutes of forgeries")
	})
}

// TestKeyThatIsInTheFileAlready is taken, whenever a forger made us look at the file last.
func TestKeyThatIsInTheFileAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int64
		var key atomic.Value
		key.Store("old")
		r := newRing(t, keyring.Options{Local: func() ([]string, error) { reads.Add(1); return []string{key.Load().(string)}, nil }, Overlap: time.Hour})
		r.refuses("forged")
		key.Store("new")
		require.NoError(t, r.verify("new"), "in the next moment")
		reads.Store(0)
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { r.refuses("forged") })
		}
		all.Wait()
		assert.LessOrEqual(t, reads.Load(), int64(2), "those that come at one time share a look")
	})
}
