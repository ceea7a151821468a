package mesh

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// AuditFilter chooses audit records; its zero value chooses all.
type AuditFilter struct {
	// Action is that of the records; "" is any.
	Action string
	// Since and Until bound the time when they were stored; zero is open.
	Since, Until time.Time
	// Before, if above zero, leaves out the records of that number and later.
	Before uint64
}

// AuditEntry is an audit record and its number: its sequence in the audit stream.
type AuditEntry struct {
	Number uint64
	Audit
}

// The bounds of how many records are read at once: a few for who looks at the latest, more the further back.
const (
	fewRecords  = 256
	manyRecords = 4096
)

// AuditTrail yields audit records, the newest first, as they are when it starts. What is no record is left out. It stops at the first
// error, and fails with ErrNoAudit where none are kept.
func (t *Topology) AuditTrail(ctx context.Context, js jetstream.JetStream, filter AuditFilter) iter.Seq2[AuditEntry, error] {
	return func(yield func(AuditEntry, error) bool) {
		b, err := t.auditBackwards(ctx, js, filter)
		if err != nil {
			yield(AuditEntry{}, err)
			return
		}
		for want := uint64(fewRecords); !b.isRead(); want = min(2*want, manyRecords) {
			msgs, err := b.next(ctx, want)
			if err != nil {
				yield(AuditEntry{}, err)
				return
			}
			for _, msg := range msgs {
				record, ok := parseAudit(msg)
				if ok && !yield(AuditEntry{record.Sequence, record.Audit}, nil) {
					return
				}
			}
		}
	}
}

func (t *Topology) auditBackwards(ctx context.Context, js jetstream.JetStream, filter AuditFilter) (*backwards, error) {
	kept, ok := t.AuditRecords()
	if !ok {
		return nil, ErrNoAudit
	}
	stream, err := js.Stream(ctx, kept.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("%w: the stream %s is not there yet; genmesh apply makes it", ErrNoAudit, kept.Name)
	case err != nil:
		return nil, fmt.Errorf("stream %s: %w", kept.Name, err)
	}
	subject := auditSubjects
	if filter.Action != "" {
		subject = auditPrefix + Token(filter.Action)
	}
	b, err := readBackwards(ctx, js, stream, []string{subject}, filter.Since, filter.Until, filter.Before)
	if err == nil {
		b.bodies = true
	}
	return b, err
}
