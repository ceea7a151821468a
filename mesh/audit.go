package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Audit is the record of something that was done to what is stored. It names no interaction, so that
// nothing has to be erased here.
type Audit struct {
	At  time.Time `json:"at"`
	Who Actor     `json:"who"`
	// Action is one word, such as "erase"; it is the last part of the record's subject.
	Action string `json:"action"`
	// InteractionSHA256 is the hash of the interaction's id, in hex; see HashInteraction.
	InteractionSHA256 string          `json:"interaction_sha256,omitempty"`
	Source            string          `json:"source,omitempty"`
	Subscriber        string          `json:"subscriber,omitempty"`
	Reason            string          `json:"reason,omitempty"`
	Streams           []StreamErasure `json:"streams,omitempty"`
	Result            AuditResult     `json:"result"`
	// Problem is why something was not done.
	Problem string `json:"problem,omitempty"`
}

// Actor is who did something, as far as is known.
type Actor struct {
	OSUser     string `json:"os_user,omitempty"`
	NATSUser   string `json:"nats_user,omitempty"`
	Connection string `json:"connection,omitempty"`
}

// AuditResult says how far something came.
type AuditResult string

// The results. What was intended and has no later record was cut off.
const (
	AuditIntended   AuditResult = "intended"
	AuditDone       AuditResult = "done"
	AuditIncomplete AuditResult = "incomplete"
)

const (
	auditPrefix   = "audit."
	auditSubjects = "audit.>"
)

// AuditRecords is the stream that keeps audit records, if streams.json has one: a stream that takes
// "audit.>".
func (t *Topology) AuditRecords() (Stream, bool) { return t.roleStream(auditSubjects) }

// ErrNoAudit means that streams.json has no stream for audit records.
var ErrNoAudit = errors.New(`nothing is audited: no stream takes "audit.>"`)

// RecordAudit stores a record under "audit.<action>" and returns once it is there. It fails with
// ErrNoAudit where none are kept.
func RecordAudit(ctx context.Context, js jetstream.JetStream, t *Topology, record Audit) error {
	stream, ok := t.AuditRecords()
	if !ok {
		return ErrNoAudit
	}
	data, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("audit record: %w", err)
	}
	msg := &nats.Msg{Subject: auditPrefix + Token(record.Action), Data: data}
	if _, err := js.PublishMsg(ctx, msg, jetstream.WithExpectStream(stream.Name)); err != nil {
		return fmt.Errorf("store the audit record in stream %s: %w", stream.Name, err)
	}
	return nil
}

// HashInteraction is the hash by which audit records name an interaction.
func HashInteraction(interaction string) string { return hashHex(interaction) }
