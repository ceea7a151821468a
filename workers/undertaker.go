package workers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
)

// Undertaker buries the events that ended without a word: those whose last delivery killed its
// worker. The server tells of such an event once, by an advisory that a stream captures; the
// undertaker makes a dead letter of it, under the same id as a worker would, so that both ways
// meet in one. Any number of processes may run one; they share the work.
type Undertaker struct {
	JetStream   jetstream.JetStream
	DeadLetters BurierOnce
	// Topology is the streams.json in force.
	Topology func() *mesh.Topology
	Logger   logrus.FieldLogger
	Metrics  *Metrics
}

// BurierOnce is a Burier that can tell whether a burial was the first of its event and subscriber.
type BurierOnce interface {
	BuryOnce(ctx context.Context, letter mesh.DeadLetter) (first bool, err error)
}

const (
	undertakerDurable  = "undertaker"
	undertakerAckWait  = 10 * time.Second
	undertakerAhead    = 16 // advisories that are fetched before they are attended to
	undertakerRetry    = 5 * time.Second
	settleDelay        = 2 * time.Second
	maxDeliveriesTopic = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."
)

// advisory is the server's io.nats.jetstream.advisory.v1.max_deliver.
type advisory struct {
	Stream     string    `json:"stream"`
	Consumer   string    `json:"consumer"`
	Sequence   uint64    `json:"stream_seq"`
	Deliveries int       `json:"deliveries"`
	Time       time.Time `json:"timestamp"`
}

// Run works until ctx ends.
func (u *Undertaker) Run(ctx context.Context) error {
	log := u.Logger.WithField("component", "undertaker")
	var last string
	reconciled := make(chan struct{})
	defer func() { <-reconciled }()
	go func() {
		defer close(reconciled)
		u.reconcile(ctx, log)
	}()
	for ctx.Err() == nil {
		if err := u.serve(ctx, log); ctx.Err() == nil && err.Error() != last {
			log.WithError(err).Warn("advisories are not read; trying again until they are")
			last = err.Error()
		}
		sleep(ctx, rebindWait)
	}
	return nil
}

// serve attends to advisories until ctx ends or they can't be read; it always returns why.
func (u *Undertaker) serve(ctx context.Context, log logrus.FieldLogger) error {
	consumer, err := u.consumer(ctx)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(undertakerAhead))
	if err != nil {
		return fmt.Errorf("read advisories: %w", err)
	}
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			u.handBack(messages, nil)
			return fmt.Errorf("read advisories: %w", err)
		}
		err = u.attend(ctx, msg, log)
		if err != nil && ctx.Err() != nil {
			u.handBack(messages, msg)
			return err
		}
		if err != nil {
			log.WithError(err).Error("an event that ended without a word is not buried yet; trying again")
			err = msg.NakWithDelay(undertakerRetry)
			if err != nil {
				u.handBack(messages, nil)
				return fmt.Errorf("give an advisory back: %w", err)
			}
		}
	}
}

// handBack ends the reading and gives back what came and was not attended to, the one in hand first, if there is one: whoever goes on gets
// them now, and not after their ack_wait. It waits for the server's word, which would lose what it has not taken in when it ends, too.
func (u *Undertaker) handBack(messages jetstream.MessagesContext, inHand jetstream.Msg) {
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	defer messages.Stop()
	messages.Drain()
	for msg := inHand; ; {
		if msg != nil {
			if _, err := u.JetStream.Conn().RequestWithContext(ctx, msg.Reply(), []byte("-NAK")); err != nil {
				return // NATS is away: they come after their ack_wait
			}
		}
		var err error
		if msg, err = messages.Next(jetstream.NextContext(ctx)); err != nil {
			return
		}
	}
}

func (u *Undertaker) consumer(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, ok := u.Topology().StreamFor(maxDeliveriesTopic + ">")
	if !ok {
		return nil, fmt.Errorf("no stream takes %s>", maxDeliveriesTopic)
	}
	consumer, err := u.JetStream.CreateOrUpdateConsumer(ctx, stream.Name, jetstream.ConsumerConfig{
		Durable:       undertakerDurable,
		Description:   "makes dead letters of events whose deliveries are used up",
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       undertakerAckWait,
		FilterSubject: maxDeliveriesTopic + ">",
	})
	if err != nil {
		return nil, fmt.Errorf("consumer %s of stream %s: %w", undertakerDurable, stream.Name, err)
	}
	return consumer, nil
}

// attend buries the event that an advisory tells of and acknowledges the advisory.
func (u *Undertaker) attend(ctx context.Context, msg jetstream.Msg, log logrus.FieldLogger) error {
	var a advisory
	if err := json.Unmarshal(msg.Data(), &a); err != nil || a.Stream == "" || a.Sequence == 0 {
		log.WithField("subject", msg.Subject()).Warn("an advisory that can't be read is passed over")
		return msg.Ack()
	}
	subscriber, err := u.subscriber(ctx, a)
	if err != nil {
		return err
	}
	if subscriber == "" {
		return msg.Ack()
	}
	letter, err := u.letter(ctx, a, subscriber)
	if err == nil && letter.Stored.After(a.Time) {
		return msg.Ack() // the stream was made again since: this is another event
	}
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		log.WithFields(logrus.Fields{"subscriber": subscriber, "stream": a.Stream, "sequence": a.Sequence}).
			Error("an event ended without a word and the stream no longer has it")
		return msg.Ack()
	}
	if err != nil {
		return err
	}
	first, err := u.DeadLetters.BuryOnce(ctx, letter)
	if err != nil {
		return err
	}
	if first {
		u.Metrics.of(subscriber).dead(letter.Reason)
		log.WithFields(letter.LogFields()).WithFields(logrus.Fields{"subscriber": subscriber, "reason": letter.Reason}).
			Error("dead letter: look at it with genmesh dead list")
	}
	if meta, err := msg.Metadata(); err == nil && meta.NumDelivered > 1 && !first {
		if err := u.settle(a); err != nil {
			return err
		}
		return msg.Ack()
	}
	// The server sets its mark after it sent the advisory, so it is taken off a moment later.
	return msg.NakWithDelay(settleDelay)
}

// settle acknowledges the event after all, which takes the server's mark off: see reconciler.
// The subject's form is that of ADR-15, github.com/nats-io/nats-architecture-and-design.
func (u *Undertaker) settle(a advisory) error {
	subject := fmt.Sprintf("$JS.ACK.%s.%s.%d.%d.0.0.0", a.Stream, a.Consumer, a.Deliveries, a.Sequence)
	if err := u.JetStream.Conn().Publish(subject, []byte("+ACK")); err != nil {
		return fmt.Errorf("settle event %d of stream %s for %s: %w", a.Sequence, a.Stream, a.Consumer, err)
	}
	return nil
}

// subscriber is whom an advisory is about, or "". The server decides and not this process'
// streams.json: while a new version of that is rolled out, an older process must not pass over what
// concerns a new subscriber.
func (u *Undertaker) subscriber(ctx context.Context, a advisory) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	consumer, err := u.JetStream.PushConsumer(ctx, a.Stream, a.Consumer)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound),
		errors.Is(err, jetstream.ErrNotPushConsumer):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("consumer %s of stream %s: %w", a.Consumer, a.Stream, err)
	}
	return consumer.CachedInfo().Config.Metadata[mesh.MetadataSubscriber], nil
}

func (u *Undertaker) letter(ctx context.Context, a advisory, subscriber string) (mesh.DeadLetter, error) {
	reason := mesh.DeadAbandoned
	event, err := mesh.GetEvent(ctx, u.JetStream, a.Stream, a.Sequence)
	if errors.Is(err, mesh.ErrNotEvent) {
		reason, err = mesh.DeadUnreadable, nil
	}
	return mesh.DeadLetter{
		Event:      event,
		Subscriber: subscriber,
		Reason:     reason,
		Attempts:   a.Deliveries,
		Error:      errAbandoned.Error(),
	}, err
}
