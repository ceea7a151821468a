package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
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
	flies   bool
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

// publish brings every event of a batch to its end. What stands in one line is stored in the order of
// the batch, and never past an event of the same delivery that could not be stored: so of a delivery
// whose sender is told to come again, the stream has the beginning and nothing behind a gap.
//
// Another process may store between any two of them what it was sent itself, be it the same delivery:
// each event then lies where the first of the two put it. As each process goes on to the next event
// only when it knows the one before to be stored, deliveries that hold the same events in the same order
// keep it over all processes. Between deliveries that two processes get at one time there is no order.
func (s *streamCommitter) publish(ctx context.Context, batch []*publication) {
	if batch = goingOn(batch); len(batch) <= 1 {
		s.publishSingly(ctx, batch)
		return
	}
	for {
		err := s.publishAtomically(ctx, batch)
		switch {
		case err == nil:
			return
		case isRefusal(err):
			s.metrics.refused.WithLabelValues(s.stream).Inc()
			s.divide(ctx, batch)
			return
		case !isTransient(err) || !pause(ctx):
			for _, pub := range batch {
				pub.fail(s.failure(err))
			}
			return
		}
	}
}

// goingOn leaves out those whose delivery has failed.
func goingOn(batch []*publication) []*publication {
	if !slices.ContainsFunc(batch, func(pub *publication) bool { return pub.pending.delivery.failure() != nil }) {
		return batch
	}
	var left []*publication
	for _, pub := range batch {
		if pub.err = pub.pending.delivery.failure(); pub.err == nil {
			left = append(left, pub)
		}
	}
	return left
}

// divide tries the halves of a batch that the server refused whole without saying for which
// event, one after the other. One duplicate among 256 then costs a dozen small commits instead of
// 256 single ones, and the deliveries without one stay whole.
func (s *streamCommitter) divide(ctx context.Context, batch []*publication) {
	at, parts := halve(batch)
	if len(batch) > minBatchToHalve || parts {
		s.publish(ctx, batch[:at])
		s.publish(ctx, batch[at:])
		return
	}
	s.publishSingly(ctx, batch)
}

// halve finds where to divide a batch: near the middle, and between two deliveries if there are several.
// It reports whether that leaves deliveries of several events whole.
func halve(batch []*publication) (at int, parts bool) {
	middle := len(batch) / 2
	at = middle
	isBetween := func(i int) bool { return i > 0 && i < len(batch) && !batch[i].isWith(batch[i-1]) }
	for away := 0; away <= middle; away++ {
		if isBetween(middle - away) {
			at = middle - away
			break
		}
		if isBetween(middle + away) {
			at = middle + away
			break
		}
	}
	for i := 1; i < len(batch); i++ {
		parts = parts || !isBetween(i)
	}
	return at, parts && isBetween(at)
}

// publishSingly stores events one by one, in their order as far as they stand in one line. What has
// nothing to do with each other goes out at the same time.
func (s *streamCommitter) publishSingly(ctx context.Context, batch []*publication) {
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && !batch[n].standsBehindAny(batch[:n]) {
			n++
		}
		var all sync.WaitGroup
		for _, pub := range batch[1:n] {
			all.Go(func() { s.publishOne(ctx, pub) })
		}
		s.publishOne(ctx, batch[0])
		all.Wait()
		batch = batch[n:]
	}
}

// standsBehindAny reports whether it is in a line with one of those before it.
func (pub *publication) standsBehindAny(before []*publication) bool {
	return slices.ContainsFunc(before, func(other *publication) bool {
		return slices.ContainsFunc(pub.pending.lines[:], func(l *line) bool {
			return l != nil && slices.Contains(other.pending.lines[:], l)
		})
	})
}

// publishAtomically stores the batch as one: all of it or nothing, with one round trip and a
// few fsyncs whatever its size.
func (s *streamCommitter) publishAtomically(ctx context.Context, batch []*publication) error {
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
	if failed := pub.pending.delivery.failure(); failed != nil {
		pub.err = failed
		return
	}
	uncertain := false // an earlier try may have stored it
	for {
		ack, err := s.publishAsync(ctx, pub.pending.event.Msg(pub.id))
		if err == nil && !ack.Duplicate {
			pub.stored(ack.Sequence)
			return
		}
		if err == nil {
			var settled bool
			if settled, err = s.judge(ctx, pub, ack.Sequence); settled {
				pub.duplicate = !uncertain
				return
			}
			if err == nil {
				uncertain = false
				continue // now under an id of its own
			}
		}
		if !isTransient(err) || !pause(ctx) {
			pub.fail(s.failure(err))
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

// judge says what it means that the server has the event at sequence under the id of pub: that pub is
// settled, for it is stored, or that it shall be stored under another id, which pub has then.
//
// An original that is not in the stream any more was erased by somebody, or expired. In a source's
// stream it stays so: its id goes on being taken, and a redelivery is told as the duplicate that it is.
// Only where the key's own id was the erased event's, and this process did not see it stored, nobody can
// tell a redelivery of it from a later event of the key; then storing is the safe side. In quarantine,
// where repeatRestore goes, the original was released or discarded, and what comes in again would be
// nowhere: it is stored again, under an id that names the one that is gone, so that all processes that
// meet it choose the same. A server that was restarted in between has forgotten the ids of what was
// deleted; then a repeat may be kept twice.
func (s *streamCommitter) judge(ctx context.Context, pub *publication, sequence uint64) (settled bool, err error) {
	p := pub.pending
	if !pub.asksForKey() && p.repeat != repeatRestore {
		pub.sequence = sequence
		return true, nil
	}
	original, found, err := s.original(ctx, sequence)
	if err != nil {
		return false, err
	}
	if found && pub.asksForKey() {
		pub.holder = holder{original.fingerprint, sequence, original.stored}
	}
	switch {
	case p.repeat == RepeatDrop, found && (p.repeat == repeatRestore || original.fingerprint == p.event.Fingerprint):
		pub.sequence = sequence
		return true, nil
	case p.repeat == repeatRestore:
		pub.id = repeatID(p.id, strconv.FormatUint(sequence, 10))
	default:
		pub.id = repeatID(p.id, p.event.Fingerprint)
	}
	pub.repeat = true
	return false, nil
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

// fail notes that the event is not stored. What its delivery has behind it shall not be either, unless
// no try could ever store it: then nothing is to come before them.
func (pub *publication) fail(err error) {
	pub.err = err
	if d := pub.pending.delivery; d != nil && !errors.Is(err, ErrTooLarge) {
		d.failed.CompareAndSwap(nil, &err)
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
