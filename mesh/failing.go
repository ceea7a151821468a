package mesh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// failures are those since an event was stored for the last time.
type failures struct {
	first, last time.Time
	unanswered  time.Time // when the latest publication that got no answer began; zero if there was none
	// mute is the nats-server that tells about the stream and answers nothing that is published to it, as it was when that was found; the zero
	// value if there is none. That is how nats-server 2.15 does after a write that failed, as on a full disk, until it is restarted. All else that
	// it says of itself is well.
	mute informant
	told bool // the log has said that events are not taken
}

const (
	// failingTime is how long storing may fail before Ready says so, for a leader change is shorter,
	// and how long Ready says so after the last failure: who sends nothing to a process that is not
	// ready must find out again.
	failingTime = 10 * time.Second
	// trialInterval: of what comes in while the stream is mute one delivery in this time is tried, and the others are refused at once. So
	// there is mostly one under way.
	trialInterval = settleTimeout
)

// why tells why the stream stores nothing, if that is known or has lasted.
func (f *failures) why(stream string) error {
	since := f.first.UTC().Format(time.RFC3339)
	switch {
	case f.mute.server != "":
		return fmt.Errorf("stream %s has stored nothing since %s: nats-server %s answers, but not what is published. Its disk may be full: "+
			"free space there, then restart that nats-server (one in this process does so itself). In a cluster it may have lost the others", stream, since, f.mute.server)
	case f.last.Sub(f.first) > failingTime:
		return fmt.Errorf("stream %s has stored nothing since %s", stream, since)
	}
	return nil
}

// refusal is why an event is not even tried, or nil.
func (s *streamCommitter) refusal() error {
	f := s.failing.Load()
	if f == nil || f.mute.server == "" {
		return nil
	}
	now, latest := time.Now().UnixNano(), s.trial.Load()
	if now-latest >= int64(trialInterval) && s.trial.CompareAndSwap(latest, now) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, f.why(s.stream))
}

// unproven is why the server's word that it has an event already is no proof that the event is on the disk, or nil. Where the fsync of a
// batch fails, the batch gets no answer, but nats-server 2.15.2 knows its ids from then on (server/stream.go, processJetStreamAtomicBatchMsg): who sends such an
// event again is told that it is a duplicate, and a power cut then takes it. In a stream with replicas only what a majority has on its disks has an id that
// counts (server/jetstream_batching.go: before that the answer is an error), and no batch goes there.
func (s *streamCommitter) unproven() error {
	f := s.failing.Load()
	if f == nil || f.mute.server == "" || s.facts.replicated {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, f.why(s.stream))
}

func (s *streamCommitter) noteSuccess() {
	if f := s.failing.Swap(nil); f != nil && f.told {
		s.log.Info("the stream stores events again")
	}
}

func (s *streamCommitter) noteFailure(pub *publication) {
	if !errors.Is(pub.err, ErrUnavailable) {
		return
	}
	now := time.Now()
	f := failures{first: now}
	if before := s.failing.Load(); before != nil {
		f = *before
	}
	f.last = now
	if pub.flies && isUnanswered(pub.err) {
		f.unanswered = pub.asked
		s.doubt()
	}
	s.failing.Store(&f)
}

// isUnanswered reports whether the server was silent, which it is neither while the stream is full nor while it is away.
func isUnanswered(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrAsyncPublishTimeout) || errors.Is(err, nats.ErrTimeout)
}

// doubt asks for the facts about the stream out of turn. Nothing goes out until they are there.
func (s *streamCommitter) doubt() {
	s.inDoubt = true
	select {
	case s.doubted <- struct{}{}:
	default: // they are asked for already
	}
}

// informant is who told about the stream, over which connection, and since when it has led: between two questions the lead may have gone away
// and come back.
type informant struct {
	server      string
	started     string // an id of the server that is new at each of its starts; "" where it is not the one that this process is connected to
	connections uint64
	leads       int64 // since when, in Unix nanoseconds; 0 where there are no replicas
}

// isAnother reports whether i is another server than before, or the same one that was restarted or elected since.
func (i informant) isAnother(before informant) bool {
	restarted := i.started != "" && before.started != "" && i.started != before.started
	return i.server != before.server || i.leads != before.leads || restarted
}

func (s *streamCommitter) informant(info *jetstream.StreamInfo) informant {
	nc := s.js.Conn()
	from := informant{server: nc.ConnectedServerName(), connections: nc.Stats().Reconnects}
	if info.Cluster != nil && info.Cluster.Leader != "" {
		from.server = info.Cluster.Leader
	}
	if info.Cluster != nil && info.Cluster.LeaderSince != nil {
		from.leads = info.Cluster.LeaderSince.UnixNano()
	}
	if from.server == nc.ConnectedServerName() {
		from.started = nc.ConnectedServerId()
	}
	return from
}

// judgeFailures finds out whether the stream is mute: one server told about it all the time while a publication got no answer. Where the
// leader or the connection changed meanwhile, the publication or its answer may have been lost with that.
func (s *streamCommitter) judgeFailures(f streamFacts) {
	s.inDoubt = false
	switch {
	case !f.known:
		s.steady = time.Time{}
		return
	case s.steady.IsZero() || f.from != s.facts.from:
		s.steady = time.Now()
	}
	before := s.failing.Load()
	switch {
	case before == nil:
	case before.mute.server != "" && f.from.isAnother(before.mute):
		after := *before
		after.mute = informant{}
		s.failing.Store(&after)
	case before.mute.server == "" && before.unanswered.After(s.steady):
		s.refuseAll(*before, f.from)
	}
}

// refuseAll lets nothing go out any more but trials.
func (s *streamCommitter) refuseAll(f failures, mute informant) {
	f.mute, f.told = mute, true
	s.trial.Store(time.Now().UnixNano())
	s.failing.Store(&f)
	why := f.why(s.stream)
	s.log.WithError(why).WithField("server", mute.server).Error("events are not taken")
	for len(s.ready) > 0 { // those that waited in line become ready
		ready := s.ready
		s.ready = nil
		for _, pub := range ready {
			pub.fail(fmt.Errorf("%w: %w", ErrUnavailable, why))
			s.settle(pub)
		}
	}
}
