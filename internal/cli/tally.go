package cli

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"
)

// tally counts answers. It keeps counts and no answers, however many there are.
type tally struct {
	keep bool // the answers themselves: there are one or two

	mu         sync.Mutex
	sums       sendSummary
	latency    latencies
	firstError string
}

// sendSummary is what genmesh send -o json prints.
type sendSummary struct {
	Requests    int `json:"requests"`
	Resent      int `json:"resent"`
	Accepted    int `json:"accepted"`
	Duplicate   int `json:"duplicate"`
	Quarantined int `json:"quarantined"`
	// Refused were answered, but not with what the sender may take for stored.
	Refused int `json:"refused"`
	// Failed were not answered.
	Failed  int          `json:"failed"`
	Seconds float64      `json:"seconds"`
	P50     float64      `json:"p50_ms"`
	P99     float64      `json:"p99_ms"`
	Seed    uint64       `json:"seed"`
	Answers []sendAnswer `json:"answers,omitempty"`
}

type sendAnswer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

func newTally(keep bool) *tally { return &tally{keep: keep} }

func (t *tally) count(a answer, resent bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sums.Requests++
	if resent {
		t.sums.Resent++
	}
	if a.err != nil {
		t.sums.Failed++
		t.noteError(a.err.Error())
		return
	}
	t.latency.add(a.took)
	if t.keep {
		t.sums.Answers = append(t.sums.Answers, sendAnswer{a.status, strings.TrimSpace(a.body)})
	}
	switch status := gjson.Get(a.body, "status").String(); {
	case a.status/100 != 2:
		t.sums.Refused++
		t.noteError(fmt.Sprintf("%d %s %s", a.status, http.StatusText(a.status), short(strings.TrimSpace(a.body), 200)))
	case status == "quarantined":
		t.sums.Quarantined++
	case status == "duplicate" || a.status == http.StatusOK:
		t.sums.Duplicate++
	default:
		t.sums.Accepted++
	}
}

func (t *tally) noteError(text string) {
	if t.firstError == "" {
		t.firstError = text
	}
}

func (t *tally) summary(took time.Duration, seed uint64) sendSummary {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sums
	s.Seconds, s.Seed = took.Seconds(), seed
	s.P50, s.P99 = milliseconds(t.latency.quantile(0.50)), milliseconds(t.latency.quantile(0.99))
	return s
}

func milliseconds(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*1000) / 1000
}

func (s sendSummary) writeText(w io.Writer) {
	for _, a := range s.Answers {
		say(w, "%d %s", a.Status, http.StatusText(a.Status))
		writeLines(w, a.Body)
	}
	if len(s.Answers) > 0 {
		return
	}
	say(w, "sent %s (%d of them resent) in %.1fs, %.0f a second; --seed %d makes the same again",
		plural(s.Requests, "request"), s.Resent, s.Seconds, float64(s.Requests)/s.Seconds, s.Seed)
	say(w, "accepted %d, duplicate %d, quarantined %d, refused %d, failed %d",
		s.Accepted, s.Duplicate, s.Quarantined, s.Refused, s.Failed)
	say(w, "answered within: p50 %.1f ms, p99 %.1f ms", s.P50, s.P99)
}

// latencies is a histogram of durations, exact to 2 %, from a microsecond to ten minutes.
type latencies struct {
	buckets [1024]int
	total   int
}

const latencyGrowth = 1.02

func (l *latencies) add(d time.Duration) {
	i := int(math.Log(max(1, float64(d.Microseconds()))) / math.Log(latencyGrowth))
	l.buckets[min(i, len(l.buckets)-1)]++
	l.total++
}

// quantile is 0 if nothing was added.
func (l *latencies) quantile(q float64) time.Duration {
	rank, seen := int(math.Ceil(q*float64(l.total))), 0
	for i, n := range l.buckets {
		if seen += n; n > 0 && seen >= rank {
			return time.Duration(math.Pow(latencyGrowth, float64(i)+0.5) * float64(time.Microsecond))
		}
	}
	return 0
}
