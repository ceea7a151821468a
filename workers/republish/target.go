// Package republish is the NATS target: it publishes each event into another JetStream stream,
// for consumers that want a stream of their own.
package republish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// Scheme is the scheme of the target's URL: "nats:orders.calls" publishes to that subject,
// "nats:orders.>" to it with the event's own subject in the place of ">".
const Scheme = "nats"

const defaultTimeout = 10 * time.Second

// HeaderIdempotencyKey carries an event's idempotency key.
const HeaderIdempotencyKey = "Idempotency-Key"

// Target publishes events. Its methods are safe for concurrent use.
type Target struct {
	subject    string
	appendOwn  bool // the event's own subject follows
	subscriber string
	timeout    time.Duration
	js         jetstream.Publisher
	closed     atomic.Bool
}

var errClosed = errors.New("the NATS target is closed")

// New makes the target of a subscriber. The connection behind js is the caller's and stays open
// after Close.
//
// It refuses subjects that overlap genmesh's own and those of the server. It can't know which
// stream will take the subject; one that feeds the subscriber itself would get each event once
// more, which its duplicate window then ends.
func New(target mesh.Target, subscriber string, js jetstream.Publisher) (*Target, error) {
	subject, appendOwn, err := parseSubject(target)
	if err != nil {
		return nil, fmt.Errorf("target of subscriber %s: %w", subscriber, err)
	}
	return &Target{
		subject: subject, appendOwn: appendOwn, subscriber: subscriber, js: js,
		timeout: cmp.Or(time.Duration(target.Timeout), defaultTimeout),
	}, nil
}

// Check finds what New would refuse. Its error is a *mesh.FieldError.
func Check(target mesh.Target) error {
	_, _, err := parseSubject(target)
	return mesh.Within("url", err)
}

func parseSubject(target mesh.Target) (subject string, appendOwn bool, err error) {
	scheme, subject, _ := strings.Cut(target.URL, ":")
	if !strings.EqualFold(scheme, Scheme) {
		return "", false, fmt.Errorf(`%s is not of the form "nats:subject"`, target.Display())
	}
	subject, appendOwn = strings.CutSuffix(subject, ".>")
	return subject, appendOwn, checkSubject(subject)
}

// reserved are the first tokens of subjects that genmesh and nats-server use themselves. So is
// every first token that begins with "$".
var reserved = map[string]bool{"dead": true, "quarantine": true, "replay": true, "audit": true, "deliveries": true, "_mesh": true, "_INBOX": true}

func checkSubject(subject string) error {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || strings.IndexFunc(token, isNoLetter) >= 0 {
			return fmt.Errorf(`%q is no subject to publish to: it takes tokens such as "orders.calls", `+
				`without placeholders or wildcards but for ".>" at the end`, subject)
		}
	}
	first, _, _ := strings.Cut(subject, ".")
	if reserved[first] || strings.HasPrefix(first, "$") {
		return fmt.Errorf("events can't be published to %q: subjects that begin with %q are genmesh's or the server's own", subject, first)
	}
	return nil
}

func isNoLetter(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("*>{}/", r) }

// Handle returns nil once a stream has stored the event. The message is as the mesh stores it,
// envelope in headers and body byte for byte, with the event's idempotency key as a header.
//
// Its Nats-Msg-Id is "<subscriber>.<idempotency key>", so that the stream drops what comes
// again, but keeps what another subscriber publishes of the same event.
func (t *Target) Handle(ctx context.Context, event mesh.Event) error {
	if t.closed.Load() {
		return errClosed
	}
	msg := t.msg(event)
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("publish to %s: %w", msg.Subject, err)
	}
	if _, err := t.js.PublishMsg(ctx, msg); err != nil {
		return judge(msg.Subject, err)
	}
	return nil
}

func (t *Target) msg(event mesh.Event) *nats.Msg {
	key := event.IdempotencyKey()
	msg := event.Msg(t.subscriber + "." + key)
	msg.Header[HeaderIdempotencyKey] = []string{key}
	msg.Subject = t.subject
	if t.appendOwn {
		msg.Subject += "." + event.Subject
	}
	return msg
}

// errCodeTooLarge is JetStream's error code for a message above the stream's max_msg_size.
const errCodeTooLarge jetstream.ErrorCode = 10054

func judge(subject string, err error) error {
	var api *jetstream.APIError
	failure := &workers.Failure{Err: fmt.Errorf("publish to %s: %w", subject, err)}
	if errors.As(err, &api) {
		failure.Status = api.Code
	}
	switch {
	case errors.Is(err, nats.ErrMaxPayload), api != nil && api.ErrorCode == errCodeTooLarge:
		return workers.Permanent(failure)
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		failure.Err = fmt.Errorf("publish to %s: no stream takes this subject, add one that does: %w", subject, err)
	}
	return failure
}

// Close makes Handle fail from now on.
func (t *Target) Close() error {
	t.closed.Store(true)
	return nil
}
