package mesh

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	InteractionSHA256 string `json:"interaction_sha256,omitempty"`
	Source            string `json:"source,omitempty"`
	Subscriber        string `json:"subscriber,omitempty"`
	// About says in words what was chosen, or what exactly was done.
	About string `json:"about,omitempty"`
	// Numbers are the numbers of dead letters or of events in quarantine that were chosen, as ranges: "3, 7-12". They
	// are cut where they are many.
	Numbers string `json:"numbers,omitempty"`
	// Count is how many were chosen, Done and Failed what became of them.
	Count   int             `json:"count,omitempty"`
	Done    int             `json:"done,omitempty"`
	Failed  int             `json:"failed,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	Streams []StreamErasure `json:"streams,omitempty"`
	Result  AuditResult     `json:"result"`
	// Problem is why something was not done.
	Problem string `json:"problem,omitempty"`
}

// Actor is who did something, as far as is known.
type Actor struct {
	OSUser     string `json:"os_user,omitempty"`
	Host       string `json:"host,omitempty"`
	NATSUser   string `json:"nats_user,omitempty"`
	Connection string `json:"connection,omitempty"`
	// User is who is signed in at the console that was used, Role and Via what for and how, Address from where: "" elsewhere.
	User    string `json:"user,omitempty"`
	Role    string `json:"role,omitempty"`
	Via     string `json:"via,omitempty"`
	Address string `json:"address,omitempty"`
}

// String is the name by which people know who it was.
func (a Actor) String() string {
	name := cmp.Or(a.User, a.OSUser, a.NATSUser, "unknown")
	if a.User == "" && a.Host != "" {
		name += "@" + a.Host
	}
	return name
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

// audited is a record and where it lies in the stream of the audit.
type audited struct {
	Audit
	Sequence uint64
}

// takes reports whether the record is of something that took events of a stream, or set out to.
func (a Audit) takes(stream string) bool {
	return slices.ContainsFunc(a.Streams, func(s StreamErasure) bool {
		return s.Stream == stream && (s.Erased > 0 || a.Result == AuditIntended && s.Found > 0)
	})
}

// erasuresFrom are the erasures that took events of a stream since a time, each by its last record, the oldest first. It fails with ErrNoAudit
// where none are kept.
func (t *Topology) erasuresFrom(ctx context.Context, js jetstream.JetStream, stream string, since time.Time) ([]audited, error) {
	kept, ok := t.AuditRecords()
	if !ok {
		return nil, ErrNoAudit
	}
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{auditPrefix + Token(auditErase)}}
	if !since.IsZero() {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	var erasures []audited
	for msg, err := range readStream(ctx, js, kept.Name, config) {
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, ErrNoAudit // not applied yet
		}
		if err != nil {
			return nil, err
		}
		record, ok := parseAudit(msg)
		if !ok {
			continue // somebody else has published it
		}
		// What was done has the record before it, of what was intended.
		erasures = slices.DeleteFunc(erasures, func(before audited) bool {
			return before.Result == AuditIntended && before.InteractionSHA256 == record.InteractionSHA256 && before.Source == record.Source
		})
		if record.takes(stream) {
			erasures = append(erasures, record)
		}
	}
	return erasures, nil
}

// auditErase is the action of an erasure.
const auditErase = "erase"

// parseAudit reads a record back; false if it is none.
func parseAudit(msg jetstream.Msg) (audited, bool) {
	meta, err := msg.Metadata()
	if err != nil {
		return audited{}, false
	}
	record := audited{Sequence: meta.Sequence.Stream}
	err = json.Unmarshal(msg.Data(), &record.Audit)
	return record, err == nil
}

// HashInteraction is the hash by which audit records name an interaction.
func HashInteraction(interaction string) string { return hashHex(interaction) }
