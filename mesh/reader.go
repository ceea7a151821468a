package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Reader is one durable push consumer of the mesh: what one subscriber reads of one stream, or one
// partition of that.
type Reader struct {
	// Subscriber is the subscriber as a reader of Stream.
	Subscriber
	// Durable is the consumer's name.
	Durable string
	// Partition is which of the subscriber's Partitions it reads, from 1.
	Partition int
	// Shared is true if all processes take from it together; else one of them serves it at a time.
	Shared bool
	// replays is true for the one that reads what is replayed.
	replays bool
}

// Readers are all durable consumers of the mesh: those of every subscriber, and one more for each
// that reads its replays.
func (t *Topology) Readers() []Reader {
	var readers, replays []Reader
	for _, s := range t.Subscribers {
		readers = append(readers, s.Readers()...)
		if r, ok := t.Replays(s); ok {
			replays = append(replays, r)
		}
	}
	return append(readers, replays...)
}

// sharedSuffix names the consumer that all processes share, so that it is not taken for the one
// that keeps the order. "=" stands in no subscriber's name.
const sharedSuffix = "=shared"

// Readers are the consumers of the subscriber's own stream. With one partition there are no filters
// but the subscriber's own, so that the server can deliver what comes without looking; more
// partitions divide the subjects by their second part.
func (s Subscriber) Readers() []Reader {
	of := max(s.Partitions, 1)
	if s.Order == OrderNone {
		return []Reader{{Subscriber: s, Durable: s.Name + sharedSuffix, Partition: 1, Shared: true}}
	}
	if of == 1 {
		return []Reader{{Subscriber: s, Durable: s.Name, Partition: 1}}
	}
	readers := make([]Reader, of)
	for i := range readers {
		part := s
		part.FilterSubject, part.FilterSubjects = "", partitionFilters(s.filters(), i, of)
		readers[i] = Reader{Subscriber: part, Durable: fmt.Sprintf("%s=%dof%d", s.Name, i+1, of), Partition: i + 1}
	}
	return readers
}

// partitionFilters are the filters of one of several consumers that divide the partitions of the
// subject space among themselves; index counts from 0.
func partitionFilters(filters []string, index, of int) []string {
	if len(filters) == 0 {
		filters = []string{">"}
	}
	var divided []string
	for _, filter := range filters {
		for p := index; p < Partitions; p += of {
			divided = append(divided, inPartition(filter, fmt.Sprintf("%02d", p)))
		}
	}
	return divided
}

// inPartition narrows a filter to one partition. A filter for several partitions never names one by
// itself: see checker.partitions.
func inPartition(filter, partition string) string {
	parts := strings.Split(filter, ".")
	switch {
	case parts[0] == ">":
		return "*." + partition + ".>"
	case parts[1] == ">":
		return parts[0] + "." + partition + ".>"
	}
	parts[1] = partition
	return strings.Join(parts, ".")
}

// SubjectPartition is the partition that a stored subject names, if it names one.
func SubjectPartition(subject string) (int, bool) {
	_, rest, _ := strings.Cut(subject, ".")
	token, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(token)
	return n, err == nil && len(token) == 2 && n >= 0 && n < Partitions
}

// Replays is the reader of what is replayed to the subscriber alone: the subjects
// "replay.<subscriber>.>" of the dead-letter stream. It is a consumer of its own, because a
// second filter on the subscriber's would make the server search for each message: measured,
// that costs four fifths of the deliveries.
func (t *Topology) Replays(s Subscriber) (Reader, bool) {
	dead, ok := t.StreamFor(deadSubjects)
	s.Stream = dead.Name
	s.FilterSubject, s.FilterSubjects = "", []string{replayPrefix + s.Name + ".>"}
	s.DeliverPolicy, s.OptStartSeq, s.OptStartTime = jetstream.DeliverAllPolicy, 0, nil
	s.ReplayPolicy, s.RateLimitBPS, s.MemoryStorage = jetstream.ReplayInstantPolicy, 0, false
	s.Partitions = 1
	s.Replicas = 0 // as the dead-letter stream has
	if limit := dead.ConsumerLimits.MaxAckPending; limit > 0 {
		s.MaxAckPending = min(s.MaxAckPending, limit)
	}
	return Reader{Subscriber: s, Durable: s.Name, Partition: 1, replays: true}, ok
}

// DeliverSubject is where the server pushes the reader's events. It lies outside all streams and
// belongs to no other consumer. One that follows others has a further token: see goOn.
func (r Reader) DeliverSubject() string { return deliverPrefix + r.Stream + "." + r.Durable }

// filters are the subscriber's own filters; none means everything.
func (s Subscriber) filters() []string {
	if s.FilterSubject != "" {
		return []string{s.FilterSubject}
	}
	return slices.Clone(s.FilterSubjects)
}

// Matches reports whether the subscriber's filters take a subject.
func (s Subscriber) Matches(subject string) bool {
	filters := s.filters()
	return len(filters) == 0 || slices.ContainsFunc(filters, func(f string) bool { return SubjectCovers(f, subject) })
}

// ConsumerConfig is the durable push consumer.
//
// A consumer that keeps the order has no deliver group: a member that hangs would still be handed
// events, and those behind them would overtake. Which process serves it is settled by a lease.
//
// Backoff, heartbeat and flow control stay unset: the first replaces ack_wait, and the other
// two raise false alarms or stall where a deliver group shares the subject.
func (r Reader) ConsumerConfig() jetstream.ConsumerConfig {
	metadata := maps.Clone(r.Metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	metadata[MetadataSubscriber] = r.Name
	if !r.replays {
		maps.Copy(metadata, r.settings())
	}
	if r.Partitions > 1 {
		metadata[MetadataPartition] = fmt.Sprintf("%dof%d", r.Partition, r.Partitions)
	}
	config := jetstream.ConsumerConfig{
		Durable:         r.Durable,
		Description:     r.Description,
		DeliverPolicy:   r.DeliverPolicy,
		OptStartSeq:     r.OptStartSeq,
		OptStartTime:    r.OptStartTime,
		AckPolicy:       jetstream.AckExplicitPolicy,
		AckWait:         time.Duration(r.AckWait),
		MaxDeliver:      r.MaxDeliver,
		ReplayPolicy:    r.ReplayPolicy,
		RateLimit:       r.RateLimitBPS,
		SampleFrequency: r.SampleFrequency,
		MaxAckPending:   r.MaxAckPending,
		Replicas:        r.Replicas,
		MemoryStorage:   r.MemoryStorage,
		FilterSubjects:  r.filters(),
		Metadata:        metadata,
		PauseUntil:      r.PauseUntil,
		DeliverSubject:  r.DeliverSubject(),
	}
	if r.Shared {
		config.DeliverGroup = r.Name
	}
	return config
}

// Served is what the server's own configuration of a consumer says of who serves it. The server
// and not streams.json tells, so that a change is carried through by whatever version of it the
// workers have.
type Served struct {
	Subscriber    string
	Partition, Of int // 1 of 1 where the consumer is not one of several
	Shared        bool
	Skip          Skip
	// Replay is what of the history the consumer replays; nil for all others.
	Replay *HistoryReplay
}

// ServedBy reads it. It reports false for a consumer that is none of genmesh's.
func ServedBy(config jetstream.ConsumerConfig) (Served, bool) {
	s := Served{
		Subscriber: config.Metadata[MetadataSubscriber], Partition: 1, Of: 1,
		Shared: config.DeliverGroup != "",
	}
	if index, of, found := strings.Cut(config.Metadata[MetadataPartition], "of"); found {
		s.Partition, _ = strconv.Atoi(index)
		s.Of, _ = strconv.Atoi(of)
	}
	var err, err2 error
	s.Skip, err = parseSkip(config.Metadata[MetadataSkip])
	s.Replay, err2 = parseHistoryReplay(config.Metadata[MetadataReplay])
	ok := s.Subscriber != "" && config.DeliverSubject != "" && s.Partition >= 1 && s.Partition <= s.Of
	return s, ok && err == nil && err2 == nil
}

// Skip says what the consumers before a new one have delivered: for each time that consumers were
// followed by others, each of them up to a stream sequence, in the order of their partitions. It is written "1200", "1200,1300" for
// two, and with ";" between where others had followed others and not passed all of it.
type Skip [][]uint64

func (s Skip) String() string {
	layers := make([]string, len(s))
	for i, layer := range s {
		texts := make([]string, len(layer))
		for j, sequence := range layer {
			texts[j] = strconv.FormatUint(sequence, 10)
		}
		layers[i] = strings.Join(texts, ",")
	}
	return strings.Join(layers, ";")
}

// maxSkips bounds how many times are remembered; more would need as many switches within what is
// under way.
const maxSkips = 16

func parseSkip(text string) (Skip, error) {
	if text == "" {
		return nil, nil
	}
	var s Skip
	for part := range strings.SplitSeq(text, ";") {
		var layer []uint64
		for number := range strings.SplitSeq(part, ",") {
			sequence, err := strconv.ParseUint(number, 10, 64)
			if err != nil || len(layer) == Partitions || len(s) == maxSkips {
				return nil, fmt.Errorf("%q is not where consumers were", text)
			}
			layer = append(layer, sequence)
		}
		s = append(s, layer)
	}
	return s, nil
}

// Has reports whether an event was delivered by one of the consumers before.
func (s Skip) Has(subject string, sequence uint64) bool {
	for _, layer := range s {
		if len(layer) == 1 && sequence <= layer[0] {
			return true
		}
		if partition, ok := SubjectPartition(subject); ok && sequence <= layer[partition%len(layer)] {
			return true
		}
	}
	return false
}

// start is the first sequence that one of them may not have delivered.
func (s Skip) start() uint64 {
	last := uint64(0)
	for _, layer := range s {
		last = max(last, slices.Min(layer))
	}
	return last + 1
}

// and is what s says and what others say, without what tells nothing behind the start.
func (s Skip) and(others ...Skip) Skip {
	all := slices.Concat(append([]Skip{s}, others...)...)
	start := all.start()
	var kept Skip
	for _, layer := range all {
		same := func(other []uint64) bool { return slices.Equal(other, layer) }
		if slices.Max(layer) >= start && !slices.ContainsFunc(kept, same) && len(kept) < maxSkips-1 {
			kept = append(kept, layer)
		}
	}
	// One that says where to begin, and all before that is done.
	return append(Skip{{start - 1}}, kept...)
}
