package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

// Kind is what a delivery was meant to be.
type Kind string

// The kinds of deliveries.
const (
	KindEvent      Kind = "event"
	KindDuplicate  Kind = "duplicate"
	KindTruncated  Kind = "truncated"
	KindForged     Kind = "forged"
	KindUnreadable Kind = "unreadable"
)

// Outcome is what became of a delivery.
type Outcome string

// The outcomes of deliveries.
const (
	Accepted    Outcome = "accepted"    // 2xx, and new to the receiver
	Known       Outcome = "duplicate"   // 2xx, and the receiver said that it had it
	Quarantined Outcome = "quarantined" // 2xx, and the receiver put it aside
	Refused     Outcome = "refused"     // 4xx: not delivered again
	GivenUp     Outcome = "given_up"    // the retries are used up: lost
	Unfinished  Outcome = "unfinished"  // the simulator ended first
)

// Entry is one delivery with all its attempts.
type Entry struct {
	Target      string    `json:"target"`
	Kind        Kind      `json:"kind"`
	EventID     string    `json:"event_id"`
	Interaction string    `json:"interaction_id"`
	Sequence    int       `json:"sequence"`
	BodySHA256  string    `json:"body_sha256"`
	Attempts    []Attempt `json:"attempts"`
	Outcome     Outcome   `json:"outcome"`
}

// Attempt is one POST. Status is 0 if there was no answer.
type Attempt struct {
	At     time.Time `json:"at"`
	Status int       `json:"status"`
	Error  string    `json:"error,omitempty"`
	// Ignored says that the answer was taken for lost.
	Ignored bool `json:"ignored,omitempty"`
}

// maxEntries bounds the entries that are kept; the counts go on.
const maxEntries = 100_000

// Ledger is what was sent and what was answered. It is safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex
	entries []Entry // a ring once it is full
	next    int
	counts  map[Kind]map[Outcome]int
	retries int
	dropped int
}

func newLedger() *Ledger { return &Ledger{counts: make(map[Kind]map[Outcome]int)} }

func (l *Ledger) add(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[e.Kind] == nil {
		l.counts[e.Kind] = make(map[Outcome]int)
	}
	l.counts[e.Kind][e.Outcome]++
	l.retries += max(len(e.Attempts)-1, 0)
	if len(l.entries) < maxEntries {
		l.entries = append(l.entries, e)
		return
	}
	l.entries[l.next] = e
	l.next = (l.next + 1) % maxEntries
	l.dropped++
}

// Entries are the latest deliveries, the oldest first: at most 100,000.
func (l *Ledger) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append(append([]Entry(nil), l.entries[l.next:]...), l.entries[:l.next]...)
}

// Summary counts all deliveries.
type Summary struct {
	Deliveries map[Kind]map[Outcome]int `json:"deliveries"`
	// Retries are attempts beyond the first; Forgotten are deliveries that Entries no longer has.
	Retries   int `json:"retries"`
	Forgotten int `json:"forgotten"`
}

// Of is how many deliveries of a kind came to an outcome.
func (s Summary) Of(kind Kind, outcome Outcome) int { return s.Deliveries[kind][outcome] }

// Sent is how many deliveries of a kind there were.
func (s Summary) Sent(kind Kind) int {
	n := 0
	for _, count := range s.Deliveries[kind] {
		n += count
	}
	return n
}

// Wrong counts the deliveries that should not have ended as they did: good events that were refused,
// put aside or lost, and bad ones that were taken.
func (s Summary) Wrong() int {
	n := 0
	for _, kind := range []Kind{KindEvent, KindDuplicate} {
		n += s.Of(kind, Refused) + s.Of(kind, GivenUp) + s.Of(kind, Quarantined)
	}
	for _, kind := range []Kind{KindTruncated, KindForged} {
		n += s.Of(kind, Accepted) + s.Of(kind, Known) + s.Of(kind, Quarantined)
	}
	return n + s.Of(KindUnreadable, Accepted) + s.Of(KindUnreadable, Refused)
}

// Summary counts what was sent so far.
func (l *Ledger) Summary() Summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Summary{Deliveries: make(map[Kind]map[Outcome]int), Retries: l.retries, Forgotten: l.dropped}
	for kind, outcomes := range l.counts {
		s.Deliveries[kind] = make(map[Outcome]int)
		for outcome, n := range outcomes {
			s.Deliveries[kind][outcome] = n
		}
	}
	return s
}

func bodyHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
