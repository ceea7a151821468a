package mesh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// Delivery is how the handing of one event to one subscriber ended. It names the event by its
// place alone and holds nothing of it, so that nothing has to be erased here with the event.
type Delivery struct {
	Stream     string    `json:"stream"`
	Sequence   uint64    `json:"sequence"`
	Stored     time.Time `json:"stored"`
	Subscriber string    `json:"subscriber"`
	Outcome    Outcome   `json:"outcome"`
	// Reason is why it became a dead letter, or which step passed it by; "" for what was taken.
	Reason string `json:"reason,omitempty"`
	// Attempts is how often the target was tried.
	Attempts int `json:"attempts,omitempty"`
	// Began is when the event came into the hands of the process that brought it to its end, Ended
	// when it did.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	// Waited is how long of that it waited because the target asked for air, the breaker was open,
	// the rate was limited or the subscriber paused.
	Waited Duration `json:"waited,omitempty"`
	// Replay is true for a dead letter or a part of the history that was replayed.
	Replay bool `json:"replay,omitempty"`
	// EachAttempt tells the latest attempts of the process that brought it to its end, at most MaxEachAttempt, the oldest first. They are left out where
	// the first one was taken.
	EachAttempt []Attempt `json:"each_attempt,omitempty"`
}

// MaxEachAttempt bounds the attempts of a Delivery that are told one by one.
const MaxEachAttempt = 20

// Attempt is one try to hand an event to a target. It has none of the target's words: they may repeat something of the event.
type Attempt struct {
	At   time.Time `json:"at"`
	Took Duration  `json:"took"`
	// Outcome is "delivered", "failed" and to be tried again, "rejected" for good, "waits" if the target asked for air, or
	// "unusable" if it can't be used for any event. The last two count as no attempt.
	Outcome string `json:"outcome"`
	// Status is that of the target's answer; 0 if there was none.
	Status int `json:"status,omitempty"`
}

// Outcome is how a delivery ended.
type Outcome string

// The outcomes.
const (
	OutcomeDelivered Outcome = "delivered"
	// OutcomeDead: it became a dead letter.
	OutcomeDead Outcome = "dead"
	// OutcomePassed: the subscriber's when or transform passed it by.
	OutcomePassed Outcome = "passed"
)

const (
	deliveriesPrefix   = "deliveries."
	deliveriesSubjects = "deliveries.>"
	// maxDeliveriesBytes bounds one message of records; MaxRecords keeps it far below.
	maxDeliveriesBytes = 512 << 10
	// MaxRecords is how many deliveries RecordDeliveries takes at once.
	MaxRecords = 2000
	// recordsInFlight bounds the messages of records that wait for their acknowledgement.
	recordsInFlight = 16
)

// DeliveryRecords is the stream that keeps how deliveries ended, if streams.json has one: a
// stream that takes "deliveries.>".
func (t *Topology) DeliveryRecords() (Stream, bool) { return t.roleStream(deliveriesSubjects) }

// deliveriesSubject is where the deliveries of a partition are kept.
func deliveriesSubject(partition string) string { return deliveriesPrefix + partition }

// RecordDeliveries stores records by the partition of their events, in as few messages as can be,
// and returns once they are stored. partitions has the partition of each.
func RecordDeliveries(ctx context.Context, js jetstream.JetStream, stream string, records []Delivery, partitions []string) error {
	if len(records) > MaxRecords || len(records) != len(partitions) {
		return fmt.Errorf("%d delivery records; at most %d, each with its partition", len(records), MaxRecords)
	}
	var group errgroup.Group
	group.SetLimit(recordsInFlight)
	publish := func(partition string, lines *bytes.Buffer) {
		group.Go(func() error { return publishRecords(ctx, js, stream, partition, lines.Bytes()) })
	}
	lines := map[string]*bytes.Buffer{}
	var unwritten error
	for i, record := range records {
		line, err := json.Marshal(record)
		if err != nil {
			unwritten = fmt.Errorf("delivery record of event %d: %w", record.Sequence, err)
			continue
		}
		b := lines[partitions[i]]
		if b == nil {
			b = new(bytes.Buffer)
			lines[partitions[i]] = b
		}
		b.Write(line)
		b.WriteByte('\n')
		if b.Len() > maxDeliveriesBytes {
			publish(partitions[i], b)
			delete(lines, partitions[i])
		}
	}
	for partition, b := range lines {
		publish(partition, b)
	}
	return errors.Join(group.Wait(), unwritten)
}

func publishRecords(ctx context.Context, js jetstream.JetStream, stream, partition string, lines []byte) error {
	msg := &nats.Msg{Subject: deliveriesSubject(partition), Data: lines}
	if _, err := js.PublishMsg(ctx, msg, jetstream.WithExpectStream(stream)); err != nil {
		return fmt.Errorf("record deliveries in stream %s: %w", stream, err)
	}
	return nil
}

// ErrNoRecords means that streams.json has no stream for delivery records.
var ErrNoRecords = errors.New(`deliveries are not recorded: no stream takes "deliveries.>"`)

// FindDeliveries calls found for each record about an event of the interaction, in the order of
// recording. since bounds how far back it looks; zero is as far as there are records. What can't be
// read is left out. It fails with ErrNoRecords where none are kept.
func (t *Topology) FindDeliveries(ctx context.Context, js jetstream.JetStream, interaction string, since time.Time, found func(Delivery)) error {
	stream, ok := t.DeliveryRecords()
	if !ok {
		return ErrNoRecords
	}
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{deliveriesSubject(Partition(interaction))}}
	if !since.IsZero() {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	for msg, err := range readStream(ctx, js, stream.Name, config) {
		if err != nil {
			return err
		}
		for line := range bytes.Lines(msg.Data()) {
			var d Delivery
			if json.Unmarshal(line, &d) == nil && d.Sequence > 0 {
				found(d)
			}
		}
	}
	return nil
}
