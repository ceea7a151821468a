package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/genmesh/genmesh/workers"
)

// unanswered is the fate of an event that no answer came to. Most of that may pass, and counts as a
// failed attempt. What only a change of the configuration, of DNS or of the target's certificate can cure
// is no fault of the event: then the subscriber waits.
func (t *Target) unanswered(ctx context.Context, err error) error {
	if refusal, ok := errors.AsType[*proxyRefusal](err); ok {
		return refusal.fate(t.host)
	}
	if lost := workers.LeaseHeld(ctx); lost != nil && ctx.Err() == nil {
		return lost
	}
	failure := &workers.Failure{Err: t.noAnswer(ctx, err)}
	if remedy, ok := remedyOf(err); ok && ctx.Err() == nil {
		return workers.Unusable(fmt.Errorf("%w%s", failure, remedy))
	}
	return failure
}

// noAnswer says why there is none, with bounds on what it quotes of the other side.
func (t *Target) noAnswer(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer within %s: %w", t.host, t.timeout, context.DeadlineExceeded)
	case ctx.Err() != nil:
		return fmt.Errorf("the request to %s was given up: %w", t.host, ctx.Err())
	}
	return fmt.Errorf("no answer from %s: %.300s", t.host, err.Error())
}

// remedyOf knows the errors that meet every event alike, and what to do about them.
func remedyOf(err error) (string, bool) {
	if _, ok := errors.AsType[*refusedAddress](err); ok {
		return "", true // it says so itself
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "; check the certificate of the target, and tls.ca_file and tls.server_name", true
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		return "; raise the limit of open files of this process", true
	}
	if refusesOurs(err) {
		return "; check tls.cert_file and tls.key_file", true
	}
	return "", false
}

// refusesOurs reports whether the other side does not take our certificate, or misses one. crypto/tls
// exports neither its alerts nor a way to tell them but their texts; those about certificates (RFC
// 8446, section 6.2) all have the word, and what comes over the wire is only their number.
func refusesOurs(err error) bool {
	said, ok := errors.AsType[*net.OpError](err)
	return ok && said.Op == "remote error" && strings.Contains(said.Err.Error(), "certificate")
}
