// Package ledger keeps what a mesh was told and what it did, apart from the mesh: what senders sent and were answered, and what
// subscribers got. Check compares the two with what the mesh holds, and names each event that went wrong.
//
// It imports nothing of genmesh on purpose: an error that the mesh and its judge share would not be found.
package ledger

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// Name tells an event from all others of a run: the number of an event within its interaction.
type Name struct {
	Interaction string
	Number      int
}

func (n Name) String() string { return fmt.Sprintf("%s/%d", n.Interaction, n.Number) }

// Sum is the SHA-256 of a body.
type Sum [sha256.Size]byte

// Ledger is safe for concurrent use.
type Ledger struct {
	mu       sync.Mutex
	sent     map[Name]*sent
	arrivals map[string][]arrival // by subscriber, in order
	latest   time.Time
	stall    time.Duration
	refused  int
}

type sent struct {
	sum      Sum
	at       time.Time
	answered bool
}

type arrival struct {
	name  Name
	known bool // the body says which event it is
	sum   Sum
	at    time.Time
}

// New is a ledger of nothing.
func New() *Ledger {
	return &Ledger{sent: make(map[Name]*sent), arrivals: make(map[string][]arrival)}
}

// Body makes an event of a Genesys Cloud that says its own name, and enters it as sent.
func (l *Ledger) Body(name Name) []byte {
	body := fmt.Appendf(nil, `{"id":"%s-%d","timestamp":%d,"eventTypeId":"interaction","data":{"id":"%s","type":"call","number":%d,"filler":"%s"}}`,
		name.Interaction, name.Number, 1_767_225_600+name.Number, name.Interaction, name.Number, filler)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[name] = &sent{sum: sha256.Sum256(body), at: time.Now()}
	return body
}

// filler makes a body as long as most events are.
const filler = "a wallboard, a screen pop and a record wait for this; it is here to make the event as long as events are, " +
	"with queues and participants and wrap-up codes and whatever else a contact centre has to say about a call"

var nameInBody = regexp.MustCompile(`"data":\{"id":"([A-Za-z0-9-]+)","type":"call","number":(\d+),`)

// NameOf reads the name that a body says.
func NameOf(body []byte) (Name, bool) {
	found := nameInBody.FindSubmatch(body)
	if found == nil {
		return Name{}, false
	}
	number, err := strconv.Atoi(string(found[2]))
	return Name{string(found[1]), number}, err == nil
}

// Answered enters that the sender of an event was told 2xx.
func (l *Ledger) Answered(name Name) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[name].answered = true
	now := time.Now()
	if !l.latest.IsZero() {
		l.stall = max(l.stall, now.Sub(l.latest))
	}
	l.latest = now
}

// Refused enters that a sender was told something else, or nothing.
func (l *Ledger) Refused() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused++
}

// Arrived enters what a subscriber took, and returns how long ago the event was sent for the first time; 0 for what never was.
func (l *Ledger) Arrived(subscriber string, body []byte) (age time.Duration) {
	name, known := NameOf(body)
	a := arrival{name: name, known: known, sum: sha256.Sum256(body), at: time.Now()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrivals[subscriber] = append(l.arrivals[subscriber], a)
	if s := l.sent[name]; s != nil {
		return time.Since(s.at)
	}
	return 0
}

// ArrivedSince is how much a subscriber has taken since a time.
func (l *Ledger) ArrivedSince(subscriber string, since time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.arrivals[subscriber]
	for n := range all {
		if all[len(all)-1-n].at.Before(since) {
			return n
		}
	}
	return len(all)
}

// Tally is how much a ledger holds.
type Tally struct {
	Sent, Answered, Refused int
	// Stall is the longest time between two answers of 2xx.
	Stall time.Duration
}

// Tally counts.
func (l *Ledger) Tally() Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := Tally{Sent: len(l.sent), Refused: l.refused, Stall: l.stall}
	for _, s := range l.sent {
		if s.answered {
			t.Answered++
		}
	}
	return t
}

// Resume begins to measure stalls anew: what was between the runs of a test is no stall.
func (l *Ledger) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latest = time.Time{}
}
