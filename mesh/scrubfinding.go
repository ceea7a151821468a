package mesh

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ScrubKind says what a scrub found.
type ScrubKind string

// What a scrub finds. All but ScrubRewound are losses.
const (
	// ScrubMissing: messages are gone that neither the stream's limits nor anything in the audit took away.
	ScrubMissing ScrubKind = "missing"
	// ScrubUnreadable: the server counts messages that it can't read.
	ScrubUnreadable ScrubKind = "unreadable"
	// ScrubAltered: bodies are not those that were stored.
	ScrubAltered ScrubKind = "altered"
	// ScrubTruncated: the newest messages are gone, which had been acknowledged.
	ScrubTruncated ScrubKind = "truncated"
	// ScrubReplaced: another stream has the name now.
	ScrubReplaced ScrubKind = "replaced"
	// ScrubGone: the server has no stream of the name any more, or of the state bucket what was known of it.
	ScrubGone ScrubKind = "gone"
	// ScrubRewound: a consumer has forgotten what it had acknowledged, and hands it out again.
	ScrubRewound ScrubKind = "rewound"
)

// ScrubFinding is a damage that a scrub found. It stays until somebody accepts it. It names events by their place and holds nothing of
// them. Its JSON names are stable.
type ScrubFinding struct {
	ID     uint64    `json:"id"`
	Kind   ScrubKind `json:"kind"`
	Stream string    `json:"stream"`
	// Subscriber and Consumer are whose position is rewound.
	Subscriber string `json:"subscriber,omitempty"`
	Consumer   string `json:"consumer,omitempty"`
	// First and Last are the lowest and the highest sequence that is concerned, Count how many between them. They are 0 where that is not
	// known.
	First uint64 `json:"first,omitempty"`
	Last  uint64 `json:"last,omitempty"`
	Count uint64 `json:"count"`
	// Found is when it was seen; it happened after Since, when all was well, where that is known.
	Found time.Time `json:"found"`
	Since time.Time `json:"since,omitzero"`
	// From and To are when the neighbours were stored that are left: what is concerned was stored between them. Zero is open.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Missed are the subscribers that had not acknowledged all of it when they were looked at before: they may never get it.
	Missed []string `json:"missed,omitempty"`
	// Causes says what may be behind it, Do what to do.
	Causes string `json:"causes"`
	Do     string `json:"do"`
}

// String says in one line what was found.
func (f ScrubFinding) String() string {
	what := counted(f.Count, "message", "messages")
	if f.First > 0 {
		what += fmt.Sprintf(" (%d to %d)", f.First, f.Last)
		if f.First == f.Last {
			what = fmt.Sprintf("message %d", f.First)
		}
	}
	is := "are"
	if f.Count == 1 {
		is = "is"
	}
	switch f.Kind {
	case ScrubMissing:
		return fmt.Sprintf("%s of %s %s missing", what, f.Stream, is)
	case ScrubUnreadable:
		return fmt.Sprintf("%s of %s can't be read", what, f.Stream)
	case ScrubAltered:
		return fmt.Sprintf("%s of %s %s not as stored", what, f.Stream, is)
	case ScrubTruncated:
		return fmt.Sprintf("%s at the end of %s %s gone, acknowledged before", what, f.Stream, is)
	case ScrubReplaced:
		return fmt.Sprintf("%s is another stream now; %s of the one before %s gone", f.Stream, what, is)
	case ScrubGone:
		if f.Stream == stateStream {
			return "what scrubs knew is gone from the state bucket; what was lost before can't be told"
		}
		return fmt.Sprintf("%s is gone, with %s", f.Stream, what)
	case ScrubRewound:
		return fmt.Sprintf("consumer %s of %s was set back behind %s: %s gets them again", f.Consumer, f.Stream, what, f.Subscriber)
	}
	return string(f.Kind)
}

func counted(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Lost is how many messages are lost by it.
func (f ScrubFinding) Lost() uint64 {
	if f.Kind == ScrubRewound {
		return 0
	}
	return f.Count
}

// explain fills in what may be behind it, and what to do.
func (f ScrubFinding) explain() ScrubFinding {
	damage := "a damaged disk or file system, a file of the store cut, changed or deleted"
	f.Do = "Look at the disk and the server's log first. Restore the stream from a backup or a mirror, or have the source send again what was " +
		"stored in that time; then accept it with genmesh scrub."
	switch f.Kind {
	case ScrubMissing:
		f.Causes = damage + "; or somebody purged or deleted messages by other means than genmesh"
	case ScrubUnreadable, ScrubAltered:
		f.Causes = damage
	case ScrubTruncated:
		f.Causes = damage + "; a power cut without sync_interval always; or an older copy of the store was put back"
	case ScrubReplaced:
		f.Causes = "the stream was deleted and made again, by somebody or because its description in the store (meta.inf) was damaged"
	case ScrubGone:
		f.Causes = "the stream was deleted, by somebody or because its description in the store (meta.inf) was damaged; then its messages may " +
			"still be on the disk"
		if f.Stream == stateStream {
			f.Causes = "the state bucket was purged, deleted or damaged"
			f.Do = "Compare the streams with a backup, if anything else points at damage; then accept it with genmesh scrub."
		}
	case ScrubRewound:
		f.Causes = "the consumer's state in the store was damaged, or somebody reset it"
		f.Do = "Nothing is lost: the target gets these events again, under the same idempotency keys. Look at the disk; then accept it with genmesh scrub."
	}
	return f
}

// touches reports whether another finding is of the same damage.
func (f ScrubFinding) touches(other ScrubFinding) bool {
	return f.Kind == other.Kind && f.Stream == other.Stream && f.Consumer == other.Consumer &&
		f.First <= other.Last+1 && other.First <= f.Last+1
}

// scrubFindingsKey is where the findings are in the state bucket.
const scrubFindingsKey = "scrub.findings"

// maxScrubFindings bounds them. What comes above that is added to the newest one of its stream.
const maxScrubFindings = 100

// scrubbed is what the state bucket has of all streams together.
type scrubbed struct {
	Next uint64 `json:"next"`
	// Known are the streams that have a mark, and when they were created: where one of these has none, it was lost.
	Known    map[string]time.Time `json:"known,omitempty"`
	Findings []ScrubFinding       `json:"findings,omitempty"`
}

// add takes in what was found anew, and returns that. Further damage next to one that is known makes that one wider.
func (s *scrubbed) add(found []ScrubFinding) (news []ScrubFinding) {
	for _, f := range found {
		at := slices.IndexFunc(s.Findings, f.touches)
		if at < 0 && len(s.Findings) >= maxScrubFindings {
			at = s.newestOf(f.Stream)
		}
		if at < 0 {
			s.Next++
			f.ID = s.Next
			s.Findings, news = append(s.Findings, f), append(news, f)
			continue
		}
		if known := s.Findings[at]; known.Kind == f.Kind && known.First <= f.First && f.Last <= known.Last {
			continue // told already
		}
		s.Findings[at] = s.Findings[at].wider(f)
		news = append(news, s.Findings[at])
	}
	return news
}

func (s *scrubbed) newestOf(stream string) int {
	for i := len(s.Findings) - 1; i >= 0; i-- {
		if s.Findings[i].Stream == stream {
			return i
		}
	}
	return len(s.Findings) - 1
}

func (f ScrubFinding) wider(by ScrubFinding) ScrubFinding {
	f.Count += by.Count
	f.Last, f.To, f.Found = max(f.Last, by.Last), by.To, by.Found
	if by.First < f.First {
		f.First, f.From = by.First, by.From
	}
	for _, name := range by.Missed {
		if !slices.Contains(f.Missed, name) {
			f.Missed = append(f.Missed, name)
		}
	}
	return f
}

func readScrubbed(ctx context.Context, kv jetstream.KeyValue) (s scrubbed, revision uint64, err error) {
	revision, err = readScrubState(ctx, kv, scrubFindingsKey, &s)
	return s, revision, err
}

// readScrubState reads what a key holds. Its revision is 0 where there is nothing.
func readScrubState(ctx context.Context, kv jetstream.KeyValue, key string, into any) (revision uint64, err error) {
	entry, err := kv.Get(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("state %s: %w", key, err)
	}
	if err := json.Unmarshal(entry.Value(), into); err != nil {
		return 0, fmt.Errorf("state %s can't be read: %w", key, err)
	}
	return entry.Revision(), nil
}

// writeScrubState writes a key over the revision that was read; 0 is over nothing.
func writeScrubState(ctx context.Context, kv jetstream.KeyValue, key string, value any, revision uint64) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("state %s: %w", key, err)
	}
	if revision == 0 {
		_, err = kv.Create(ctx, key, data)
	} else {
		_, err = kv.Update(ctx, key, data, revision)
	}
	if err != nil {
		return fmt.Errorf("state %s: %w", key, err)
	}
	return nil
}

// changeScrubbed changes what all streams have together, again where another process was quicker.
func changeScrubbed(ctx context.Context, kv jetstream.KeyValue, change func(*scrubbed) (changed bool, err error)) error {
	for {
		s, revision, err := readScrubbed(ctx, kv)
		if err != nil {
			return err
		}
		changed, err := change(&s)
		if err != nil || !changed {
			return err
		}
		if err = writeScrubState(ctx, kv, scrubFindingsKey, s, revision); !IsConflict(err) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// ErrNoScrubFinding means that there is no finding of that id.
var ErrNoScrubFinding = errors.New("there is no finding of that id")

// AcceptScrubFinding takes a finding off the list, and returns it. The caller has to keep a record of that: it is history. It fails with
// ErrNoScrubFinding if there is none.
func AcceptScrubFinding(ctx context.Context, js jetstream.JetStream, id uint64) (ScrubFinding, error) {
	var accepted ScrubFinding
	state, err := OpenState(ctx, js)
	if err != nil {
		return accepted, err
	}
	err = changeScrubbed(ctx, state.kv, func(s *scrubbed) (bool, error) {
		at := slices.IndexFunc(s.Findings, func(f ScrubFinding) bool { return f.ID == id })
		if at < 0 {
			return false, fmt.Errorf("%w: %d", ErrNoScrubFinding, id)
		}
		accepted = s.Findings[at]
		s.Findings = slices.Delete(s.Findings, at, at+1)
		return true, nil
	})
	return accepted, err
}

// ScrubReport is what scrubs have found, and how far they are. Its JSON names are stable.
type ScrubReport struct {
	Streams []ScrubbedStream `json:"streams"`
	// Findings are those that nobody has accepted, the newest first.
	Findings []ScrubFinding `json:"findings"`
}

// ScrubbedStream is how far the scrubbing of a stream is.
type ScrubbedStream struct {
	Stream string `json:"stream"`
	// Looked is when the server's count was last compared with the one before, as far as it was noted: at least once a minute. It is zero
	// where that never happened.
	Looked time.Time `json:"looked,omitzero"`
	// Read is the sequence up to which all messages were read at least once, Passed when all of them had been read the last time.
	Read   uint64    `json:"read"`
	Passed time.Time `json:"passed,omitzero"`
	// Passing is the sequence that reading all of them anew has come to; 0 while that is not going on.
	Passing uint64 `json:"passing,omitempty"`
}

// ReadScrub reads what scrubs noted of the streams of t. Before the first apply there is nothing, and no error.
func (t *Topology) ReadScrub(ctx context.Context, js jetstream.JetStream) (ScrubReport, error) {
	report := ScrubReport{Streams: []ScrubbedStream{}, Findings: []ScrubFinding{}}
	state, err := OpenState(ctx, js)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return report, nil
	}
	if err != nil {
		return report, err
	}
	all, _, err := readScrubbed(ctx, state.kv)
	if err != nil {
		return report, err
	}
	report.Findings = append(report.Findings, all.Findings...)
	slices.SortFunc(report.Findings, func(a, b ScrubFinding) int {
		return cmp.Or(b.Found.Compare(a.Found), cmp.Compare(b.ID, a.ID), strings.Compare(a.Stream, b.Stream))
	})
	for _, stream := range t.Streams {
		mark, _, err := readScrubMark(ctx, state.kv, stream.Name)
		if err != nil {
			return report, err
		}
		report.Streams = append(report.Streams, ScrubbedStream{
			Stream: stream.Name, Looked: mark.At, Read: mark.Read, Passed: mark.Passed, Passing: mark.Pass,
		})
	}
	return report, nil
}
