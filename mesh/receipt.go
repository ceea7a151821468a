package mesh

import "errors"

// Receipt says where a committed event lies.
type Receipt struct {
	Stream   string
	Sequence uint64
	// MsgID is the Nats-Msg-Id that it was stored under.
	MsgID string
	// Duplicate is true if the event was stored before, at Sequence.
	Duplicate bool
}

// The reasons why an event could not be committed; test with errors.Is.
var (
	// ErrUnavailable means that nothing is known to be stored and a later try can succeed: the
	// stream is full, slow or out of reach.
	ErrUnavailable = errors.New("the stream can't store the event now")
	// ErrTooLarge means that the stream takes no event of this size.
	ErrTooLarge = errors.New("the event is larger than the stream takes")
)
