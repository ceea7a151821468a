package mesh

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// scrubMark is how a stream was when it was looked at last: what the next look compares with, in whatever process and after whatever
// restart.
type scrubMark struct {
	At       time.Time `json:"at"` // by the server's clock
	Created  time.Time `json:"created"`
	First    uint64    `json:"first"`
	Last     uint64    `json:"last"`
	LastTime time.Time `json:"last_time,omitzero"`
	Messages uint64    `json:"messages"`
	Bytes    uint64    `json:"bytes"`
	Limits   limits    `json:"limits"`
	// Gone is true once it was told that the server has no such stream.
	Gone bool `json:"gone,omitempty"`

	// Holes are the sequences between First and Last that are not there, for good reason or told. Uncounted is true where they are in too
	// many pieces to be listed.
	Holes     spans `json:"holes,omitempty"`
	Uncounted bool  `json:"uncounted,omitempty"`
	// Bad are the sequences that are there, and can't be read or are altered: told.
	Bad spans `json:"bad,omitempty"`
	// Expiries are what may expire until when.
	Expiries []expiry `json:"expiries,omitempty"`
	// Grants are what audit records say was going to be deleted and is not seen gone yet, up to the record AuditedTo, which was stored
	// before Audited.
	Grants    []grant   `json:"grants,omitempty"`
	Audited   time.Time `json:"audited,omitzero"`
	AuditedTo uint64    `json:"audited_to,omitempty"`

	// Read is the sequence up to which messages were read as they came, Pass up to which all of them are read anew, Passed when that came
	// to its end. Server is who served the latest pass.
	Read   uint64    `json:"read"`
	Pass   uint64    `json:"pass,omitempty"`
	Passed time.Time `json:"passed,omitzero"`
	Server string    `json:"server,omitempty"`

	// Floors are up to where consumers had acknowledged everything, by their names.
	Floors map[string]floor `json:"floors,omitempty"`
}

// limits are those by which a stream lets go of its oldest messages.
type limits struct {
	MaxAge   time.Duration `json:"max_age,omitempty"`
	MaxBytes int64         `json:"max_bytes,omitempty"`
	MaxMsgs  int64         `json:"max_msgs,omitempty"`
	Rolls    bool          `json:"rolls,omitempty"` // when it is full it discards the oldest
}

func limitsOf(c jetstream.StreamConfig) limits {
	return limits{MaxAge: c.MaxAge, MaxBytes: max(c.MaxBytes, 0), MaxMsgs: max(c.MaxMsgs, 0), Rolls: c.Discard == jetstream.DiscardOld}
}

// expiry says that up to a time nothing of Before and later may expire.
type expiry struct {
	Until  time.Time `json:"until"`
	Before uint64    `json:"before"`
}

// floor is a consumer's position at the latest two looks at the consumers.
type floor struct {
	Subscriber string    `json:"subscriber"`
	Created    time.Time `json:"created"`
	Last       uint64    `json:"last"`
	Earlier    uint64    `json:"earlier"`
}

// saysSame reports whether two marks differ in nothing but their time and what follows from that.
func (m scrubMark) saysSame(other scrubMark) bool {
	m.At, m.Expiries, m.Audited = other.At, other.Expiries, other.Audited
	mine, err := json.Marshal(m)
	theirs, otherErr := json.Marshal(other)
	return err == nil && otherErr == nil && bytes.Equal(mine, theirs)
}

// streamLook is a stream as the server's leader has it at a moment.
type streamLook struct {
	at          time.Time
	created     time.Time
	first, last uint64
	lastTime    time.Time
	messages    uint64
	bytes       uint64
	config      jetstream.StreamConfig
	// holes are the sequences between first and last that it does not have; uncounted is true where they are in too many pieces.
	holes     spans
	uncounted bool
}

const (
	// maxListedHoles bounds the holes that the server is asked to list: each costs twenty bytes of its answer.
	maxListedHoles = 200_000
	// maxHolePieces bounds the pieces that are remembered, to about 200 KB.
	maxHolePieces = 10_000
)

// lookAt asks the server's leader for a stream. It asks for the holes only if they may have changed since the mark.
func lookAt(ctx context.Context, js jetstream.JetStream, name string, mark scrubMark) (streamLook, error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return streamLook{}, err
	}
	l := newStreamLook(stream.CachedInfo())
	missing := l.missing()
	switch {
	case missing == 0:
		return l, nil
	case l.created.Equal(mark.Created) && l.first == mark.First && !mark.Uncounted && missing == mark.Holes.count() && l.last >= mark.Last:
		l.holes = mark.Holes
		return l, nil
	case missing > maxListedHoles:
		l.uncounted = true
		return l, nil
	}
	info, err := stream.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return streamLook{}, err
	}
	l = newStreamLook(info)
	slices.Sort(info.State.Deleted)
	l.holes = spansOf(info.State.Deleted).within(l.first, l.last)
	l.uncounted = len(l.holes) > maxHolePieces || l.holes.count() != l.missing()
	if l.uncounted {
		l.holes = nil
	}
	return l, nil
}

func newStreamLook(info *jetstream.StreamInfo) streamLook {
	s := info.State
	l := streamLook{
		at: info.TimeStamp, created: info.Created, first: max(s.FirstSeq, 1), last: s.LastSeq, lastTime: s.LastTime,
		messages: s.Msgs, bytes: s.Bytes, config: info.Config,
	}
	if l.at.IsZero() {
		l.at = time.Now().UTC()
	}
	if s.Msgs == 0 {
		l.first = l.last + 1
	}
	return l
}

// missing is how many sequences between the first and the last it does not have.
func (l streamLook) missing() uint64 {
	all := l.last + 1 - l.first
	return all - min(l.messages, all)
}

// note makes the mark what the look has seen.
func (m *scrubMark) note(l streamLook) {
	m.At, m.Created, m.First, m.Last, m.LastTime, m.Messages, m.Bytes = l.at, l.created, l.first, l.last, l.lastTime, l.messages, l.bytes
	m.Limits, m.Holes, m.Uncounted, m.Gone = limitsOf(l.config), l.holes, l.uncounted, false
	m.Bad = m.Bad.within(l.first, l.last).without(l.holes)
	if len(m.Bad) > maxHolePieces {
		m.Bad = spans{m.Bad.hull()}
	}
	m.Read = min(m.Read, l.last)
	m.Pass = min(m.Pass, l.last)
}

// keepsAll reports whether a stream lets go of nothing but its oldest messages by itself, so that what is missing between them was deleted
// or lost.
func keepsAll(c jetstream.StreamConfig) bool {
	return c.Retention == jetstream.LimitsPolicy && c.MaxMsgsPerSubject <= 0 && !c.AllowMsgTTL && !c.AllowRollup && c.Mirror == nil
}

const (
	// fullShare is from which share of its bounds on a stream may have been full at some time between two looks.
	fullShare = 0.9
	// longAway is for how long nobody may have looked at a stream that discards its oldest so that it is still known whether it was full.
	longAway = time.Hour
)

// mayLose is up to before which sequence the limits of the stream may have taken messages since the mark.
func (m *scrubMark) mayLose(l streamLook) uint64 {
	now := limitsOf(l.config)
	if now != m.Limits {
		return l.first // somebody has changed them
	}
	if now.Rolls && (now.MaxBytes > 0 || now.MaxMsgs > 0) {
		nearly := func(used uint64, most int64) bool { return most > 0 && float64(used) >= fullShare*float64(most) }
		wasFull := nearly(l.bytes, now.MaxBytes) || nearly(m.Bytes, now.MaxBytes) || nearly(l.messages, now.MaxMsgs) || nearly(m.Messages, now.MaxMsgs)
		if wasFull || l.at.Sub(m.At) > longAway {
			return l.first
		}
	}
	if now.MaxAge <= 0 {
		return m.First
	}
	for _, e := range m.Expiries { // the soonest first
		if !e.Until.Before(l.at) {
			return e.Before
		}
	}
	if l.at.Sub(m.At) < now.MaxAge-expirySlack {
		return min(m.Last+1, l.first) // nobody looked for longer than is known, but what came since is not that old
	}
	return l.first
}

// horizons are for how long ahead it is found out what may expire. The nearest serves from one look to the next, the others serve where
// nobody looks for a while.
func horizons() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour, day, 3 * day, 10 * day, 30 * day}
}

// expirySlack is how much earlier than by the leader's clock a message may expire, by that of another node.
const expirySlack = time.Minute

// expiriesOf finds out what may expire until when; what is known for long enough stays.
func expiriesOf(ctx context.Context, js jetstream.JetStream, l streamLook, known []expiry) ([]expiry, error) {
	if l.config.MaxAge <= 0 || l.messages == 0 {
		return nil, nil
	}
	var all []expiry
	for _, ahead := range horizons() {
		if ahead >= l.config.MaxAge {
			break
		}
		at := slices.IndexFunc(known, func(e expiry) bool {
			left := e.Until.Sub(l.at)
			return left > ahead/2 && left <= ahead
		})
		if at >= 0 {
			all = append(all, known[at])
			continue
		}
		until := l.at.Add(ahead)
		before, err := firstStoredSince(ctx, js, l, until.Add(expirySlack-l.config.MaxAge))
		if err != nil {
			return nil, err
		}
		all = append(all, expiry{until, before})
	}
	return all, nil
}

// scrubMarkKey is where the mark of a stream is in the state bucket.
func scrubMarkKey(stream string) string { return "scrub.mark." + stream }

func readScrubMark(ctx context.Context, kv jetstream.KeyValue, stream string) (m scrubMark, revision uint64, err error) {
	revision, err = readScrubState(ctx, kv, scrubMarkKey(stream), &m)
	return m, revision, err
}
