package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/genmesh/genmesh/workers"
)

const (
	kafkaDialTimeout = 5 * time.Second
	// maxBufferedRecords and -Bytes bound what one target holds: events that are under way, and those whose calls gave up but
	// which may be on their way to the broker.
	maxBufferedRecords = 20_000
	maxBufferedBytes   = 64 << 20
)

// kafka publishes to one topic. Its client connects again by itself, to whichever broker leads a partition.
type kafka struct {
	topic   string
	options []kgo.Opt
	client  *kgo.Client
	// doubtful is true until a broker answered, and again after a failure: then a broker is asked first, so that an outage is told
	// from an event that can't be taken.
	doubtful atomic.Bool

	loneMu sync.Mutex
	lone   *kgo.Client // its batches hold one record; nil until it is needed
}

func newKafka(p place) (opener, error) {
	topic := strings.TrimPrefix(p.url.Path, "/")
	if topic == "" || strings.Contains(topic, "/") || p.url.Hostname() == "" {
		return nil, errors.New(`the url is not of the form "kafka://host:9092/topic"`)
	}
	options, err := kafkaOptions(p)
	if err != nil {
		return nil, err
	}
	encrypted, err := wantsTLS(p)
	if err != nil {
		return nil, err
	}
	if err := p.query.rest(); err != nil {
		return nil, err
	}
	options = append(options, kgo.DefaultProduceTopic(topic), kgo.DialTimeout(kafkaDialTimeout), kgo.DisableClientMetrics(),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// A batch forms while the one before it is under way; to linger would only cost time.
		kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(max(p.timeout, time.Second)), // the least that the client takes
		kgo.MaxBufferedRecords(maxBufferedRecords), kgo.MaxBufferedBytes(maxBufferedBytes))
	if err := kgo.ValidateOpts(options...); err != nil {
		return nil, fmt.Errorf("the settings of the Kafka client: %w", err)
	}
	return func() (publisher, error) { return openKafka(p, topic, options, encrypted) }, nil
}

func openKafka(p place, topic string, options []kgo.Opt, encrypted bool) (publisher, error) {
	config, err := tlsConfig(p, encrypted)
	if err != nil {
		return nil, err
	}
	if config != nil {
		options = append(options, kgo.DialTLSConfig(config))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("the settings of the Kafka client: %w", err)
	}
	k := &kafka{topic: topic, options: options, client: client}
	k.doubtful.Store(true)
	return k, nil
}

func kafkaOptions(p place) ([]kgo.Opt, error) {
	seeds := []string{withPort(p.url.Host)}
	for broker := range strings.SplitSeq(p.query.text("brokers"), ",") {
		if broker != "" {
			seeds = append(seeds, withPort(broker))
		}
	}
	options := []kgo.Opt{kgo.SeedBrokers(seeds...), kgo.ClientID("genmesh"), kgo.SoftwareNameAndVersion("genmesh", "v1")}
	mechanism, err := kafkaSASL(p)
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		options = append(options, kgo.SASL(mechanism))
	}
	return options, nil
}

func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), "9092")
}

func kafkaSASL(p place) (sasl.Mechanism, error) {
	method := p.query.text("sasl")
	if p.url.User == nil {
		if method != "" {
			return nil, errors.New(`the parameter "sasl" needs a user and a password in the url`)
		}
		return nil, nil
	}
	user := p.url.User.Username()
	password, _ := p.url.User.Password()
	switch method {
	case "", "plain":
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, errors.New(`the parameter "sasl" is none of plain, scram-sha-256, scram-sha-512`)
}

func (k *kafka) publish(ctx context.Context, m message) error {
	if k.doubtful.Load() {
		if err := k.client.Ping(ctx); err != nil {
			return workers.RetryAfter(0, fmt.Errorf("no Kafka broker can be reached: %w", err))
		}
		k.doubtful.Store(false)
	}
	record := kafkaRecord(m)
	err := produce(ctx, k.client, record)
	if errors.Is(err, kerr.MessageTooLarge) {
		err = k.produceAlone(ctx, record)
	}
	if err == nil {
		return nil
	}
	k.doubtful.Store(true)
	return judgeKafka(k.topic, err)
}

// produceAlone tells who was too large: a broker refuses a whole batch, and the client fails each of its records.
func (k *kafka) produceAlone(ctx context.Context, record *kgo.Record) error {
	client, err := k.loneClient()
	if err != nil {
		return err
	}
	return produce(ctx, client, &kgo.Record{Key: record.Key, Value: record.Value, Headers: record.Headers, Timestamp: record.Timestamp})
}

func (k *kafka) loneClient() (*kgo.Client, error) {
	k.loneMu.Lock()
	defer k.loneMu.Unlock()
	if k.lone == nil {
		client, err := kgo.NewClient(append(k.options[:len(k.options):len(k.options)], kgo.MaxBufferedRecords(1))...)
		if err != nil {
			return nil, err
		}
		k.lone = client
	}
	return k.lone, nil
}

// produce waits for the record's outcome, or until ctx ends. A record that is on its way by then still arrives, but before
// whatever is produced later: the client keeps the order of a partition.
func produce(ctx context.Context, client *kgo.Client, record *kgo.Record) error {
	outcome := make(chan error, 1)
	client.Produce(ctx, record, func(_ *kgo.Record, err error) { outcome <- err })
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func kafkaRecord(m message) *kgo.Record {
	record := &kgo.Record{Value: m.body, Headers: make([]kgo.RecordHeader, 0, len(m.attributes)+len(m.own)+1)}
	if m.interaction != "" { // or else any partition is as good
		record.Key = []byte(m.interaction)
	}
	add := func(name, value string) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	for _, a := range m.attributes {
		add("ce_"+a.name, a.value)
	}
	add("content-type", contentType)
	for _, h := range m.own {
		add(h.name, h.value)
	}
	return record
}

func judgeKafka(topic string, err error) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge):
		return workers.Permanent(fmt.Errorf("larger than max.message.bytes of the topic %s allows: %w", topic, err))
	case errors.Is(err, kerr.InvalidRecord):
		return workers.Permanent(err)
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return workers.RetryAfter(0, fmt.Errorf("there is no topic %s, create it: %w", topic, err))
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed),
		errors.Is(err, kerr.SaslAuthenticationFailed):
		return workers.RetryAfter(0, err)
	}
	return err
}

// close gives up what is on its way for calls that have ended.
func (k *kafka) close() error {
	k.client.Close()
	k.loneMu.Lock()
	defer k.loneMu.Unlock()
	if k.lone != nil {
		k.lone.Close()
	}
	return nil
}
