//go:build aws || gcp || azure

package broker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"gocloud.dev/gcerrors"
	"gocloud.dev/pubsub"

	"github.com/genmesh/genmesh/workers"
)

// cloud is what differs between the queues that the Go CDK knows.
type cloud struct {
	prefix      string // of the CloudEvents attributes
	contentType string // the attribute for it; "" if it is no attribute
	open        func(context.Context, *url.URL) (*pubsub.Topic, error)
	keep        func(attribute string) bool // nil keeps all
	// address sets what the service orders messages by.
	address func(m message, as func(any) bool)
}

// cloudPublisher publishes to a topic of the Go CDK, which gathers what comes at once into batches. A topic that failed is replaced, for
// it may stay broken.
type cloudPublisher struct {
	cloud
	url  *url.URL
	name string

	mu    sync.Mutex
	topic *pubsub.Topic // nil before the first message and after a failure
	ends  sync.WaitGroup
}

// newCloud leaves the parameters of the URL to the Go CDK, which reads them when it opens the topic.
func newCloud(p place, c cloud) (opener, error) {
	return func() (publisher, error) { return &cloudPublisher{cloud: c, url: p.url, name: p.name}, nil }, nil
}

func (c *cloudPublisher) publish(ctx context.Context, m message) error {
	topic, err := c.opened(ctx)
	if err != nil {
		return workers.RetryAfter(0, c.hide(err))
	}
	err = topic.Send(ctx, &pubsub.Message{
		Body: m.body, Metadata: c.metadata(m),
		BeforeSend: func(as func(any) bool) error { c.address(m, as); return nil },
	})
	if err == nil {
		return nil
	}
	if ctx.Err() == nil {
		c.replace(topic)
	}
	switch gcerrors.Code(err) {
	case gcerrors.NotFound, gcerrors.PermissionDenied, gcerrors.ResourceExhausted:
		return workers.RetryAfter(0, c.hide(err))
	}
	return c.hide(err)
}

func (c *cloudPublisher) metadata(m message) map[string]string {
	all := make(map[string]string, len(m.attributes)+len(m.own)+1)
	set := func(name, value string) {
		if name != "" && (c.keep == nil || c.keep(name)) {
			all[name] = value
		}
	}
	for _, a := range m.attributes {
		set(c.prefix+a.name, a.value)
	}
	set(c.contentType, contentType)
	for _, h := range m.own {
		set(h.name, h.value)
	}
	return all
}

func (c *cloudPublisher) opened(ctx context.Context) (*pubsub.Topic, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topic == nil {
		topic, err := c.open(context.WithoutCancel(ctx), c.url) // the topic outlives the call
		if err != nil {
			return nil, err
		}
		c.topic = topic
	}
	return c.topic, nil
}

func (c *cloudPublisher) replace(failed *pubsub.Topic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topic != failed {
		return
	}
	c.topic = nil
	c.ends.Go(func() { _ = shutdown(failed) })
}

// shutdownTimeout bounds the end of a topic.
const shutdownTimeout = 5 * time.Second

func shutdown(topic *pubsub.Topic) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	return topic.Shutdown(ctx)
}

// hide takes the URL out of an error: the Go CDK quotes it whole.
func (c *cloudPublisher) hide(err error) error {
	text := strings.ReplaceAll(err.Error(), c.url.String(), c.name)
	if text == err.Error() {
		return err
	}
	return errors.New(text)
}

func (c *cloudPublisher) close() error {
	c.ends.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.topic == nil {
		return nil
	}
	if err := shutdown(c.topic); err != nil {
		return fmt.Errorf("close %s: %w", c.name, err)
	}
	return nil
}
