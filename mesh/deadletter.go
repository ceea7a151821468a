package mesh

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// DeadReason says why an event became a dead letter.
type DeadReason string

// The reasons, a closed set.
const (
	// DeadRejected: the target said what no retry can cure.
	DeadRejected DeadReason = "rejected"
	// DeadExhausted: every attempt that the subscriber allows has failed.
	DeadExhausted DeadReason = "exhausted"
	// DeadAbandoned: workers died with it, or gave it back, again and again.
	DeadAbandoned DeadReason = "abandoned"
	// DeadShape: the subscriber's when, redact or transform failed on it.
	DeadShape DeadReason = "shape"
	// DeadUnreadable: the message in the stream is no event.
	DeadUnreadable DeadReason = "unreadable"
)

// DeadReasons are all of them.
func DeadReasons() []DeadReason {
	return []DeadReason{DeadRejected, DeadExhausted, DeadAbandoned, DeadShape, DeadUnreadable}
}

// DeadLetter is an event that could not be handed to one subscriber, with all that a person
// needs to decide what to do about it. Its Stream and Sequence say where the event itself lies.
type DeadLetter struct {
	Event
	Subscriber string
	Reason     DeadReason
	// Attempts is how often the target was tried, as far as anyone knows.
	Attempts int
	// Status and Answer are the target's last words, if it had any.
	Status int
	Answer string
	// Error is what went wrong the last time.
	Error        string
	FirstAttempt time.Time
	LastAttempt  time.Time

	// Number identifies the dead letter: its sequence in the dead-letter stream.
	Number uint64
	// Buried is when it became one.
	Buried time.Time
}

// The headers that a dead letter has besides its event's.
const (
	headerDeadSubscriber   = "Genmesh-Dead-Subscriber"
	headerDeadReason       = "Genmesh-Dead-Reason"
	headerDeadStream       = "Genmesh-Dead-Stream"
	headerDeadSequence     = "Genmesh-Dead-Sequence"
	headerDeadSubject      = "Genmesh-Dead-Subject"
	headerDeadAttempts     = "Genmesh-Dead-Attempts"
	headerDeadStatus       = "Genmesh-Dead-Status"
	headerDeadAnswer       = "Genmesh-Dead-Answer"
	headerDeadError        = "Genmesh-Dead-Error"
	headerDeadFirstAttempt = "Genmesh-Dead-First-Attempt"
	headerDeadLastAttempt  = "Genmesh-Dead-Last-Attempt"
)

// The headers that say where a dead letter's event was first stored, which it keeps when it is replayed.
const (
	headerOriginStream   = "Genmesh-Origin-Stream"
	headerOriginSequence = "Genmesh-Origin-Sequence"
	headerOriginStored   = "Genmesh-Origin-Stored"
)

// setOrigin writes them.
func setOrigin(h nats.Header, p Place) {
	if p.Stream == "" {
		return
	}
	h[headerOriginStream] = []string{p.Stream}
	h[headerOriginSequence] = []string{strconv.FormatUint(p.Sequence, 10)}
	setTime(h, headerOriginStored, p.Stored)
}

const (
	deadPrefix = "dead."
	// maxDeadTextBytes bounds the answer and the error that a dead letter keeps.
	maxDeadTextBytes = 1024
)

// msg is the dead letter as a message. Its id is the event's place and the subscriber, so that a
// worker and the undertaker who both bury it bury it once. The time is part of the place: a
// stream that was deleted and made again counts from one.
func (d DeadLetter) msg() *nats.Msg {
	m := d.Event.Msg(fmt.Sprintf("%s.%s.%d.%d", d.Subscriber, d.Stream, d.Sequence, d.Stored.UnixNano()))
	m.Subject = deadPrefix + Token(d.Subscriber) + "." + Token(string(d.Reason)) + "." + Token(d.Interaction)
	for header, value := range map[string]string{
		headerDeadSubscriber: d.Subscriber,
		headerDeadReason:     string(d.Reason),
		headerDeadStream:     d.Stream,
		headerDeadSequence:   strconv.FormatUint(d.Sequence, 10),
		headerDeadSubject:    d.Subject,
		headerDeadAttempts:   strconv.Itoa(d.Attempts),
		headerDeadStatus:     strconv.Itoa(d.Status),
		headerDeadAnswer:     escapeHeader(cut(d.Answer)),
		headerDeadError:      escapeHeader(cut(d.Error)),
	} {
		if value != "" {
			m.Header[header] = []string{value}
		}
	}
	setOrigin(m.Header, d.FirstPlace())
	setTime(m.Header, headerDeadFirstAttempt, d.FirstAttempt)
	setTime(m.Header, headerDeadLastAttempt, d.LastAttempt)
	return m
}

func cut(s string) string { return s[:min(len(s), maxDeadTextBytes)] }

// parseDeadLetter reads a dead letter back from the dead-letter stream. What it can't read is
// unreadable, with the body and what went wrong, so that a person can see and discard it.
func parseDeadLetter(subject string, header nats.Header, body []byte, meta *jetstream.MsgMetadata) DeadLetter {
	d, err := readDeadLetter(header, body)
	if err != nil {
		d.Event, d.Reason, d.Error = Event{Subject: subject, Body: body}, DeadUnreadable, err.Error()
	}
	d.Number, d.Buried = meta.Sequence.Stream, meta.Timestamp
	return d
}

func readDeadLetter(header nats.Header, body []byte) (DeadLetter, error) {
	r := headerReader{header: header}
	d := DeadLetter{
		Subscriber:   header.Get(headerDeadSubscriber),
		Reason:       DeadReason(header.Get(headerDeadReason)),
		Attempts:     int(r.number(headerDeadAttempts)),
		Status:       int(r.number(headerDeadStatus)),
		Answer:       r.text(headerDeadAnswer),
		Error:        r.text(headerDeadError),
		FirstAttempt: r.time(headerDeadFirstAttempt),
		LastAttempt:  r.time(headerDeadLastAttempt),
	}
	stream, sequence := header.Get(headerDeadStream), r.number(headerDeadSequence)
	if r.err != nil {
		return d, r.err
	}
	event, err := parseStored(header.Get(headerDeadSubject), header, body)
	if d.Reason == DeadUnreadable {
		err = nil // it was no event before
	}
	event.Stream, event.Sequence = stream, sequence
	d.Event = event
	return d, err
}

// headerReader reads typed headers and keeps the first mistake.
type headerReader struct {
	header nats.Header
	err    error
}

func (r *headerReader) number(name string) uint64 {
	n, err := strconv.ParseUint(r.header.Get(name), 10, 63)
	r.note(name, err)
	return n
}

func (r *headerReader) text(name string) string {
	s, err := unescapeHeader(r.header.Get(name))
	r.note(name, err)
	return s
}

func (r *headerReader) time(name string) time.Time {
	t, err := headerTime(r.header, name)
	r.note(name, err)
	return t
}

func (r *headerReader) note(name string, err error) {
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("header %s: %w", name, err)
	}
}

// replaySubject is where an event is published to go to one subscriber alone.
func replaySubject(subscriber, subject string) string {
	return replayPrefix + subscriber + "." + subject
}

// originalSubject is the subject that a replayed event was first stored under.
func originalSubject(subject string) string {
	if !strings.HasPrefix(subject, replayPrefix) {
		return subject
	}
	parts := strings.SplitN(subject, ".", 3)
	return parts[len(parts)-1]
}

// Bury stores d in the dead-letter stream and returns once it is there. Burying the same event
// of the same subscriber again changes nothing.
func (d *DeadLetters) Bury(ctx context.Context, letter DeadLetter) error {
	_, err := d.BuryOnce(ctx, letter)
	return err
}

// BuryOnce does the same, and reports whether this burial was the first. A burial whose answer was lost counts for one.
func (d *DeadLetters) BuryOnce(ctx context.Context, letter DeadLetter) (first bool, err error) {
	ack, err := d.js.PublishMsg(ctx, letter.msg(), jetstream.WithExpectStream(d.stream))
	if err != nil {
		return false, fmt.Errorf("bury event %d of stream %s for %s: %w", letter.Sequence, letter.Stream, letter.Subscriber, err)
	}
	return !ack.Duplicate, nil
}
