package ingress

import (
	"context"

	"github.com/genmesh/genmesh/mesh"
)

// Committer stores events. It is all that ingress needs from the mesh.
//
// Both methods return without an error only once the event is durable: a crash or a power loss
// right after it loses nothing. Both are safe for concurrent use, keep nothing that the caller
// may change, and end when ctx does. The same event committed again is told as a duplicate.
//
// An error means that nothing is known to be stored. It is mesh.ErrTooLarge if no try can ever
// succeed; any other, such as mesh.ErrUnavailable, makes the sender try again.
type Committer interface {
	// CommitAll stores the events of one delivery, in order, in the stream of their source. Subject
	// and key follow from the source. There is a receipt for each, unless there is an error.
	CommitAll(ctx context.Context, events []mesh.Event) ([]mesh.Receipt, error)
	// Quarantine stores an event that was signed but can't go on its way. The reason is one of
	// a small closed set, such as "no_interaction_id".
	Quarantine(ctx context.Context, e mesh.Event, reason string) (mesh.Receipt, error)
}
