package mesh

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ParseStored reads an event from the message that its stream delivered, with its place. Of a
// message that is no event it returns the body and the place beside ErrNotEvent.
func ParseStored(msg jetstream.Msg) (Event, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return Event{}, fmt.Errorf("message on %s: %w", msg.Subject(), err)
	}
	e, err := parseStored(msg.Subject(), msg.Headers(), msg.Data())
	e.Stream, e.Sequence, e.Stored = meta.Stream, meta.Sequence.Stream, meta.Timestamp
	return e, err
}

// GetEvent reads one event out of its stream. It fails with jetstream.ErrMsgNotFound if the
// stream no longer has it, and like ParseStored if it is no event.
func GetEvent(ctx context.Context, js jetstream.JetStream, stream string, sequence uint64) (Event, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return Event{}, fmt.Errorf("stream %s: %w", stream, err)
	}
	msg, err := s.GetMsg(ctx, sequence)
	if err != nil {
		return Event{}, fmt.Errorf("event %d of stream %s: %w", sequence, stream, err)
	}
	e, err := parseStored(msg.Subject, msg.Header, msg.Data)
	e.Stream, e.Sequence, e.Stored = stream, sequence, msg.Time
	return e, err
}

func parseStored(subject string, header nats.Header, body []byte) (Event, error) {
	subject = originalSubject(subject)
	e, err := ParseEvent(subject, header, body)
	if err != nil {
		e = Event{Subject: subject, Body: body}
	}
	e.Origin = originOf(header)
	return e, err
}

// originOf reads where a replayed event was first stored; it is zero for others, and for those that an
// earlier version replayed.
func originOf(header nats.Header) Place {
	r := headerReader{header: header}
	if header.Get(headerOriginStream) == "" {
		return Place{}
	}
	origin := Place{header.Get(headerOriginStream), r.number(headerOriginSequence), r.time(headerOriginStored)}
	if r.err != nil {
		return Place{}
	}
	return origin
}

// deleteStored deletes a message from a stream. It is no error if it is gone already.
func deleteStored(ctx context.Context, js jetstream.JetStream, stream string, sequence uint64) error {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return fmt.Errorf("stream %s: %w", stream, err)
	}
	deleted := s.DeleteMsg(ctx, sequence)
	if deleted == nil {
		return nil
	}
	// The server's refusal does not tell whether the message is gone already.
	if _, err := s.GetMsg(ctx, sequence); errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	return deleted
}
