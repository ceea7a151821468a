package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

const defaultTimeout = 10 * time.Second

// Target publishes events to a broker. Its methods are safe for concurrent use.
type Target struct {
	name       string // what errors say of the URL
	subscriber string
	timeout    time.Duration
	typePrefix string
	publisher  publisher

	// calls is read-locked by each call, so that Close can wait for them.
	calls  sync.RWMutex
	closed bool
}

// publisher is a kind of broker.
type publisher interface {
	// publish returns nil once the broker has confirmed the message. It connects when it has to, and returns when ctx ends.
	publish(ctx context.Context, m message) error
	// close ends the connection. No publish is under way, and none follows.
	close() error
}

// place is what a kind of broker is told of the target's URL.
type place struct {
	url     *url.URL
	name    string // for errors: it shows no secret
	query   *query
	tls     *mesh.TargetTLS
	timeout time.Duration
	log     logrus.FieldLogger
}

var errClosed = errors.New("the broker target is closed")

// Option changes a target.
type Option func(*Target)

// EventTypePrefix comes before the event type in the CloudEvents type, such as "com.example.". Default: none.
func EventTypePrefix(prefix string) Option { return func(t *Target) { t.typePrefix = prefix } }

// New makes the target of a subscriber. It reads certificates but connects to nothing: the first event does. The URLs:
//
//	kafka://user:password@host:9092/topic?brokers=host2:9092,host3:9092&sasl=scram-sha-512&tls=true
//	rabbit://user:password@host:5672/exchange?vhost=/&routing_key=key&mandatory=true&tls=true
//	awssqs://sqs.eu-west-1.amazonaws.com/123456789012/queue?region=eu-west-1
//	awssns:///arn:aws:sns:eu-west-1:123456789012:topic?region=eu-west-1
//	gcppubsub://projects/project/topics/topic
//	azuresb://topic
//
// sasl is plain (default with a user), scram-sha-256 or scram-sha-512. The default routing key is the event's subject, such as
// "genesys.07.interaction.call.987654321", at most its first 255 bytes: a topic exchange can choose by it. Without an exchange the
// routing key names a queue. With mandatory=false RabbitMQ drops events that no queue wants. The target's TLS files make tls=true.
//
// Neither the user nor the query of the URL appears in any error.
func New(target mesh.Target, subscriber string, log logrus.FieldLogger, options ...Option) (*Target, error) {
	t := &Target{
		name: target.Display(), subscriber: subscriber, timeout: cmp.Or(time.Duration(target.Timeout), defaultTimeout),
	}
	for _, option := range options {
		option(t)
	}
	open, err := parse(target, t.timeout, log)
	if err == nil {
		t.publisher, err = open()
	}
	if err != nil {
		return nil, fmt.Errorf("target %s of subscriber %s: %w", t.name, subscriber, err)
	}
	return t, nil
}

// Check finds what New would refuse, but for what the target's files hold: it reads none. Its error is a *mesh.FieldError.
func Check(target mesh.Target) error {
	_, err := parse(target, defaultTimeout, nil)
	return mesh.Within("url", err)
}

func parse(target mesh.Target, timeout time.Duration, log logrus.FieldLogger) (opener, error) {
	u, err := url.Parse(target.URL)
	if err != nil {
		return nil, errors.New("the url can't be read; it is not shown, for it may hold a secret")
	}
	read, ok := makers()[u.Scheme]
	if !ok {
		return nil, notBuiltIn(u.Scheme)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the query of the url can't be read; it is not shown, for it may hold a secret")
	}
	return read(place{url: u, name: target.Display(), query: &query{values: values}, tls: target.TLS, timeout: timeout, log: log})
}

// Handle returns nil once the broker has confirmed the event: all in-sync replicas of a Kafka partition, all queues of RabbitMQ that
// take it. A call that failed may have published all the same, and the event then comes twice.
//
// A message that is too large is a permanent failure. Where the broker can't be reached or lets nobody in, the whole subscriber waits and
// no attempt is spent. Everything else is tried again, an event that no queue of RabbitMQ wants included: one may be bound meanwhile.
func (t *Target) Handle(ctx context.Context, event mesh.Event) error {
	if !t.calls.TryRLock() { // fails only while Close waits for the others
		return errClosed
	}
	defer t.calls.RUnlock()
	if t.closed {
		return errClosed
	}
	if err := ctx.Err(); err != nil {
		return t.failure(err)
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	err := t.publisher.publish(ctx, t.message(event))
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("not confirmed within %s: %w", t.timeout, err)
	}
	return t.failure(err)
}

// failure keeps what a publisher said of the event's fate.
func (t *Target) failure(err error) error {
	failed := &workers.Failure{Err: fmt.Errorf("publish to %s: %w", t.name, err)}
	switch fate, wait := workers.FateOf(err); fate {
	case workers.Refuse:
		return workers.Permanent(failed)
	case workers.Wait:
		return workers.RetryAfter(wait, failed)
	}
	return failed
}

// Close waits for the calls under way, at most one timeout, and ends the connection.
func (t *Target) Close() error {
	t.calls.Lock()
	defer t.calls.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	return t.publisher.close()
}
