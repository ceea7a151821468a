package mesh

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// directAsk asks a stream for messages without a consumer (ADR-31, github.com/nats-io/nats-architecture-and-design).
type directAsk struct {
	Sequence  uint64     `json:"seq,omitempty"`
	Subject   string     `json:"next_by_subj,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
	Batch     int        `json:"batch"`
}

// headerPending is how many messages come behind one that was asked for as the first of a batch.
const headerPending = "Nats-Num-Pending"

// countSubject counts the messages of a subject that may have wildcards. It makes no consumer where the stream allows to be read
// directly: somebody may look at a hundred subscribers every two seconds, and each consumer that comes and goes costs a cluster two
// agreements.
func countSubject(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, subject string) (uint64, error) {
	if info := stream.CachedInfo(); !info.Config.AllowDirect {
		return countFrom(ctx, stream, []string{subject}, max(info.State.FirstSeq, 1))
	}
	return countDirectly(ctx, js, stream, directAsk{Sequence: 1, Subject: subject, Batch: 1})
}

// countSince counts the messages that were stored at a time or later.
func countSince(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, since time.Time) (uint64, error) {
	if stream.CachedInfo().Config.AllowDirect {
		return countDirectly(ctx, js, stream, directAsk{StartTime: &since, Batch: 1})
	}
	info, err := probe(ctx, stream, jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since})
	if err != nil {
		return 0, err
	}
	return info.NumPending, nil
}

// countDirectly reads the first message of a batch, which tells how many come behind it.
func countDirectly(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, ask directAsk) (uint64, error) {
	name := stream.CachedInfo().Config.Name
	data, err := json.Marshal(ask)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	msg, err := js.Conn().RequestWithContext(ctx, jetstream.DefaultAPIPrefix+"DIRECT.GET."+name, data)
	if err != nil {
		return 0, fmt.Errorf("count in stream %s: %w", name, err)
	}
	const noSuchMessage = "404"
	switch status := msg.Header.Get("Status"); status {
	case "":
	case noSuchMessage:
		return 0, nil
	default:
		return 0, fmt.Errorf("count in stream %s: the server answers %s %s", name, status, msg.Header.Get("Description"))
	}
	behind, err := strconv.ParseUint(msg.Header.Get(headerPending), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("count in stream %s: header %s: %w", name, headerPending, err)
	}
	return behind + 1, nil
}
