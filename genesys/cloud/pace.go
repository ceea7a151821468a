package cloud

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// pace keeps the calls of a client below the API's rate limit, which it tells on every answer: how
// many calls there were (inin-ratelimit-count), how many there may be (-allowed), and the seconds
// until it counts anew (-reset). A 429 says in Retry-After when to come again.
type pace struct {
	mu    sync.Mutex
	until time.Time // no call before
}

const (
	maxWait     = 2 * time.Minute
	defaultWait = 10 * time.Second // after a 429 that says nothing
	// spare is the part of the allowed calls, one in so many, that is left for others who use the
	// same OAuth client.
	spare = 10
)

var errTooLong = errors.New("the rate limit asks for a longer wait than there is time")

// wait waits for the next call's turn. If there is not enough time left, it says so at once.
func (p *pace) wait(ctx context.Context) error {
	for {
		p.mu.Lock()
		wait := time.Until(p.until)
		p.mu.Unlock()
		if wait <= 0 {
			return ctx.Err()
		}
		if end, ok := ctx.Deadline(); ok && time.Until(end) < wait {
			return errTooLong
		}
		// Afterwards it looks again: another call may have learned that it takes longer.
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// learn reads an answer's headers.
func (p *pace) learn(r *http.Response) {
	var wait time.Duration
	if r.StatusCode == http.StatusTooManyRequests {
		wait = retryAfter(r.Header)
	} else {
		count, _ := strconv.Atoi(r.Header.Get("inin-ratelimit-count"))
		allowed, _ := strconv.Atoi(r.Header.Get("inin-ratelimit-allowed"))
		reset, _ := strconv.Atoi(r.Header.Get("inin-ratelimit-reset"))
		if allowed > 0 && count >= allowed-allowed/spare {
			wait = time.Duration(reset) * time.Second
		}
	}
	if wait <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := time.Now().Add(min(wait, maxWait)); until.After(p.until) {
		p.until = until
	}
}

// retryAfter is in seconds or a date (RFC 9110, 10.2.3).
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return defaultWait
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
