package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// maxLatestRead is how many messages LatestKinds reads, one by one: enough to show somebody who has mistaken a name for
// another what the names look like.
const maxLatestRead = 32

// LatestKinds are the types and the media of the latest events of a stream, each once, those of the latest event first. There
// may be others before.
func LatestKinds(ctx context.Context, js jetstream.JetStream, name string) (types, media []string, err error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, nil, fmt.Errorf("stream %s: %w", name, err)
	}
	state := stream.CachedInfo().State
	oldest := max(state.FirstSeq, 1)
	if state.LastSeq >= maxLatestRead {
		oldest = max(oldest, state.LastSeq-maxLatestRead+1)
	}
	for sequence := state.LastSeq; sequence >= oldest; sequence-- {
		msg, err := stream.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("event %d of stream %s: %w", sequence, name, err)
		}
		e, err := parseStored(msg.Subject, msg.Header, msg.Data)
		if err != nil || e.Notice != "" {
			continue // no sender's
		}
		types, media = withOnce(types, e.Type), withOnce(media, e.Media)
	}
	return types, media, nil
}

func withOnce(names []string, name string) []string {
	if name == "" || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}
