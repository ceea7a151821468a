package keyring

import (
	"context"
	"math/rand/v2"
	"time"
)

// Run fetches the keys at once and then every quarter of an hour, looks at the local ones every few
// seconds, and forgets previous keys when their time is over, until ctx ends. Deliveries can be
// verified before and after.
func (k *Keyring) Run(ctx context.Context) error {
	defer k.close()
	look := time.NewTicker(localInterval)
	defer look.Stop()
	fetch := time.NewTimer(0)
	defer fetch.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			k.Refresh()
		case <-fetch.C:
			if k.options.Fetch == nil {
				continue
			}
			if err := k.fetch(ctx); err != nil {
				failures++
			} else {
				failures = 0
			}
			fetch.Reset(nextFetch(failures))
		}
	}
}

// nextFetch is sooner after failures. The jitter keeps many processes from asking at once.
func nextFetch(failures int) time.Duration {
	wait := fetchInterval
	if failures > 0 {
		wait = min(firstFetchRetry<<min(failures-1, 10), fetchInterval)
	}
	return wait - wait/10 + rand.N(wait/5)
}

// fetch waits for a fetch, one that is under way or another.
func (k *Keyring) fetch(ctx context.Context) error {
	k.mu.Lock()
	f := k.flight
	if f == nil {
		f = k.begin(time.Now())
	}
	k.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return nil
	}
}

// Refresh looks at the local keys now.
func (k *Keyring) Refresh() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refresh(time.Now())
}

// close lets no more fetches begin and waits for the one that is under way.
func (k *Keyring) close() {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	k.flights.Wait()
}
