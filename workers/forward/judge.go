package forward

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/genmesh/genmesh/workers"
)

// judge turns an answer into the error that decides what becomes of the event.
func (t *Target) judge(resp *http.Response, answer []byte, now time.Time) error {
	status := resp.StatusCode
	if status >= 200 && status < 300 {
		return nil
	}
	failure := &workers.Failure{Status: status, Answer: answer, Err: t.complaint(resp)}
	wait, asked := waitHint(resp.Header, now)
	switch {
	case status == http.StatusTooManyRequests && !asked:
		return workers.RetryAfter(renewal(resp.Header, now), failure)
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && asked:
		return workers.RetryAfter(wait, failure)
	case status == http.StatusProxyAuthRequired && t.egress.proxy != nil:
		return (&proxyRefusal{status}).fate(t.host)
	case status == http.StatusUnauthorized && t.authorization.shows():
		return workers.Unusable(fmt.Errorf("%w: check auth of the subscriber's target", failure))
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status >= 500 && status < 600:
		return failure
	}
	return workers.Permanent(failure)
}

// complaint says what the target answered, and for a redirect where to: the host alone, for the
// rest of a Location may hold a secret.
func (t *Target) complaint(resp *http.Response) error {
	said := strings.TrimSpace(fmt.Sprintf("%s answered %d %s", t.host, resp.StatusCode, http.StatusText(resp.StatusCode)))
	if resp.StatusCode/100 != 3 {
		return fmt.Errorf("%s", said)
	}
	host := "an unknown place"
	if to, err := url.Parse(resp.Header.Get("Location")); err == nil && to.Host != "" {
		host = strconv.QuoteToASCII(fmt.Sprintf("%.100s", to.Host))
	} else if err == nil && to.Path != "" {
		host = "itself"
	}
	return fmt.Errorf("%s, a redirect to %s: redirects are not followed, set the target's url to the final address", said, host)
}

// maxWait bounds how long a target can make its subscriber wait with one answer.
const maxWait = 15 * time.Minute

// waitHint is how long the target asks to be left alone, at most maxWait: Retry-After, else one
// of the rate-limit headers. It reports false if there is no hint that makes sense: one that is
// garbage, negative or already past.
func waitHint(h http.Header, now time.Time) (time.Duration, bool) {
	if wait, ok := parseRetryAfter(h.Get("Retry-After"), now); ok {
		return wait, true
	}
	for _, name := range [...]string{"X-Rate-Limit-Reset", "X-RateLimit-Reset", "RateLimit-Reset"} {
		if wait, ok := parseReset(h.Get(name), now, maxWait); ok {
			return wait, true
		}
	}
	return 0, false
}

// renewal is when the target's limit is renewed by headers that mean a wait with a 429 alone, for
// they come with every answer; 0 if it does not say.
func renewal(h http.Header, now time.Time) time.Duration {
	if wait, ok := parseReset(h.Get(genesysReset), now, maxWait); ok {
		return wait
	}
	l, _ := limitOf(h, now)
	return min(l.reset, maxWait)
}

// parseRetryAfter reads seconds or an HTTP date (RFC 9110, section 10.2.3).
func parseRetryAfter(s string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return boundedWait(seconds, time.Second, maxWait)
	}
	at, err := http.ParseTime(s)
	if err != nil {
		return 0, false
	}
	return boundedWait(int64(at.Sub(now)), time.Nanosecond, maxWait)
}

// parseReset reads what X-Rate-Limit-Reset means in the wild: epoch milliseconds, epoch seconds
// or seconds from now, told apart by their size. It is at most most.
func parseReset(s string, now time.Time, most time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil:
		return 0, false
	case n > 1e12:
		return boundedWait(n-now.UnixMilli(), time.Millisecond, most)
	case n > 1e9:
		return boundedWait(n*1000-now.UnixMilli(), time.Millisecond, most)
	}
	return boundedWait(n, time.Second, most)
}

// boundedWait is n units, at most most, for a positive n.
func boundedWait(n int64, unit, most time.Duration) (time.Duration, bool) {
	if n <= 0 {
		return 0, false
	}
	if n > int64(most/unit) {
		return most, true
	}
	return time.Duration(n) * unit, true
}
