package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// flight is one fetch that is under way, or was.
type flight struct {
	began time.Time
	done  chan struct{}
	err   error
}

// join waits in line for the fetch that is under way, or begins one if that may be.
func (k *Keyring) join() (*flight, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if k.waiting >= maxWaiting {
		return nil, &Unconfirmed{after: retryInterval, cause: k.state.Failure}
	}
	if k.flight == nil {
		wait := minFetchInterval - now.Sub(k.asked)
		if k.good.hasStopped(now, k.asked) {
			wait = 0
		}
		if wait > 0 || k.closed {
			return nil, &Unconfirmed{after: min(max(wait, retryInterval), k.good.silence()), cause: k.state.Failure}
		}
		k.asked = now
		k.begin(now)
	}
	k.waiting++
	return k.flight, nil
}

func (k *Keyring) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting--
}

// begin starts a fetch; the caller holds the lock. It goes on when those leave who wait for it.
func (k *Keyring) begin(now time.Time) *flight {
	f := &flight{began: now, done: make(chan struct{})}
	k.flight = f
	k.flights.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		keys, err := k.options.Fetch(ctx)
		if err == nil {
			err = k.checkKeys(keys)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		f.err = k.land(keys, err, time.Now())
		k.flight = nil
		close(f.done)
	})
	return f
}

// checkKeys refuses what can't be the keys of a source: better to keep what is known.
func (k *Keyring) checkKeys(keys []string) error {
	switch {
	case len(keys) == 0:
		return errors.New("the key service answers without a key")
	case len(keys) > maxKeys:
		return fmt.Errorf("the key service answers with %d keys; at most %d are believed", len(keys), maxKeys)
	case slices.ContainsFunc(keys, func(key string) bool { return strings.TrimSpace(key) == "" }):
		return errors.New("the key service answers with a blank key")
	case slices.ContainsFunc(keys, func(key string) bool { return len(key) > maxKeyBytes }):
		return fmt.Errorf("the key service answers with a key of more than %d bytes", maxKeyBytes)
	}
	_, err := k.options.Verifier(keys)
	return err
}

// land takes over what a fetch brought; the caller holds the lock.
func (k *Keyring) land(keys []string, err error, now time.Time) error {
	before := k.state
	k.state.Failure = err
	if err != nil {
		k.options.Metrics.fetched(k.options.Source, "failed")
		if before.Failure == nil {
			k.log.WithError(err).Warn(k.withoutService())
		}
		return err
	}
	if before.Failure != nil {
		k.log.Info("the keys can be fetched again")
	}
	outcome := "unchanged"
	if !sameKeys(keys, k.fetched) {
		outcome = "changed"
	}
	k.options.Metrics.fetched(k.options.Source, outcome)
	k.fetched, k.state.Fetched = keys, now
	return k.merge(now)
}

// withoutService says what it means that the keys can't be fetched.
func (k *Keyring) withoutService() string {
	if len(k.known) == 0 {
		return "the keys can't be fetched and none is known: deliveries are asked to come again until they can"
	}
	return "the keys can't be fetched; those that are known stay valid"
}
