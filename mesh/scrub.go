package mesh

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

// A nats-server of one replica says nothing of what its disk has lost: it passes by what it can't read, and after a restart it counts what
// is left. So the streams are scrubbed, as file systems are: what the server says now is compared with what it said before, and every
// message that it claims to have is read.

// ScrubOptions is what a Scrubber works with. JetStream, Topology and Logger are needed.
type ScrubOptions struct {
	JetStream jetstream.JetStream
	// Topology is the streams.json in force; it may change between rounds.
	Topology func() *Topology
	Logger   logrus.FieldLogger
	// Metrics takes the metrics; nil drops them.
	Metrics prometheus.Registerer
	// Acknowledged asks for the highest sequence of each stream that any process was told is stored; those of none are left out. It may be
	// nil.
	Acknowledged func(ctx context.Context) map[string]uint64
	// Every is how far apart rounds are. Default 10s.
	Every time.Duration
}

// Scrubber looks for what the store has lost or damaged, and notes what it finds in the state bucket. Of all processes that have one, one
// does the work at a time.
type Scrubber struct {
	ScrubOptions
	metrics *scrubMetrics
	turn    scrubTurn
	latest  atomic.Pointer[ScrubReport]
	// What follows belongs to who scrubs.
	marked  map[string]time.Time // when the mark of a stream was written last
	acked   map[string]uint64    // up to where streams had acknowledged when the round began
	told    map[string]uint64    // up to where what was acknowledged is known to be lost
	floored map[string]time.Time // when its consumers were looked at last
}

const (
	defaultScrubEvery = 10 * time.Second
	// markEvery is how often the mark of a stream is written where nothing changes.
	markEvery = time.Minute
	// floorsAfter is after how many rounds the consumers are looked at again.
	floorsAfter = 6
	// passEvery is how often all messages are read.
	passEvery = 24 * time.Hour
	// batchesPerRound bounds what is read of a stream in one round: 50,000 messages or 50 MB, and batchPause what it costs the server.
	batchesPerRound = 50
	batchPause      = 20 * time.Millisecond
	// confirmations is how often something has to be seen again before it is a finding. Where there is one replica that is soon after;
	// where there are several, or no stream, it is after the confirmPart of the time between two rounds: a leader that is new may not have
	// caught up.
	confirmations = 2
	confirmSoon   = 50 * time.Millisecond
	confirmPart   = 5
	// roundTimeout bounds a round.
	roundTimeout = 2 * time.Minute
)

// NewScrubber makes a Scrubber. Run starts it.
func NewScrubber(o ScrubOptions) *Scrubber {
	if o.Every <= 0 {
		o.Every = defaultScrubEvery
	}
	o.Logger = o.Logger.WithField("component", "scrub")
	return &Scrubber{
		ScrubOptions: o, metrics: newScrubMetrics(o.Metrics), turn: newScrubTurn(), marked: map[string]time.Time{}, told: map[string]uint64{},
		floored: map[string]time.Time{},
	}
}

// Report is what was known after the latest round of Run; false before the first.
func (s *Scrubber) Report() (ScrubReport, bool) {
	if latest := s.latest.Load(); latest != nil {
		return *latest, true
	}
	return ScrubReport{}, false
}

// Run scrubs until ctx ends, as often as it is the turn of this process, and keeps Report up to date. What goes wrong is logged and tried
// again.
func (s *Scrubber) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		s.round(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	s.turn.leave(ctx, s.JetStream)
	return nil
}

func (s *Scrubber) round(ctx context.Context) {
	if !s.JetStream.Conn().IsConnected() {
		return // whoever needs NATS says so
	}
	bounded, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	err := s.scrubInTurn(bounded)
	report, readErr := s.Topology().ReadScrub(bounded, s.JetStream)
	if readErr == nil {
		s.latest.Store(&report)
		s.metrics.show(report)
	}
	if err = errors.Join(err, readErr); err != nil && ctx.Err() == nil {
		s.Logger.WithError(err).Warn("not everything could be scrubbed; it is tried again")
	}
}

func (s *Scrubber) scrubInTurn(ctx context.Context) error {
	kv, err := s.JetStream.KeyValue(ctx, StateBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil // nothing is applied yet
	}
	if err != nil {
		return err
	}
	isOurs, err := s.turn.take(ctx, kv, 3*s.Every)
	if err != nil {
		return err
	}
	if !isOurs {
		return nil
	}
	return s.scrubAll(ctx, kv, batchesPerRound)
}

// Look compares what the server says of each stream with what it said before, and reads what is new, whoever's turn it is. It fails with
// jetstream.ErrBucketNotFound before the first apply.
func (s *Scrubber) Look(ctx context.Context) error {
	state, err := OpenState(ctx, s.JetStream)
	if err != nil {
		return err
	}
	return s.scrubAll(ctx, state.kv, batchesPerRound)
}

// scrubAll scrubs each stream; one that can't be does not keep the others from it.
func (s *Scrubber) scrubAll(ctx context.Context, kv jetstream.KeyValue, batches int) error {
	if s.Acknowledged != nil {
		s.acked = s.Acknowledged(ctx) // before anything is looked at, which then has it
	}
	var failed []error
	for _, stream := range s.Topology().Streams {
		if ctx.Err() != nil {
			break
		}
		if err := s.scrub(ctx, kv, stream.Name, batches); err != nil {
			failed = append(failed, fmt.Errorf("scrub stream %s: %w", stream.Name, err))
		}
	}
	return errors.Join(append(failed, ctx.Err())...)
}

// scrub looks at a stream and reads on in it.
func (s *Scrubber) scrub(ctx context.Context, kv jetstream.KeyValue, stream string, batches int) error {
	mark, revision, err := readScrubMark(ctx, kv, stream)
	if err != nil {
		return err
	}
	before := mark
	l, found, err := s.look(ctx, kv, &mark, stream)
	if err != nil {
		return err
	}
	if !mark.Gone {
		more, err := s.readOn(ctx, &mark, l, batches)
		if err != nil {
			return err
		}
		found = append(found, more...)
		// Reading may be what makes the server see that a file is damaged: then it counts anew.
		if _, more, err = s.look(ctx, kv, &mark, stream); err != nil {
			return err
		}
		found = append(found, more...)
		if more, err = s.lookAtConsumers(ctx, &mark, stream); err != nil {
			return err
		}
		found = append(found, more...)
	}
	if err := s.tell(ctx, kv, found); err != nil {
		return err
	}
	return s.keep(ctx, kv, stream, before, mark, revision)
}

// keep writes a mark, if it says anything new or is a while old. A process that was quicker is right: the next look is compared with its.
func (s *Scrubber) keep(ctx context.Context, kv jetstream.KeyValue, stream string, before, mark scrubMark, revision uint64) error {
	if before.saysSame(mark) && time.Since(s.marked[stream]) < markEvery {
		return nil
	}
	err := writeScrubState(ctx, kv, scrubMarkKey(stream), mark, revision)
	if err != nil && !IsConflict(err) {
		return err
	}
	s.marked[stream] = time.Now()
	if before.Created.Equal(mark.Created) {
		return nil
	}
	return s.remember(ctx, kv, stream, mark.Created) // not before there is one
}

// look compares a stream with its mark, and makes the mark new. What is lost is looked at again before it is told.
func (s *Scrubber) look(ctx context.Context, kv jetstream.KeyValue, mark *scrubMark, stream string) (streamLook, []ScrubFinding, error) {
	for try := 0; ; try++ {
		next := *mark
		next.Grants = slices.Clone(mark.Grants)
		l, found, err := s.compare(ctx, &next, stream)
		if err != nil {
			return l, nil, err
		}
		if len(found) > 0 && try < confirmations {
			if err := wait(ctx, s.confirmAfter(l)); err != nil {
				return l, nil, err
			}
			continue
		}
		found = s.describe(ctx, *mark, l, found)
		if next.Gone {
			*mark = next
			return l, found, nil
		}
		if !mark.Created.Equal(l.created) {
			lost, err := s.forgotten(ctx, kv, stream, l)
			if err != nil {
				return l, nil, err
			}
			found = append(found, lost...)
			if next, l, err = s.markAnew(ctx, stream, l); err != nil {
				return l, nil, err
			}
		}
		s.goBehind(&next, found)
		if next.Expiries, err = expiriesOf(ctx, s.JetStream, l, next.Expiries); err != nil {
			return l, nil, err
		}
		next.note(l)
		*mark = next
		return l, found, nil
	}
}

// markAnew is the mark of a stream that has none yet: what is missing by now is nobody's loss. Of what the audit tells, only what is still
// under way goes on deleting; that is read first, so that what ends in between is not missed.
func (s *Scrubber) markAnew(ctx context.Context, stream string, l streamLook) (scrubMark, streamLook, error) {
	next := scrubMark{Audited: l.at}
	if _, err := next.readGrants(ctx, s.JetStream, s.Topology(), l); err != nil {
		return next, l, err
	}
	next.Grants = slices.DeleteFunc(next.Grants, func(g grant) bool { return g.Act == "" })
	if role, ok := s.Topology().roleStream(deadSubjects); ok && role.Name == stream {
		if err := next.grantReplays(ctx, s.JetStream, l); err != nil {
			return next, l, err
		}
	}
	l, err := lookAt(ctx, s.JetStream, stream, next)
	return next, l, err
}

// goBehind sees to it that what lies where the end of a stream was lost is read again, and that the loss is told once.
func (s *Scrubber) goBehind(next *scrubMark, found []ScrubFinding) {
	for _, f := range found {
		if f.Kind == ScrubTruncated {
			next.Read = min(next.Read, f.First-1)
			s.told[f.Stream] = max(s.told[f.Stream], f.Last)
		}
	}
}

func (s *Scrubber) confirmAfter(l streamLook) time.Duration {
	if l.config.Replicas == 1 {
		return confirmSoon
	}
	return s.Every / confirmPart
}

func wait(ctx context.Context, length time.Duration) error {
	select {
	case <-time.After(length):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// compare looks at a stream once. It takes what the audit says into the mark, and uses up what that explains.
func (s *Scrubber) compare(ctx context.Context, mark *scrubMark, stream string) (streamLook, []ScrubFinding, error) {
	acked := s.acked[stream]
	if acked <= s.told[stream] {
		acked = 0 // what it says more is known to be lost
	}
	l, err := lookAt(ctx, s.JetStream, stream, *mark)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		l.at = time.Now().UTC()
		if mark.Created.IsZero() || mark.Gone {
			mark.Gone = true
			return l, nil, nil
		}
		mark.Gone = true
		return l, []ScrubFinding{{Kind: ScrubGone, Stream: stream, First: mark.First, Last: mark.Last, Count: mark.Messages, Since: mark.At}}, nil
	}
	if err != nil {
		return l, nil, err
	}
	refilled, err := s.refilled(ctx, *mark, l)
	if err != nil {
		return l, nil, err
	}
	found := mark.judge(l, acked, refilled, false, func(lost spans) spans { return lost })
	if len(found) == 0 {
		return l, nil, nil
	}
	replaced, err := mark.readGrants(ctx, s.JetStream, s.Topology(), l)
	if err != nil {
		return l, nil, err
	}
	return l, mark.judge(l, acked, refilled, replaced, mark.explain), nil
}

// refilled is the first sequence behind which other messages are than when the stream was looked at before: its end was lost, and what
// came since has taken the sequences. It is 0 if that is not so.
func (s *Scrubber) refilled(ctx context.Context, mark scrubMark, l streamLook) (uint64, error) {
	if !mark.Created.Equal(l.created) || mark.Last < l.first || mark.Last > l.last || mark.LastTime.IsZero() {
		return 0, nil
	}
	msg, found, err := askLeader(ctx, s.JetStream, l.config.Name, msgAsk{Sequence: mark.Last})
	if err != nil || !found || msg.stored.Equal(mark.LastTime) {
		return 0, err
	}
	first, err := firstStoredSince(ctx, s.JetStream, l, mark.LastTime.Add(1))
	return min(first, mark.Last), err
}

// forgotten tells where a stream that has no mark had one, or has events that are older than the bucket: then what was known is lost.
func (s *Scrubber) forgotten(ctx context.Context, kv jetstream.KeyValue, stream string, l streamLook) ([]ScrubFinding, error) {
	all, _, err := readScrubbed(ctx, kv)
	if err != nil {
		return nil, err
	}
	created, known := all.Known[stream]
	lost := known && created.Equal(l.created)
	if !lost {
		lost, err = s.isOlder(ctx, kv, l)
	}
	if err != nil || !lost {
		return nil, err
	}
	return []ScrubFinding{ScrubFinding{Kind: ScrubGone, Stream: stateStream, Found: l.at}.explain()}, nil
}

// remember notes that a stream has a mark.
func (s *Scrubber) remember(ctx context.Context, kv jetstream.KeyValue, stream string, created time.Time) error {
	return changeScrubbed(ctx, kv, func(all *scrubbed) (bool, error) {
		if all.Known == nil {
			all.Known = map[string]time.Time{}
		}
		isNew := !all.Known[stream].Equal(created)
		all.Known[stream] = created
		return isNew, nil
	})
}

// bornMargin is how much later than the streams the same apply may make the bucket.
const bornMargin = time.Minute

// isOlder reports whether the stream has an event of before the state bucket was made: genmesh makes that before it stores anything.
func (s *Scrubber) isOlder(ctx context.Context, kv jetstream.KeyValue, l streamLook) (bool, error) {
	if l.messages == 0 {
		return false, nil
	}
	msg, found, err := askLeader(ctx, s.JetStream, l.config.Name, msgAsk{Sequence: l.first})
	if err != nil || !found || msg.header.Get(HeaderSource) == "" {
		return false, err
	}
	born, err := kv.Get(ctx, BornKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return true, nil
	}
	return err == nil && born.Created().Sub(msg.stored) > bornMargin, err
}

// readOn reads what is new in a stream, and then, once a day and after each restart of the server, all of it anew.
func (s *Scrubber) readOn(ctx context.Context, mark *scrubMark, l streamLook, batches int) ([]ScrubFinding, error) {
	s.schedulePass(mark, l)
	tail := &reading{next: max(mark.Read+1, l.first)}
	used, err := s.readSome(ctx, tail, l, batches)
	if err != nil {
		return nil, err
	}
	mark.Read = max(mark.Read, tail.next-1)
	if mark.Read >= l.last && mark.Passed.IsZero() {
		mark.Passed = l.at // there was nothing else to read
	}
	found, err := s.confirmed(ctx, mark, l, tail)
	if err != nil || mark.Pass == 0 || used >= batches {
		return found, err
	}
	pass := &reading{next: max(mark.Pass, l.first)}
	if _, err := s.readSome(ctx, pass, l, batches-used); err != nil {
		return found, err
	}
	if mark.Pass = pass.next; pass.next > l.last {
		mark.Pass, mark.Passed = 0, l.at
	}
	more, err := s.confirmed(ctx, mark, l, pass)
	return append(found, more...), err
}

// schedulePass begins to read all of a stream anew when that is due. What a server of one replica has lost it shows after a restart.
func (s *Scrubber) schedulePass(mark *scrubMark, l streamLook) {
	server := s.JetStream.Conn().ConnectedServerId()
	isRestarted := l.config.Replicas <= 1 && mark.Server != "" && mark.Server != server
	isDue := mark.Pass == 0 && !mark.Passed.IsZero() && l.at.Sub(mark.Passed) >= passEvery
	if isRestarted || isDue {
		mark.Pass = l.first
	}
	mark.Server = server
}

// readSome reads up to the last message of a look, at most so many batches, and tells how many it took.
func (s *Scrubber) readSome(ctx context.Context, r *reading, l streamLook, batches int) (used int, err error) {
	defer func() { s.metrics.read.WithLabelValues(l.config.Name).Add(float64(r.read)) }()
	for r.next <= l.last && used < batches {
		if used > 0 {
			if err := wait(ctx, batchPause); err != nil {
				return used, err
			}
		}
		if err := r.readBatch(ctx, s.JetStream, l); err != nil {
			return used, err
		}
		used++
	}
	return used, nil
}

// confirmed are the findings of a stretch that was read, but those that were told before.
func (s *Scrubber) confirmed(ctx context.Context, mark *scrubMark, l streamLook, r *reading) ([]ScrubFinding, error) {
	r.unread, r.altered = r.unread.without(l.holes).without(mark.Bad), r.altered.without(mark.Bad)
	if l.uncounted {
		r.unread = nil
	}
	for range confirmations {
		if len(r.unread)+len(r.altered) == 0 {
			return nil, nil
		}
		if err := wait(ctx, s.confirmAfter(l)); err != nil {
			return nil, err
		}
		if err := r.confirm(ctx, s.JetStream, *mark, l.config.Name); err != nil {
			return nil, err
		}
	}
	mark.Bad = mark.Bad.with(r.unread).with(r.altered)
	found := ofKind(ScrubUnreadable, lostFindings(l.config.Name, r.unread))
	found = append(found, ofKind(ScrubAltered, lostFindings(l.config.Name, r.altered))...)
	return s.describe(ctx, *mark, l, found), nil
}

func ofKind(kind ScrubKind, found []ScrubFinding) []ScrubFinding {
	for i := range found {
		found[i].Kind = kind
	}
	return found
}

// ReadAll reads all messages of all streams at once, as fast as the server delivers them. progress, which may be nil, is told how many
// sequences of how many are done.
func (s *Scrubber) ReadAll(ctx context.Context, progress func(done, of uint64)) error {
	state, err := OpenState(ctx, s.JetStream)
	if err != nil {
		return err
	}
	done, of := uint64(0), uint64(0)
	looks := map[string]streamLook{}
	for _, stream := range s.Topology().Streams {
		l, err := lookAt(ctx, s.JetStream, stream.Name, scrubMark{})
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		looks[stream.Name] = l
		of += l.last + 1 - l.first
	}
	for _, name := range slices.Sorted(maps.Keys(looks)) {
		l := looks[name]
		tell := func(next uint64) {
			if progress != nil {
				progress(done+next-l.first, of)
			}
		}
		if err := s.readStream(ctx, state.kv, l, tell); err != nil {
			return fmt.Errorf("scrub stream %s: %w", name, err)
		}
		done += l.last + 1 - l.first
	}
	return nil
}

// readStream reads all of one stream.
func (s *Scrubber) readStream(ctx context.Context, kv jetstream.KeyValue, l streamLook, tell func(next uint64)) error {
	r := &reading{next: l.first}
	for r.next <= l.last {
		if _, err := s.readSome(ctx, r, l, 1); err != nil {
			return err
		}
		r.read = 0
		tell(r.next)
	}
	mark, revision, err := readScrubMark(ctx, kv, l.config.Name)
	if err != nil {
		return err
	}
	before := mark
	found, err := s.confirmed(ctx, &mark, l, r)
	if err != nil {
		return err
	}
	if err := s.tell(ctx, kv, found); err != nil {
		return err
	}
	mark.Pass, mark.Passed = 0, l.at
	return s.keep(ctx, kv, l.config.Name, before, mark, revision)
}

// describe says of findings what else is known: when what they concern was stored, and who may have missed it.
func (s *Scrubber) describe(ctx context.Context, mark scrubMark, l streamLook, found []ScrubFinding) []ScrubFinding {
	for i := range found {
		f := &found[i]
		f.Found = l.at
		if f.Since.IsZero() && f.Kind != ScrubUnreadable && f.Kind != ScrubAltered {
			f.Since = mark.At
		}
		f.From, f.To = s.neighbours(ctx, mark, l, *f)
		f.Missed = missedBy(mark.Floors, f.Last)
		*f = f.explain()
	}
	return found
}

// neighbours are when the messages before and behind a loss were stored. What can't be told is zero.
func (s *Scrubber) neighbours(ctx context.Context, mark scrubMark, l streamLook, f ScrubFinding) (from, to time.Time) {
	if f.Kind == ScrubTruncated || f.Kind == ScrubReplaced || f.Kind == ScrubGone {
		to = mark.LastTime
	}
	if f.Kind == ScrubReplaced || f.Kind == ScrubGone || f.First == 0 {
		return from, to
	}
	if msg, found, err := askLeader(ctx, s.JetStream, f.Stream, msgAsk{Sequence: f.First - 1}); f.First > 1 && err == nil && found {
		from = msg.stored
	}
	if msg, found, err := askLeader(ctx, s.JetStream, f.Stream, msgAsk{Sequence: f.Last + 1, Subject: ">"}); to.IsZero() && f.Last < l.last && err == nil && found {
		to = msg.stored
	}
	return from, to
}

// tell notes findings for all to see, keeps a record of each, and logs it.
func (s *Scrubber) tell(ctx context.Context, kv jetstream.KeyValue, found []ScrubFinding) error {
	if len(found) == 0 {
		return nil
	}
	var news []ScrubFinding
	err := changeScrubbed(ctx, kv, func(all *scrubbed) (bool, error) {
		news = all.add(found)
		return len(news) > 0, nil
	})
	if err != nil {
		return err
	}
	for _, f := range news {
		s.Logger.WithField("stream", f.Stream).WithField("missing", f.Lost()).WithField("detail", f.Causes).Error(f.String() + ": genmesh scrub tells more")
		record := Audit{
			At: f.Found, Who: Actor{User: "genmesh", Via: "scrub"}, Action: auditScrub, About: f.String(), Count: int(f.Lost()), Result: AuditDone,
		}
		if err := RecordAudit(ctx, s.JetStream, s.Topology(), record); err != nil && !errors.Is(err, ErrNoAudit) {
			s.Logger.WithField("stream", f.Stream).WithError(err).Warn("what a scrub found is not in the audit")
		}
	}
	return nil
}

// auditScrub is the action of a finding.
const auditScrub = "scrub"
