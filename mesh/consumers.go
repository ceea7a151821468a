package mesh

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ListConsumers lists all consumers of a stream, or fails. The server's own list leaves out who has no leader at the time, as after the loss of a
// node, and nats.go does not tell that anything is missing (nats-server 2.15.2, server/jetstream_cluster.go,
// jsClusteredConsumerListRequest): whoever believes that makes consumers anew that are there, or drops them.
func ListConsumers(ctx context.Context, stream jetstream.Stream) ([]*jetstream.ConsumerInfo, error) {
	of := stream.CachedInfo().Config.Name
	var all []*jetstream.ConsumerInfo
	listed := map[string]bool{}
	list := stream.ListConsumers(ctx)
	for info := range list.Info() {
		if !listed[info.Name] {
			listed[info.Name] = true
			all = append(all, info)
		}
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list the consumers of %s: %w", of, err)
	}
	names := stream.ConsumerNames(ctx)
	var unlisted []string
	for name := range names.Name() {
		if !listed[name] {
			unlisted = append(unlisted, name)
		}
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("list the consumers of %s: %w", of, err)
	}
	for _, name := range unlisted {
		info, err := consumerOf(ctx, stream, name)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue // it was deleted just now
		}
		if err != nil {
			return nil, fmt.Errorf("consumer %s of %s can't be read, because it has no leader maybe; try again in a moment: %w", name, of, err)
		}
		all = append(all, info)
	}
	return all, nil
}

// consumerOf is what the server says of a consumer, push or pull.
func consumerOf(ctx context.Context, stream jetstream.Stream, name string) (*jetstream.ConsumerInfo, error) {
	push, err := stream.PushConsumer(ctx, name)
	if err == nil {
		return push.CachedInfo(), nil
	}
	if !errors.Is(err, jetstream.ErrNotPushConsumer) {
		return nil, err
	}
	pull, err := stream.Consumer(ctx, name)
	if err != nil {
		return nil, err
	}
	return pull.CachedInfo(), nil
}
