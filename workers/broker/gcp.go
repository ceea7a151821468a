//go:build gcp

package broker

import (
	"context"
	"net/url"

	"cloud.google.com/go/pubsub/v2/apiv1/pubsubpb"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/gcppubsub"
)

func gcpMakers() map[string]maker { return map[string]maker{gcppubsub.Scheme: newGCP} }

func newGCP(p place) (opener, error) {
	return newCloud(p, cloud{
		prefix: "ce-", contentType: "Content-Type",
		open:    func(ctx context.Context, u *url.URL) (*pubsub.Topic, error) { return pubsub.OpenTopic(ctx, u.String()) },
		address: setOrderingKey,
	})
}

func setOrderingKey(m message, as func(any) bool) {
	var published *pubsubpb.PubsubMessage
	if as(&published) {
		published.OrderingKey = validText(m.interaction)
	}
}
