package mesh

import (
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// memory is what a committer knows of the interactions that it committed lately. It answers
// redeliveries without a round trip and keeps duplicates out of batches, which the server would
// refuse whole. It is a shortcut and never the judge: what it does not know, the duplicate
// window decides. It is bounded, and it belongs to one goroutine.
type memory struct {
	window time.Duration
	byID   *simplelru.LRU[string, *remembered]
}

// remembered is what is known of the events of one key.
type remembered struct {
	// first holds the key's own Nats-Msg-Id in the server's window, surely until firstUntil.
	first      string
	firstSeq   uint64
	firstUntil time.Time
	// events are the known fingerprints, oldest first.
	events []storedEvent
}

type storedEvent struct {
	fingerprint string
	sequence    uint64
	until       time.Time
}

const (
	maxRemembered          = 100_000 // keys; about 30 MB when full
	maxRememberedPerKey    = 64
	maxClockMargin         = 30 * time.Second
	windowPartOfMargin     = 10
	defaultDuplicateWindow = 2 * time.Minute // the server's own default
)

func newMemory(window time.Duration) *memory {
	byID, err := simplelru.NewLRU[string, *remembered](maxRemembered, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &memory{window: window, byID: byID}
}

// find is the sequence of a known event.
func (m *memory) find(id, fingerprint string, now time.Time) (uint64, bool) {
	r, ok := m.byID.Get(id)
	if !ok {
		return 0, false
	}
	for _, e := range r.events {
		if e.fingerprint == fingerprint && now.Before(e.until) {
			return e.sequence, true
		}
	}
	// The first may have been forgotten among very many later ones, and it must not be taken
	// for one of them.
	return r.firstSeq, r.first == fingerprint && now.Before(r.firstUntil)
}

// first is the sequence of the event that surely holds the id itself in the server's window.
func (m *memory) first(id string, now time.Time) (uint64, bool) {
	r, ok := m.byID.Get(id)
	if !ok || !now.Before(r.firstUntil) {
		return 0, false
	}
	return r.firstSeq, true
}

// holder is the fingerprint of the event that was last known to hold the id itself.
func (m *memory) holder(id string) string {
	if r, ok := m.byID.Peek(id); ok {
		return r.first
	}
	return ""
}

// remember notes an event that was stored no earlier than since.
func (m *memory) remember(id, fingerprint string, sequence uint64, since time.Time) {
	r, ok := m.byID.Get(id)
	if !ok {
		r = &remembered{}
		m.byID.Add(id, r)
	}
	until := since.Add(m.window)
	for i := range r.events {
		if r.events[i].fingerprint == fingerprint {
			r.events[i] = storedEvent{fingerprint, sequence, until}
			return
		}
	}
	if len(r.events) == maxRememberedPerKey {
		r.events = append(r.events[:0], r.events[1:]...)
	}
	r.events = append(r.events, storedEvent{fingerprint, sequence, until})
}

// rememberFirst notes which event holds the id itself in the server's window, stored no earlier
// than since. A margin keeps clocks that differ from mattering: asking the server once too
// often is harmless, taking an id for held that is free again is not.
func (m *memory) rememberFirst(id, fingerprint string, sequence uint64, since time.Time) {
	m.remember(id, fingerprint, sequence, since)
	r, _ := m.byID.Get(id)
	margin := min(m.window/windowPartOfMargin, maxClockMargin)
	r.first, r.firstSeq, r.firstUntil = fingerprint, sequence, since.Add(m.window-margin)
}
