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

// ReplaySubjects is the filter through which a dead letter is handed again to one subscriber:
// "replay.<stream>.<subscriber>.>".
func (s Subscriber) ReplaySubjects() string { return replayPrefix + s.Stream + "." + s.Name + ".>" }

// DeliverSubject is where the server pushes the subscriber's events. It lies outside all
// streams and belongs to no other consumer.
func (s Subscriber) DeliverSubject() string { return deliverPrefix + s.Stream + "." + s.Name }

// filters are the subscriber's own filters, or all of the stream's subjects.
func (s Subscriber) filters(stream Stream) []string {
	switch {
	case len(s.FilterSubjects) > 0:
		return s.FilterSubjects
	case s.FilterSubject != "":
		return []string{s.FilterSubject}
	}
	return stream.Subjects
}

// ConsumerConfig is the durable push consumer that serves the subscriber from its stream.
//
// Backoff, heartbeat and flow control stay unset: the first replaces ack_wait, and the other
// two raise false alarms or stall where a deliver group shares the subject.
func (s Subscriber) ConsumerConfig(stream Stream) jetstream.ConsumerConfig {
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
		RateLimit:       s.RateLimit,
		SampleFrequency: s.SampleFrequency,
		MaxAckPending:   s.MaxAckPending,
		Replicas:        s.Replicas,
		MemoryStorage:   s.MemoryStorage,
		FilterSubjects:  append(slices.Clone(s.filters(stream)), s.ReplaySubjects()),
		Metadata:        metadata,
		PauseUntil:      s.PauseUntil,
		DeliverSubject:  s.DeliverSubject(),
		DeliverGroup:    s.Name,
	}
}

// Config is the stream as plan and apply want it on the server: as streams.json has it, with
// genmesh's mark, and with the replay subjects if a subscriber of t reads it.
func (s Stream) Config(t *Topology) jetstream.StreamConfig {
	config := s.StreamConfig
	config.Metadata = maps.Clone(config.Metadata)
	if config.Metadata == nil {
		config.Metadata = map[string]string{}
	}
	config.Metadata[MetadataManaged] = "true"
	if r := config.RePublish; r != nil && r.Source == "" { // as the server reads it
		config.RePublish = &jetstream.RePublish{Source: ">", Destination: r.Destination, HeadersOnly: r.HeadersOnly}
	}
	if t.hasSubscriber(s.Name) {
		config.Subjects = append(slices.Clone(config.Subjects), replayPrefix+s.Name+".>")
	}
	return config
}

func (t *Topology) hasSubscriber(stream string) bool {
	return slices.ContainsFunc(t.Subscribers, func(s Subscriber) bool { return s.Stream == stream })
}

// StreamFor is the stream that takes a subject, which may be a pattern; ReplaySubjects are
// taken by the stream of their subscriber.
func (t *Topology) StreamFor(subject string) (Stream, bool) {
	for _, s := range t.Streams {
		covers := func(own string) bool { return SubjectCovers(own, subject) }
		if slices.ContainsFunc(s.Config(t).Subjects, covers) {
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
