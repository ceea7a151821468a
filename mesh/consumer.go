package mesh

import (
	"maps"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// The metadata that marks what plan and apply may change and delete.
const (
	// MetadataManaged is "true" on each stream that streams.json named when it was applied.
	MetadataManaged = "genmesh.managed"
	// MetadataSubscriber is the subscriber's name on the consumer that serves it.
	MetadataSubscriber = "genmesh.subscriber"
	// MetadataPartition is which of how many partitions a consumer serves, such as "2of4".
	MetadataPartition = "genmesh.partition"
	// MetadataSkip is on a consumer that follows others: what they delivered already. See Skip.
	MetadataSkip = "genmesh.skip"
	// MetadataReplay is on a consumer that replays a part of the history. See HistoryReplay.
	MetadataReplay = "genmesh.replay"
	// metadataFields lists the fields that streams.json set when it was applied, so that a
	// field that is left out later goes back to its default.
	metadataFields = "genmesh.fields"
	// metadataResume and the name of a consumer or subscriber hold, on the stream, where it goes on
	// while its consumers are being replaced.
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
