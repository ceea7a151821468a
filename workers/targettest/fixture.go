// Package targettest is the conformance suite that every kind of target passes.
//
// A target's tests call Run with a function that makes a new target and knows how to read back
// what arrived at its far end.
package targettest

import (
	"io"
	"testing"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// Target is what every kind of target is. After Close, Handle fails.
type Target interface {
	workers.Handler
	io.Closer
}

// Fixture is a target together with its far end.
type Fixture struct {
	Target Target
	// Arrived tells what has arrived at the far end so far, in any order. It is called after
	// the Handle calls in question returned, so nothing may still be on its way.
	Arrived func(t testing.TB) []Arrival
	// Collapses is true if the far end drops a second event with the same idempotency key.
	Collapses bool
}

// Arrival is an event as it arrived, its values unescaped as the target's documentation says.
type Arrival struct {
	Source      string
	Type        string
	Interaction string
	Sequence    uint64
	// Key is the event's idempotency key.
	Key string
	// Body is the event's body, and BodyBytes its length where the target keeps no body.
	Body      []byte
	BodyBytes int
}

// Event is an ordinary event, stored at the given sequence.
func Event(sequence uint64) mesh.Event {
	return eventWith(sequence, "987654321", "interaction", []byte(`{"id":"1","eventTypeId":"interaction","data":{"id":"987654321"}}`))
}
