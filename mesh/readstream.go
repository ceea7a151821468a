package mesh

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stored chooses events of a source that its stream has. The zero value chooses all.
type Stored struct {
	// Since and Until bound the time when they were stored; zero is open.
	Since, Until time.Time
	// Last, where above zero, looks only at so many of the latest messages of the stream.
	Last uint64
}

// StoredEvents yields the events of a source that its stream holds when it starts, the oldest first.
// What is no event is left out. It stops at the first error.
func StoredEvents(ctx context.Context, js jetstream.JetStream, s *Source, chosen Stored) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{s.pattern()}}
		switch {
		case !chosen.Since.IsZero():
			config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &chosen.Since
		case chosen.Last > 0:
			stream, err := js.Stream(ctx, s.Stream)
			if err != nil {
				yield(Event{}, fmt.Errorf("stream %s: %w", s.Stream, err))
				return
			}
			if last := stream.CachedInfo().State.LastSeq; last > chosen.Last {
				config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, last-chosen.Last+1
			}
		}
		for msg, err := range readStream(ctx, js, s.Stream, config) {
			if err != nil {
				yield(Event{}, err)
				return
			}
			e, err := ParseStored(msg)
			if errors.Is(err, ErrNotEvent) || err == nil && e.Source != s.Name {
				continue
			}
			if err == nil && !chosen.Until.IsZero() && e.Stored.After(chosen.Until) {
				return
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// idleRead bounds how long a listing waits for the next message that the server announced.
const idleRead = 5 * time.Second

// dropTimeout bounds the goodbye at the end of a listing.
const dropTimeout = time.Second

// readStream yields the messages that a stream holds for config when it is called.
func readStream(ctx context.Context, js jetstream.JetStream, stream string, config jetstream.OrderedConsumerConfig) iter.Seq2[jetstream.Msg, error] {
	return func(yield func(jetstream.Msg, error) bool) {
		consumer, err := js.OrderedConsumer(ctx, stream, config)
		if err != nil {
			yield(nil, fmt.Errorf("read stream %s: %w", stream, err))
			return
		}
		info, err := consumer.Info(ctx)
		if err != nil {
			yield(nil, fmt.Errorf("read stream %s: %w", stream, err))
			return
		}
		left := info.NumPending + uint64(info.NumAckPending)
		if left == 0 {
			dropConsumer(ctx, js, stream, consumer)
			return
		}
		messages, err := consumer.Messages()
		if err != nil {
			yield(nil, fmt.Errorf("read stream %s: %w", stream, err))
			return
		}
		defer dropConsumer(ctx, js, stream, consumer)
		defer messages.Stop()
		for ; left > 0; left-- {
			msg, err := nextMessage(ctx, messages)
			if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && isRead(ctx, consumer) {
				return // what was announced is gone
			}
			if err != nil {
				yield(nil, fmt.Errorf("read stream %s: %w", stream, err))
				return
			}
			if meta, err := msg.Metadata(); err == nil && meta.NumPending == 0 {
				left = 1 // fewer than announced: some were deleted meanwhile
			}
			if !yield(msg, nil) {
				return
			}
		}
	}
}

// dropConsumer takes away what the reading needed: the server would keep it for some minutes, and who
// lists often would run into the limit of consumers.
func dropConsumer(ctx context.Context, js jetstream.JetStream, stream string, consumer jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	_ = js.DeleteConsumer(ctx, stream, consumer.CachedInfo().Name) // it ends by itself as well
}

func isRead(ctx context.Context, consumer jetstream.Consumer) bool {
	info, err := consumer.Info(ctx)
	return err == nil && info.NumPending == 0
}

func nextMessage(ctx context.Context, messages jetstream.MessagesContext) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, idleRead)
	defer cancel()
	return messages.Next(jetstream.NextContext(ctx))
}
