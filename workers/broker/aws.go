//go:build aws

package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/awssnssqs"
	"gocloud.dev/pubsub/batcher"
)

func awsMakers() map[string]maker {
	return map[string]maker{awssnssqs.SQSScheme: newAWS, awssnssqs.SNSScheme: newAWS}
}

// maxAWSBatchBytes is the bound on a batch of ten. Longer batches are refused whole.
const maxAWSBatchBytes = 256 << 10

func newAWS(p place) (opener, error) {
	fifo := strings.HasSuffix(p.url.Path, ".fifo")
	return newCloud(p, cloud{
		prefix: "ce_",
		open: func(ctx context.Context, u *url.URL) (*pubsub.Topic, error) {
			options := awssnssqs.TopicOptions{BatcherOptions: batcher.Options{MaxBatchByteSize: maxAWSBatchBytes}}
			return (&awssnssqs.URLOpener{TopicOptions: options}).OpenTopicURL(ctx, u)
		},
		keep: keptByAWS,
		address: func(m message, as func(any) bool) {
			if fifo {
				setGroup(m, as)
			}
		},
	})
}

// keptByAWS leaves nine attributes, for ten are allowed and a body in base64 takes one.
func keptByAWS(name string) bool {
	return strings.HasPrefix(name, "ce_") || slices.Contains([]string{"Genmesh-Stream", "Genmesh-Sequence", "traceparent"}, name)
}

// setGroup keeps the order of an interaction, and lets the queue drop what comes again within five minutes. A group is a hash, for
// its alphabet is small.
func setGroup(m message, as func(any) bool) {
	sum := sha256.Sum256([]byte(m.interaction))
	group := hex.EncodeToString(sum[:])
	var queued *sqstypes.SendMessageBatchRequestEntry
	if as(&queued) {
		queued.MessageGroupId, queued.MessageDeduplicationId = &group, &m.key
	}
	var published *snstypes.PublishBatchRequestEntry
	if as(&published) {
		published.MessageGroupId, published.MessageDeduplicationId = &group, &m.key
	}
}
