package mesh

import (
	"context"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

func consumerFilters(info *jetstream.ConsumerInfo) []string {
	if info.Config.FilterSubject != "" {
		return []string{info.Config.FilterSubject}
	}
	return info.Config.FilterSubjects
}

// takes reports whether filters take a subject; none take all.
func takes(filters []string, subject string) bool {
	return len(filters) == 0 || slices.ContainsFunc(filters, func(f string) bool { return SubjectCovers(f, subject) })
}

// subscriberConsumers are the consumers of a stream that serve subscribers, by the subscriber's name.
func subscriberConsumers(ctx context.Context, js jetstream.JetStream, stream string) (map[string][]*jetstream.ConsumerInfo, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	all, err := ListConsumers(ctx, s)
	if err != nil {
		return nil, err
	}
	of := map[string][]*jetstream.ConsumerInfo{}
	for _, info := range all {
		if name := info.Config.Metadata[MetadataSubscriber]; name != "" {
			of[name] = append(of[name], info)
		}
	}
	return of, nil
}
