package mesh

import (
	"context"
	"errors"
	"fmt"
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
