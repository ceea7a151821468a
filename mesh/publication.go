package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// publication is one event on its way into the stream, and what became of it.
type publication struct {
	pending *pending
	id      string // Nats-Msg-Id
	first   bool   // it was sent off to ask for the key's own id
	asked   time.Time

	sequence  uint64
	duplicate bool
	repeat    bool // another event held the key's id
	holder    holder
	err       error
}

// holder is the event that holds a key's own id in the duplicate window, where it is known.
type holder struct {
	fingerprint string
	sequence    uint64
	since       time.Time
}

// The server's error codes that decide what happens to a publish.
const (
	codeDuplicateInProcess jetstream.ErrorCode = 10158 // a concurrent publish of the same id, R3
	codeMessageTooLarge    jetstream.ErrorCode = 10054
)

const (
	// minBatchToHalve: a refused batch of up to this size goes out one by one.
	minBatchToHalve = 4
	retryWait       = 20 * time.Millisecond
)

// publish brings every event of a batch to its end and returns the batch.
func (s *streamCommitter) publish(ctx context.Context, batch []publication) []publication {
	if len(batch) == 1 {
		s.publishOne(ctx, &batch[0])
		return batch
	}
	for {
		err := s.publishAtomically(ctx, batch)
		switch {
		case err == nil:
			return batch
		case isRefusal(err):
			s.metrics.refused.WithLabelValues(s.stream).Inc()
			s.divide(ctx, batch)
			return batch
		case !isTransient(err) || !pause(ctx):
			for i := range batch {
				batch[i].err = s.failure(err)
			}
			return batch
		}
	}
}

// divide tries the halves of a batch that the server refused whole without saying for which
// event. One duplicate among 256 then costs a dozen small commits instead of 256 single ones.
func (s *streamCommitter) divide(ctx context.Context, batch []publication) {
	if len(batch) > minBatchToHalve {
		half := len(batch) / 2
		s.publish(ctx, batch[:half])
		s.publish(ctx, batch[half:])
		return
	}
	var singles sync.WaitGroup
	for i := range batch {
		singles.Go(func() { s.publishOne(ctx, &batch[i]) })
	}
	singles.Wait()
}

// publishAtomically stores the batch as one: all of it or nothing, with one round trip and a
// few fsyncs whatever its size.
func (s *streamCommitter) publishAtomically(ctx context.Context, batch []publication) error {
	messages := make([]*nats.Msg, len(batch))
	for i := range batch {
		messages[i] = batch[i].pending.event.Msg(batch[i].id)
	}
	ack, err := jetstreamext.PublishMsgBatch(ctx, s.js, messages, jetstreamext.BatchFlowControl{AckFirst: false})
	if err != nil {
		return err
	}
	sequence := ack.Sequence - uint64(len(batch)) + 1
	for i := range batch {
		batch[i].stored(sequence + uint64(i))
	}
	return nil
}

// publishOne stores one event, or finds it stored, and tries until ctx ends.
func (s *streamCommitter) publishOne(ctx context.Context, pub *publication) {
	uncertain := false // an earlier try may have stored it
	for {
		ack, err := s.publishAsync(ctx, pub.pending.event.Msg(pub.id))
		switch {
		case err == nil && !ack.Duplicate:
			pub.stored(ack.Sequence)
			return
		case err == nil && !pub.asksForKey():
			pub.sequence, pub.duplicate = ack.Sequence, !uncertain
			return
		case err == nil:
			if err = s.compare(ctx, pub, ack.Sequence); err == nil {
				if !pub.asksForKey() {
					continue // a later event of its key: now under an id of its own
				}
				pub.duplicate = pub.duplicate && !uncertain
				return
			}
		}
		if !isTransient(err) || !pause(ctx) {
			pub.err = s.failure(err)
			return
		}
		var answered *jetstream.APIError
		uncertain = uncertain || !errors.As(err, &answered)
	}
}

// publishAsync publishes one message and waits for its acknowledgement. Many at once share the
// connection's round trips.
func (s *streamCommitter) publishAsync(ctx context.Context, msg *nats.Msg) (*jetstream.PubAck, error) {
	future, err := s.js.PublishMsgAsync(msg, jetstream.WithExpectStream(s.stream))
	if err != nil {
		return nil, err
	}
	select {
	case ack := <-future.Ok():
		return ack, nil
	case err := <-future.Err():
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// compare tells a redelivery from a later event of the same key, after the server said that the
// key's id is taken by the event at sequence. For a later event it gives pub an id of its own.
func (s *streamCommitter) compare(ctx context.Context, pub *publication, sequence uint64) error {
	original, found, err := s.original(ctx, sequence)
	if err != nil {
		return err
	}
	if found {
		pub.holder = holder{original.fingerprint, sequence, original.stored}
	}
	if pub.pending.repeat == RepeatDrop || found && original.fingerprint == pub.pending.event.Fingerprint {
		pub.sequence, pub.duplicate = sequence, true
		return nil
	}
	// An original that was deleted can't be compared; storing the event is the safe side.
	pub.repeat = true
	pub.id = repeatID(pub.pending.id, pub.pending.event.Fingerprint)
	return nil
}

// original reads a stored event's fingerprint. It asks the stream's leader: a direct get may be
// answered by a replica that is a moment behind, and "not found" would store the event twice.
func (s *streamCommitter) original(ctx context.Context, sequence uint64) (recentEvent, bool, error) {
	request := fmt.Sprintf(`{"seq":%d}`, sequence)
	subject := jetstream.DefaultAPIPrefix + "STREAM.MSG.GET." + s.stream
	reply, err := s.js.Conn().RequestWithContext(ctx, subject, []byte(request))
	if err != nil {
		return recentEvent{}, false, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Header []byte    `json:"hdrs"`
			Time   time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return recentEvent{}, false, fmt.Errorf("message %d of stream %s: %w", sequence, s.stream, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return recentEvent{}, false, nil
	case answer.Error != nil:
		return recentEvent{}, false, answer.Error
	}
	header, err := nats.DecodeHeadersMsg(answer.Message.Header)
	if err != nil {
		return recentEvent{}, false, fmt.Errorf("headers of message %d of stream %s: %w", sequence, s.stream, err)
	}
	return recentEvent{fingerprint: header.Get(HeaderFingerprint), stored: answer.Message.Time}, true, nil
}

// asksForKey reports whether its id is the key's own. A publication that was sent off with that
// gets another once the key turns out to be taken by another event.
func (pub *publication) asksForKey() bool { return pub.id == pub.pending.id }

func (pub *publication) stored(sequence uint64) {
	pub.sequence = sequence
	if pub.asksForKey() {
		pub.holder = holder{pub.pending.event.Fingerprint, sequence, pub.asked}
	} else {
		pub.repeat = true
	}
}

// failure is the error that Commit returns for what the server or the connection said.
func (s *streamCommitter) failure(err error) error {
	var api *jetstream.APIError
	tooLarge := errors.As(err, &api) && api.ErrorCode == codeMessageTooLarge
	if tooLarge || errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: stream %s: %w", ErrTooLarge, s.stream, err)
	}
	return fmt.Errorf("%w: stream %s: %w", ErrUnavailable, s.stream, err)
}

// isRefusal reports whether the server said that what it was sent can't be stored as it is, and
// stored nothing of it.
func isRefusal(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.Code == 400 || errors.Is(err, nats.ErrMaxPayload)
}

// isTransient reports whether the same publish may succeed in a moment. A full stream is not:
// the sender shall come again later.
func isTransient(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode == codeDuplicateInProcess
	}
	return !errors.Is(err, nats.ErrMaxPayload) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

// pause waits a moment, longer each time by chance; false means that ctx has ended.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(retryWait + rand.N(2*retryWait))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
