package workers

import (
	"cmp"
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// Latest is a Handler for effects that only the newest event of an interaction counts for, such as
// the state of a call in a row of a table: it hands an event to another Handler only if it is newer than
// what was applied of its interaction, and passes older ones and equal ones by as done.
//
// What is guaranteed, over all processes that share its bucket and name:
//
//   - Once the mark of an event is stored, no older event of the interaction is handed to Handler, and
//     not the event itself, for as long as the bucket keeps the entry.
//   - The events of an interaction are handed to Handler one at a time, also to those of several
//     processes: the claim is held during the effect, as in Once, so an older event that began
//     before a newer one has ended before that begins. What Once says about leases, a process that
//     stood still, OnceToken, errors and an outage of NATS is true of Latest too.
//   - So, as long as no process dies, the events that are applied are ever newer, and the last of
//     them is the newest that did not fail.
//   - A process that dies between the effect and the mark leaves a window: the event is applied again
//     after the lease, and an older event that takes its turn first is applied before that. The last one
//     applied is the newest all the same. A store that keeps the event's place and compares it, or the fence
//     of OnceToken, closes the window.
//
// Which event is newer is said by the order in which their stream stored them: by sequence, and by the time
// of storing where those are more than a second apart, because a stream that was deleted and made
// again counts from one. So the clocks of the NATS servers must agree to a second. A replayed dead
// letter counts as stored where it was first (Event.FirstPlace). Between events of two streams it counts
// when ingress received them, and then when they occurred, so the clocks of ingress machines decide there.
//
// An event without an interaction has nothing that it could be older than. It is handed to Handler.
//
// An event that is applied costs one read and two writes of the bucket, one that is passed by a read. The bucket's
// ttl must be longer than an interaction lasts and its events may wait.
type Latest struct {
	// KV is the bucket; see ClaimBucket.
	KV jetstream.KeyValue
	// Name tells handlers that share a bucket apart, such as the subscriber's name.
	Name    string
	Handler Handler
	// Lease is as in Once.
	Lease time.Duration
}

// Handle hands the event to the Handler if it is the newest of its interaction.
func (l Latest) Handle(ctx context.Context, event mesh.Event) error {
	if event.Interaction == "" {
		return l.Handler.Handle(ctx, event)
	}
	entries := ledger{kv: l.KV, lease: leaseOrDefault(l.Lease)}
	m := markOf(event)
	return entries.run(ctx, l.Handler, event, effect{
		key:     "latest." + mesh.Token(l.Name) + "." + mesh.Token(event.Source) + "." + mesh.Token(event.Interaction),
		applied: func(e entry) bool { return e.Mark != nil && !m.isNewer(*e.Mark) },
		after:   entry{State: stateFree, Mark: &m},
	})
}

// mark is an event's place in the order of its interaction.
type mark struct {
	Stream   string    `json:"stream"`
	Sequence uint64    `json:"sequence"`
	Stored   time.Time `json:"stored,omitzero"`
	Received time.Time `json:"received,omitzero"`
	Occurred time.Time `json:"occurred,omitzero"`
}

func markOf(e mesh.Event) mark {
	first := e.FirstPlace()
	return mark{first.Stream, first.Sequence, first.Stored.UTC(), e.Received.UTC(), e.Occurred.UTC()}
}

// maxServerSkew is how far a stream's times of storing may go back within one stream. They are the
// leader's, and the server doesn't keep them from going back when its clock is set or the leader changes.
const maxServerSkew = time.Second

func (m mark) isNewer(than mark) bool {
	if m.Stream != than.Stream {
		return cmp.Or(m.Received.Compare(than.Received), m.Occurred.Compare(than.Occurred)) > 0
	}
	if apart := m.Stored.Sub(than.Stored); apart.Abs() > maxServerSkew {
		return apart > 0
	}
	return m.Sequence > than.Sequence
}
