package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// SubscriberState is how a subscriber stands at a moment. Its JSON names are stable.
type SubscriberState struct {
	Name       string `json:"name"`
	Stream     string `json:"stream"`
	Order      Order  `json:"order"`
	Partitions int    `json:"partitions"`
	// Consumers are all that the subscriber has on the server, but those of Replays. They are none before
	// streams.json is applied.
	Consumers []ConsumerState `json:"consumers"`
	// Waiting is how many events of its own stream were not handed out yet, InHand how many its workers
	// have. What waits longest was stored at Oldest.
	Waiting uint64         `json:"waiting"`
	InHand  uint64         `json:"in_hand"`
	Oldest  *OldestWaiting `json:"oldest_waiting,omitempty"`
	// Served is true if a worker process is bound to each of the consumers of its own stream.
	Served bool `json:"served"`
	// Pause is nil if it is not paused, Breaker if its breaker never opened.
	Pause   *Pause        `json:"pause,omitempty"`
	Breaker *BreakerState `json:"breaker,omitempty"`
	// Wait is nil unless it waits because its target asks for air or can't be used.
	Wait *Wait `json:"wait,omitempty"`
	// Replays are the parts of the history that are being replayed to it.
	Replays []RunningReplay `json:"replays"`
}

// OldestWaiting is the event that a subscriber has not settled for the longest time.
type OldestWaiting struct {
	Sequence uint64    `json:"sequence"`
	Stored   time.Time `json:"stored"`
}

// ConsumerState is how one durable consumer stands.
type ConsumerState struct {
	Stream string `json:"stream"`
	Name   string `json:"name"`
	// Replays is true for the one that reads replays of dead letters.
	Replays bool   `json:"replays,omitempty"`
	Waiting uint64 `json:"waiting"`
	InHand  uint64 `json:"in_hand"`
	// Served is true while a worker process is bound to it.
	Served bool `json:"served"`
	// PausedUntil is until when the server holds it back, whoever told it so; zero if it does not.
	PausedUntil time.Time `json:"paused_until,omitzero"`
}

// SubscriberStates tells how subscribers stand: those of the names, or without names all, in the order of
// streams.json. A subscriber that was not applied yet has no consumers.
func SubscriberStates(ctx context.Context, js jetstream.JetStream, t *Topology, names ...string) ([]SubscriberState, error) {
	told, err := OpenState(ctx, js)
	if err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, err
	}
	r := subscriberReader{js: js, t: t, told: told, streams: map[string]streamConsumers{}}
	states := []SubscriberState{}
	for _, s := range t.Subscribers {
		if len(names) > 0 && !slices.Contains(names, s.Name) {
			continue
		}
		state, err := r.read(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("subscriber %s: %w", s.Name, err)
		}
		states = append(states, state)
	}
	return states, nil
}

// subscriberReader reads how subscribers stand, each stream once.
type subscriberReader struct {
	js      jetstream.JetStream
	t       *Topology
	told    *State // nil before the first apply
	streams map[string]streamConsumers
}

// streamConsumers is a stream and who reads it, by the subscriber's name. stream is nil if there is none.
type streamConsumers struct {
	stream jetstream.Stream
	of     map[string][]*jetstream.ConsumerInfo
}

func (r *subscriberReader) consumers(ctx context.Context, stream string) (streamConsumers, error) {
	if known, ok := r.streams[stream]; ok {
		return known, nil
	}
	handle, err := r.js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		r.streams[stream] = streamConsumers{}
		return streamConsumers{}, nil
	}
	if err != nil {
		return streamConsumers{}, fmt.Errorf("stream %s: %w", stream, err)
	}
	of, err := subscriberConsumers(ctx, r.js, stream)
	if err != nil {
		return streamConsumers{}, err
	}
	r.streams[stream] = streamConsumers{handle, of}
	return r.streams[stream], nil
}

func (r *subscriberReader) read(ctx context.Context, s Subscriber) (SubscriberState, error) {
	state := SubscriberState{
		Name: s.Name, Stream: s.Stream, Order: s.Order, Partitions: max(s.Partitions, 1),
		Consumers: []ConsumerState{}, Replays: []RunningReplay{},
	}
	own, err := r.consumers(ctx, s.Stream)
	if err != nil {
		return state, err
	}
	if own.stream != nil {
		state.Replays = runningReplays(ctx, own.stream, own.of[s.Name])
	}
	state.countLive(s.Stream, own.of[s.Name])
	if state.Oldest, err = r.oldest(ctx, own.stream, own.of[s.Name]); err != nil {
		return state, err
	}
	if dead, ok := r.t.Replays(s); ok && dead.Stream != s.Stream {
		replayed, err := r.consumers(ctx, dead.Stream)
		if err != nil {
			return state, err
		}
		for _, info := range replayed.of[s.Name] {
			c := consumerState(dead.Stream, info)
			c.Replays = true
			state.Consumers = append(state.Consumers, c)
		}
	}
	return state, r.readTold(ctx, &state)
}

// countLive adds up the consumers of the subscriber's own stream.
func (s *SubscriberState) countLive(stream string, consumers []*jetstream.ConsumerInfo) {
	for _, info := range consumers {
		if !isLive(info) {
			continue
		}
		c := consumerState(stream, info)
		s.Served = c.Served && (s.Served || len(s.Consumers) == 0)
		s.Waiting += c.Waiting
		s.InHand += c.InHand
		s.Consumers = append(s.Consumers, c)
	}
}

// isLive is false for a replay of the history.
func isLive(info *jetstream.ConsumerInfo) bool {
	served, ok := ServedBy(info.Config)
	return ok && served.Replay == nil
}

func consumerState(stream string, info *jetstream.ConsumerInfo) ConsumerState {
	c := ConsumerState{
		Stream: stream, Name: info.Name, Waiting: info.NumPending, InHand: uint64(info.NumAckPending), Served: info.PushBound,
	}
	if info.Paused && info.Config.PauseUntil != nil {
		c.PausedUntil = *info.Config.PauseUntil
	}
	return c
}

// readTold reads what processes and operators told of the subscriber.
func (r *subscriberReader) readTold(ctx context.Context, s *SubscriberState) error {
	if r.told == nil {
		return nil
	}
	pause, err := r.told.Pause(ctx, s.Name)
	if err != nil {
		return err
	}
	if pause.Holds(time.Now()) {
		s.Pause = &pause
	}
	wait, err := r.told.Wait(ctx, s.Name)
	if err != nil {
		return err
	}
	if wait.Holds(time.Now()) {
		s.Wait = &wait
	}
	breaker, err := r.told.Breaker(ctx, s.Name)
	if err == nil && !breaker.Since.IsZero() {
		s.Breaker = &breaker
	}
	return err
}

// oldest is the first event that one of the live consumers has not settled, or nil.
func (r *subscriberReader) oldest(ctx context.Context, stream jetstream.Stream, consumers []*jetstream.ConsumerInfo) (*OldestWaiting, error) {
	var oldest *OldestWaiting
	for _, info := range consumers {
		if !isLive(info) || info.NumPending+uint64(info.NumAckPending) == 0 {
			continue
		}
		first, err := firstStored(ctx, r.js, stream, consumerFilters(info), info.AckFloor.Stream+1)
		if err != nil {
			return nil, err
		}
		if first.sequence > 0 && (oldest == nil || first.sequence < oldest.Sequence) {
			oldest = &OldestWaiting{first.sequence, first.at}
		}
	}
	return oldest, nil
}

// storing says when a message was stored and under which sequence; 0 if there is none.
type storing struct {
	sequence uint64
	at       time.Time
}

// maxLookups is up to how many filters are looked up one by one. With more, a consumer looks for all.
const maxLookups = 8

// firstStored is the first message from a sequence on that the filters take.
func firstStored(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, filters []string, from uint64) (storing, error) {
	name := stream.CachedInfo().Config.Name
	if len(filters) > maxLookups {
		return firstRead(ctx, js, name, filters, from)
	}
	if len(filters) == 0 {
		filters = []string{">"}
	}
	var first storing
	for _, filter := range filters {
		msg, err := stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(filter))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return first, fmt.Errorf("look into stream %s: %w", name, err)
		}
		if first.sequence == 0 || msg.Sequence < first.sequence {
			first = storing{msg.Sequence, msg.Time}
		}
	}
	return first, nil
}

func firstRead(ctx context.Context, js jetstream.JetStream, stream string, filters []string, from uint64) (storing, error) {
	config := jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from, FilterSubjects: filters, HeadersOnly: true,
	}
	for msg, err := range readStream(ctx, js, stream, config) {
		if err != nil {
			return storing{}, err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return storing{}, fmt.Errorf("look into stream %s: %w", stream, err)
		}
		return storing{meta.Sequence.Stream, meta.Timestamp}, nil
	}
	return storing{}, nil
}

// arrivalWindow is over how long arrivals are counted.
const arrivalWindow = 5 * time.Minute

// Arrivals tells how many events per second came in for a subscriber lately, and over how long that was
// counted: five minutes, or as long as there is a stream.
func Arrivals(ctx context.Context, js jetstream.JetStream, s Subscriber) (perSecond float64, over time.Duration, err error) {
	stream, err := js.Stream(ctx, s.Stream)
	if err != nil {
		return 0, 0, fmt.Errorf("stream %s: %w", s.Stream, err)
	}
	now := time.Now()
	over = max(min(arrivalWindow, now.Sub(stream.CachedInfo().Created)), time.Second)
	since := now.Add(-over)
	info, err := probe(ctx, stream, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since, FilterSubjects: s.filters(),
	})
	if err != nil {
		return 0, 0, err
	}
	return float64(info.NumPending) / over.Seconds(), over, nil
}

// PauseSubscriber keeps everything from a subscriber until p.Until, or if that is zero until ResumeSubscriber: its
// workers stop calling its target within a moment, in every process, and the server hands nothing out to them. What
// arrives meanwhile waits, and spends no attempt and no delivery. A subscriber that is paused is paused
// anew. The server is told once no apply is under way, which may be about to change the consumers. If it fails, the workers may be told and
// the server not: then it goes on as paused, and what workers take spends deliveries at their restarts.
func PauseSubscriber(ctx context.Context, js jetstream.JetStream, t *Topology, s Subscriber, p Pause) error {
	told, err := OpenState(ctx, js)
	if err != nil {
		return err
	}
	if p.Since.IsZero() {
		p.Since = time.Now()
	}
	if err := told.SetPause(ctx, s.Name, p); err != nil {
		return err
	}
	until := p.Until
	if until.IsZero() {
		until = time.Now().Add(century)
	}
	ctx, release, err := lockApply(ctx, js)
	if err != nil {
		return err
	}
	defer release()
	return t.eachConsumer(ctx, js, s, func(stream, name string) error {
		consumer, err := js.PushConsumer(ctx, stream, name)
		if err != nil {
			return err
		}
		_, err = pauseUntil(ctx, js, consumer, until)
		return err
	})
}

const (
	// pauseConfirm is how long it may take until a consumer's leader knows of a pause: in a cluster the
	// answer comes before that.
	pauseConfirm  = 5 * time.Second
	pauseInterval = 20 * time.Millisecond
)

// pauseUntil sets the end of a consumer's pause and returns once the server acts on it, with what it
// then says of the consumer.
func pauseUntil(ctx context.Context, js jetstream.JetStream, consumer jetstream.PushConsumer, until time.Time) (*jetstream.ConsumerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, pauseConfirm)
	defer cancel()
	info := consumer.CachedInfo()
	if _, err := js.PauseConsumer(ctx, info.Stream, info.Name, until); err != nil {
		return nil, err
	}
	for {
		info, err := consumer.Info(ctx)
		if err != nil {
			return nil, err
		}
		if set := info.Config.PauseUntil; set != nil && set.Equal(until) {
			return info, nil
		}
		select {
		case <-time.After(pauseInterval):
		case <-ctx.Done():
			return nil, fmt.Errorf("the server does not carry the pause out: %w", ctx.Err())
		}
	}
}

// ResumeSubscriber ends a pause, if there is one: also what the server was told otherwise, by pause_until or
// by hand. The server comes first, so that what was cut off still shows as paused. It takes a moment, and waits for an apply that is under way:
// that pauses consumers, too.
func ResumeSubscriber(ctx context.Context, js jetstream.JetStream, t *Topology, s Subscriber) error {
	told, err := OpenState(ctx, js)
	if err != nil {
		return err
	}
	locked, release, err := lockApply(ctx, js)
	if err != nil {
		return err
	}
	defer release()
	var longest time.Duration
	err = t.eachConsumer(locked, js, s, func(stream, consumer string) error {
		left, err := endPause(locked, js, stream, consumer)
		longest = max(longest, left)
		return err
	})
	if err != nil {
		return err
	}
	select {
	case <-time.After(longest):
	case <-ctx.Done():
		return ctx.Err()
	}
	return told.SetPause(ctx, s.Name, Pause{})
}

const (
	// resumeMargin is how far ahead the end of a pause is set; a cluster may need longer to agree.
	resumeMargin = 200 * time.Millisecond
	resumeTries  = 5
)

// endPause lets a pause at the server run out in a moment, and tells in which. It is not ended at once,
// because nats-server looks for what waits only when a pause runs out: a consumer that is resumed stays
// silent until the next event (2.15.2, server/consumer.go, updatePauseState). The server's clock counts.
func endPause(ctx context.Context, js jetstream.JetStream, stream, name string) (time.Duration, error) {
	consumer, err := js.PushConsumer(ctx, stream, name)
	if err != nil || !consumer.CachedInfo().Paused {
		return 0, err
	}
	return pauseBriefly(ctx, js, consumer)
}

// WakeConsumer makes the server look for what a consumer has to deliver, by a pause that runs out in a moment, during which
// it delivers nothing. One that is paused is left alone, and one that has delivered anything since info. It waits for a run of apply,
// which may be about to pause it, as for others who wake or pause it.
func WakeConsumer(ctx context.Context, js jetstream.JetStream, info *jetstream.ConsumerInfo) error {
	ctx, release, err := lockApply(ctx, js)
	if err != nil {
		return err
	}
	defer release()
	consumer, err := js.PushConsumer(ctx, info.Stream, info.Name)
	if err != nil {
		return err
	}
	if now := consumer.CachedInfo(); now.Paused || now.Delivered.Consumer != info.Delivered.Consumer {
		return nil
	}
	_, err = pauseBriefly(ctx, js, consumer)
	return err
}

// pauseBriefly pauses a consumer until in a moment, by the server's clock, and tells in which.
func pauseBriefly(ctx context.Context, js jetstream.JetStream, consumer jetstream.PushConsumer) (time.Duration, error) {
	info := consumer.CachedInfo()
	margin := resumeMargin
	for range resumeTries {
		until := info.TimeStamp.Add(margin)
		var err error
		if info, err = pauseUntil(ctx, js, consumer, until); err != nil {
			return 0, err
		}
		if info.TimeStamp.Before(until) { // it was there in time to run out
			return margin, nil
		}
		margin *= 2
	}
	return 0, errors.New("the server does not carry out the end of its pause in time; try again")
}

// eachConsumer does something to all consumers of a subscriber, replays included, and goes on after one that failed.
func (t *Topology) eachConsumer(ctx context.Context, js jetstream.JetStream, s Subscriber, do func(stream, consumer string) error) error {
	streams := []string{s.Stream}
	if dead, ok := t.Replays(s); ok && dead.Stream != s.Stream {
		streams = append(streams, dead.Stream)
	}
	var failed []error
	for _, stream := range streams {
		of, err := subscriberConsumers(ctx, js, stream)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		for _, info := range of[s.Name] {
			err := do(stream, info.Name)
			if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) { // a replay may end meanwhile
				failed = append(failed, fmt.Errorf("consumer %s of stream %s: %w", info.Name, stream, err))
			}
		}
	}
	return errors.Join(failed...)
}
