package forward

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// limit is what a target says of how much more it takes.
type limit struct {
	remaining int
	reset     time.Duration // until it is renewed
}

const (
	// Limits beyond these are taken for garbage.
	maxRemaining = 1_000_000_000
	maxReset     = 24 * time.Hour
	// maxLimitBytes bounds a structured header that is parsed.
	maxLimitBytes = 1024
)

// limitOf reads the target's limit from the first of its headers that makes sense: the pairs that
// are common in the wild, RateLimit (draft-ietf-httpapi-ratelimit-headers), and those of Genesys
// Cloud (https://developer.genesys.cloud/platform/api/rate-limits), which count what was used.
func limitOf(h http.Header, now time.Time) (limit, bool) {
	for _, prefix := range [...]string{"X-Rate-Limit-", "X-Ratelimit-", "Ratelimit-"} {
		if l, ok := newLimit(h.Get(prefix+"Remaining"), h.Get(prefix+"Reset"), now); ok {
			return l, true
		}
	}
	if l, ok := structuredLimit(h.Values("Ratelimit")); ok {
		return l, true
	}
	return genesysLimit(h, now)
}

func newLimit(remaining, reset string, now time.Time) (limit, bool) {
	n, err := strconv.ParseInt(remaining, 10, 64)
	if err != nil {
		return limit{}, false
	}
	wait, ok := parseReset(reset, now, 2*maxReset)
	return saneLimit(n, wait, ok)
}

func saneLimit(remaining int64, reset time.Duration, ok bool) (limit, bool) {
	if !ok || remaining < 0 || remaining > maxRemaining || reset <= 0 || reset > maxReset {
		return limit{}, false
	}
	return limit{int(remaining), reset}, true
}

// genesysLimit reads what was used of what is allowed until the reset. More than allowed may be
// used: then nothing remains.
func genesysLimit(h http.Header, now time.Time) (limit, bool) {
	used, err := strconv.ParseInt(h.Get("Inin-Ratelimit-Count"), 10, 64)
	allowed, err2 := strconv.ParseInt(h.Get("Inin-Ratelimit-Allowed"), 10, 64)
	if err != nil || err2 != nil || used < 0 || allowed <= 0 {
		return limit{}, false
	}
	reset, ok := parseReset(h.Get(genesysReset), now, 2*maxReset)
	return saneLimit(max(0, allowed-used), reset, ok)
}

const genesysReset = "Inin-Ratelimit-Reset"

// structuredLimit reads RateLimit as the drafts up to 07 have it (a dictionary: "limit=100,
// remaining=50, reset=30") and as those after it do (a list: "default";r=50;t=30). Both are
// RFC 9651.
func structuredLimit(values []string) (limit, bool) {
	if len(values) == 0 || len(strings.Join(values, ",")) > maxLimitBytes {
		return limit{}, false
	}
	if l, ok := dictionaryLimit(values); ok {
		return l, true
	}
	return listLimit(values)
}

func dictionaryLimit(values []string) (limit, bool) {
	members, err := httpsfv.UnmarshalDictionary(values)
	if err != nil {
		return limit{}, false
	}
	value := func(name string) any {
		member, _ := members.Get(name)
		item, _ := member.(httpsfv.Item)
		return item.Value
	}
	return secondsLimit(value("remaining"), value("reset"))
}

// listLimit chooses, of several policies, the one that lets the least through per time.
func listLimit(values []string) (tightest limit, ok bool) {
	policies, err := httpsfv.UnmarshalList(values)
	if err != nil {
		return limit{}, false
	}
	for _, member := range policies {
		policy, isItem := member.(httpsfv.Item)
		if !isItem || policy.Params == nil {
			continue
		}
		remaining, _ := policy.Params.Get("r")
		reset, _ := policy.Params.Get("t")
		if l, sane := secondsLimit(remaining, reset); sane && (!ok || l.rate() < tightest.rate()) {
			tightest, ok = l, true
		}
	}
	return tightest, ok
}

func (l limit) rate() float64 { return float64(l.remaining) / l.reset.Seconds() }

// secondsLimit takes values that are integers, the reset in seconds.
func secondsLimit(remaining, reset any) (limit, bool) {
	n, ok := remaining.(int64)
	seconds, ok2 := reset.(int64)
	if !ok || !ok2 {
		return limit{}, false
	}
	wait, ok := boundedWait(seconds, time.Second, 2*maxReset)
	return saneLimit(n, wait, ok)
}
