package mesh

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// grant is how many messages of a stream an audit record said were going to be deleted.
type grant struct {
	// Of is what it said, Left what was not seen gone yet.
	Of   uint64 `json:"of"`
	Left uint64 `json:"left"`
	// Act names what is being done, so that its last record is told from another's; "" once it has ended.
	Act string `json:"act,omitempty"`
	// Until is when the deleting has surely ended.
	Until time.Time `json:"until"`
}

const (
	// actsFor bounds how long after its first record an action may delete.
	actsFor = 24 * time.Hour
	// auditMargin is how far before the time that it has come to the audit is read: records carry the clocks of others.
	auditMargin = 10 * time.Minute
)

// The actions that take messages out of the streams of dead letters and quarantine. A dead letter that is replayed is stored once more in
// its stream until its subscriber has it, and both are deleted.
func deletesOf(action string) (subjects string, each uint64) {
	switch action {
	case "dead-discard":
		return deadSubjects, 1
	case "dead-replay":
		return deadSubjects, 2
	case "quarantine-discard", "quarantine-release":
		return quarantineSubjects, 1
	}
	return "", 0
}

func (m *scrubMark) granted() uint64 {
	n := uint64(0)
	for _, g := range m.Grants {
		n += g.Left
	}
	return n
}

// use uses up grants, the oldest first.
func (m *scrubMark) use(n uint64) {
	for i := range m.Grants {
		part := min(m.Grants[i].Left, n)
		m.Grants[i].Left -= part
		n -= part
	}
}

// readGrants reads what the audit says since it was read last. It reports whether the stream was made anew on purpose. Where nothing is
// audited, nobody can tell what was deleted from the streams that genmesh itself deletes from, so anything may have been.
func (m *scrubMark) readGrants(ctx context.Context, js jetstream.JetStream, t *Topology, l streamLook) (replaced bool, err error) {
	m.Grants = slices.DeleteFunc(m.Grants, func(g grant) bool { return l.at.After(g.Until) })
	since := m.Audited.Add(-auditMargin)
	kept, ok := t.AuditRecords()
	if !ok {
		m.grantAll(t, l)
		return false, nil
	}
	config := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since}
	for msg, err := range readStream(ctx, js, kept.Name, config) {
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			m.grantAll(t, l)
			return false, nil
		}
		if err != nil {
			return false, err
		}
		record, ok := parseAudit(msg)
		if !ok {
			continue // somebody else has published it
		}
		if record.Action == "apply" && strings.Contains(record.About, "replace stream "+l.config.Name) {
			replaced = true
		}
		if record.Sequence > m.AuditedTo {
			m.grant(t, l, record.Audit)
			m.AuditedTo = record.Sequence
		}
	}
	m.Audited = l.at
	return replaced, nil
}

// grant takes in one record: first what was intended, then what was done of that.
func (m *scrubMark) grant(t *Topology, l streamLook, record Audit) {
	each := deletesEach(t, l.config.Name, record.Action)
	intended, done := each*uint64(max(record.Count, 0)), each*uint64(max(record.Done, 0))
	if record.Action == auditErase {
		at := slices.IndexFunc(record.Streams, func(s StreamErasure) bool { return s.Stream == l.config.Name })
		if at < 0 {
			return
		}
		intended, done = uint64(max(record.Streams[at].Found, 0)), uint64(max(record.Streams[at].Erased, 0))
	} else if each == 0 {
		return
	}
	name := strings.Join([]string{record.Action, record.Who.String(), record.Source, record.Subscriber, record.InteractionSHA256, record.Numbers}, " ")
	if record.Result == AuditIntended {
		g := grant{Of: intended, Left: intended, Act: name, Until: record.At.Add(actsFor)}
		if each > 1 { // a replay is deleted when its subscriber has it, which may be paused
			g.Until = record.At.Add(max(l.config.MaxAge, actsFor))
		}
		m.Grants = append(m.Grants, g)
		return
	}
	begun := slices.IndexFunc(m.Grants, func(g grant) bool { return g.Act == name })
	if begun < 0 {
		return // it began before anybody looked
	}
	g := &m.Grants[begun]
	g.Left += done
	g.Left -= min(g.Of, g.Left)
	g.Act = "" // it has ended
}

// grantReplays takes in the replays that are under way: each is deleted when its subscriber has it.
func (m *scrubMark) grantReplays(ctx context.Context, js jetstream.JetStream, l streamLook) error {
	stream, err := js.Stream(ctx, l.config.Name)
	if err != nil {
		return err
	}
	n, err := countSubject(ctx, js, stream, replayPrefix+">")
	if err == nil && n > 0 {
		m.Grants = append(m.Grants, grant{Of: n, Left: n, Until: l.at.Add(max(l.config.MaxAge, actsFor))})
	}
	return err
}

// deletesEach is how many messages of a stream an action deletes for each that it acts on.
func deletesEach(t *Topology, stream, action string) uint64 {
	subjects, each := deletesOf(action)
	if role, ok := t.roleStream(subjects); subjects == "" || !ok || role.Name != stream {
		return 0
	}
	return each
}

// grantAll is for streams that genmesh itself deletes from where it keeps no records of that.
func (m *scrubMark) grantAll(t *Topology, l streamLook) {
	for _, subjects := range []string{deadSubjects, quarantineSubjects} {
		if role, ok := t.roleStream(subjects); ok && role.Name == l.config.Name {
			m.Grants = []grant{{Of: math.MaxInt64, Left: math.MaxInt64, Until: l.at.Add(actsFor)}}
		}
	}
}
