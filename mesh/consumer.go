package mesh

import (
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The metadata that marks what plan and apply may change and delete.
const (
	// MetadataManaged is "true" on each stream that streams.json named when it was applied.
	MetadataManaged = "genmesh.managed"
	// MetadataSubscriber is the subscriber's name on the consumer that serves it.
	MetadataSubscriber = "genmesh.subscriber"
	// metadataFields lists the fields that streams.json set when it was applied, so that a
	// field that is left out later goes back to its default.
	metadataFields = "genmesh.fields"
	// metadataResume and a consumer's name hold, on the stream, where the consumer goes on
	// while it is being replaced.
	metadataResume = "genmesh.resume."
)

// The roles that a mesh needs one stream each for.
const (
	deadSubjects       = "dead.>"
	quarantineSubjects = "quarantine.>"
	advisorySubjects   = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"
)

// Subject spaces that genmesh keeps for itself.
const (
	replayPrefix  = "replay."
	deliverPrefix = "_mesh.deliver."
)

// Readers are all durable consumers of the mesh, each as a subscriber of the stream that it
// reads: every subscriber is one, and one more that reads its replays.
func (t *Topology) Readers() []Subscriber {
	readers := slices.Clone(t.Subscribers)
	for _, s := range t.Subscribers {
		if r, ok := t.Replays(s); ok {
			readers = append(readers, r)
		}
	}
	return readers
}

// Replays is the subscriber as the reader of what is replayed to it alone: the subjects
// "replay.<subscriber>.>" of the dead-letter stream. It is a consumer of its own, because a
// second filter on the subscriber's would make the server search for each message: measured,
// that costs four fifths of the deliveries.
func (t *Topology) Replays(s Subscriber) (Subscriber, bool) {
	dead, ok := t.StreamFor(deadSubjects)
	s.Stream = dead.Name
	s.FilterSubject, s.FilterSubjects = "", []string{replayPrefix + s.Name + ".>"}
	s.DeliverPolicy, s.OptStartSeq, s.OptStartTime = jetstream.DeliverAllPolicy, 0, nil
	s.ReplayPolicy, s.RateLimitBPS, s.MemoryStorage = jetstream.ReplayInstantPolicy, 0, false
	s.Replicas = 0 // as the dead-letter stream has
	if limit := dead.ConsumerLimits.MaxAckPending; limit > 0 {
		s.MaxAckPending = min(s.MaxAckPending, limit)
	}
	return s, ok
}

// DeliverSubject is where the server pushes the subscriber's events. It lies outside all
// streams and belongs to no other consumer.
func (s Subscriber) DeliverSubject() string { return deliverPrefix + s.Stream + "." + s.Name }

// filters are the subscriber's own filters; none means everything.
func (s Subscriber) filters() []string {
	if s.FilterSubject != "" {
		return []string{s.FilterSubject}
	}
	return slices.Clone(s.FilterSubjects)
}

// ConsumerConfig is the durable push consumer that serves the subscriber.
//
// Backoff, heartbeat and flow control stay unset: the first replaces ack_wait, and the other
// two raise false alarms or stall where a deliver group shares the subject.
func (s Subscriber) ConsumerConfig() jetstream.ConsumerConfig {
	metadata := maps.Clone(s.Metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	metadata[MetadataSubscriber] = s.Name
	return jetstream.ConsumerConfig{
		Durable:         s.Name,
		Description:     s.Description,
		DeliverPolicy:   s.DeliverPolicy,
		OptStartSeq:     s.OptStartSeq,
		OptStartTime:    s.OptStartTime,
		AckPolicy:       jetstream.AckExplicitPolicy,
		AckWait:         time.Duration(s.AckWait),
		MaxDeliver:      s.MaxDeliver,
		ReplayPolicy:    s.ReplayPolicy,
		RateLimit:       s.RateLimitBPS,
		SampleFrequency: s.SampleFrequency,
		MaxAckPending:   s.MaxAckPending,
		Replicas:        s.Replicas,
		MemoryStorage:   s.MemoryStorage,
		FilterSubjects:  s.filters(),
		Metadata:        metadata,
		PauseUntil:      s.PauseUntil,
		DeliverSubject:  s.DeliverSubject(),
		DeliverGroup:    s.Name,
	}
}

// Config is the stream as plan and apply want it on the server: as streams.json has it, with
// genmesh's mark, and with the replay subjects if it is the dead-letter stream.
func (s Stream) Config() jetstream.StreamConfig {
	config := s.StreamConfig
	config.Metadata = maps.Clone(config.Metadata)
	if config.Metadata == nil {
		config.Metadata = map[string]string{}
	}
	config.Metadata[MetadataManaged] = "true"
	if r := config.RePublish; r != nil && r.Source == "" { // as the server reads it
		config.RePublish = &jetstream.RePublish{Source: ">", Destination: r.Destination, HeadersOnly: r.HeadersOnly}
	}
	if slices.ContainsFunc(s.Subjects, func(own string) bool { return SubjectCovers(own, deadSubjects) }) {
		config.Subjects = append(slices.Clone(config.Subjects), replayPrefix+">")
	}
	return config
}

// StreamFor is the stream that takes a subject, which may be a pattern.
func (t *Topology) StreamFor(subject string) (Stream, bool) {
	for _, s := range t.Streams {
		covers := func(own string) bool { return SubjectCovers(own, subject) }
		if slices.ContainsFunc(s.Config().Subjects, covers) {
			return s, true
		}
	}
	return Stream{}, false
}

// stream is the stream of that name.
func (t *Topology) stream(name string) (Stream, bool) {
	i := slices.IndexFunc(t.Streams, func(s Stream) bool { return s.Name == name })
	if i < 0 {
		return Stream{}, false
	}
	return t.Streams[i], true
}
