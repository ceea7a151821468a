package mesh

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// recentEvent is a stored event as far as the memory needs it.
type recentEvent struct {
	id          string
	first       bool // it holds the id itself
	fingerprint string
	sequence    uint64
	stored      time.Time
}

const (
	// maxRecent bounds how many stored events a starting committer reads back.
	maxRecent     = 50_000
	recentTimeout = 10 * time.Second
)

// watchFacts keeps the committer informed about its stream until ctx ends: at once, and every
// few seconds, so that an applied change of replicas or window takes effect. The events of the
// duplicate window come along once, so that a restart in the middle of a busy day does not make
// every batch run into them.
func (s *streamCommitter) watchFacts(ctx context.Context) {
	ticker := time.NewTicker(factsInterval)
	defer ticker.Stop()
	var last streamFacts
	for ctx.Err() == nil {
		last = s.lookAtStream(ctx, last)
		select {
		case <-ticker.C:
		case <-s.doubted:
		case <-ctx.Done():
		}
	}
}

// lookAtStream tells the committer what the server says now. Where that is not known, it says
// that: commits meet the same trouble and report it.
func (s *streamCommitter) lookAtStream(ctx context.Context, last streamFacts) streamFacts {
	stream, err := s.js.Stream(ctx, s.stream)
	if err != nil {
		s.tell(ctx, streamFacts{})
		return last
	}
	info := stream.CachedInfo()
	s.noteMirror(info.Config.Mirror)
	f := streamFacts{
		known:      true,
		atomic:     info.Config.AllowAtomicPublish && info.Config.Replicas <= 1,
		batches:    info.Config.AllowAtomicPublish,
		replicated: info.Config.Replicas > 1,
		window:     info.Config.Duplicates,
		created:    info.Created,
		from:       s.informant(info),
	}
	s.tell(ctx, f)
	if !f.created.Equal(last.created) {
		recent, err := readRecent(ctx, stream, info)
		if err != nil && ctx.Err() == nil {
			s.log.WithError(err).Warn("could not read the latest events back; the stream itself will tell duplicates")
		}
		withRecent := f
		withRecent.recent = recent
		s.tell(ctx, withRecent)
	}
	return f
}

// noteMirror keeps whose copy the stream is, as at a second site that stands by.
func (s *streamCommitter) noteMirror(mirror *jetstream.StreamSource) {
	if mirror == nil {
		s.mirrors.Store(nil)
		return
	}
	s.mirrors.Store(&mirror.Name)
}

func (s *streamCommitter) tell(ctx context.Context, f streamFacts) {
	select {
	case s.learned <- f:
	case <-ctx.Done():
	}
}

// readRecent reads the headers of the latest events inside the duplicate window.
func readRecent(ctx context.Context, stream jetstream.Stream, info *jetstream.StreamInfo) ([]recentEvent, error) {
	if info.State.Msgs == 0 || time.Since(info.State.LastTime) > info.Config.Duplicates {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, recentTimeout)
	defer cancel()
	config := jetstream.OrderedConsumerConfig{HeadersOnly: true, DeliverPolicy: jetstream.DeliverByStartSequencePolicy}
	config.OptStartSeq = info.State.FirstSeq
	if info.State.LastSeq > maxRecent {
		config.OptStartSeq = max(config.OptStartSeq, info.State.LastSeq-maxRecent)
	}
	consumer, err := stream.OrderedConsumer(ctx, config)
	if err != nil {
		return nil, err
	}
	messages, err := consumer.Messages()
	if err != nil {
		return nil, err
	}
	defer messages.Stop()
	oldest := time.Now().Add(-info.Config.Duplicates)
	var recent []recentEvent
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return recent, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return recent, err
		}
		if e, ok := parseRecent(msg.Headers(), meta); ok && e.stored.After(oldest) {
			recent = append(recent, e)
		}
		if meta.NumPending == 0 || meta.Sequence.Stream >= info.State.LastSeq {
			return recent, nil
		}
	}
}

func parseRecent(header nats.Header, meta *jetstream.MsgMetadata) (recentEvent, bool) {
	id, fingerprint, isRepeat := strings.Cut(header.Get(nats.MsgIdHdr), "#")
	if !isRepeat {
		fingerprint = header.Get(HeaderFingerprint)
	}
	return recentEvent{
		id: id, first: !isRepeat, fingerprint: fingerprint,
		sequence: meta.Sequence.Stream, stored: meta.Timestamp,
	}, id != "" && fingerprint != ""
}
