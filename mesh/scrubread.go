package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

const (
	// readBatch and readBatchBytes bound what is asked for at once.
	readBatch      = 1000
	readBatchBytes = 1 << 20
	// readTimeout bounds one question.
	readTimeout = 5 * time.Second
)

// storedMsg is a message as the server has it.
type storedMsg struct {
	sequence uint64
	stored   time.Time
	header   nats.Header
	body     []byte
}

// readForward yields messages from a sequence on, as the server delivers them: it passes by what is deleted, and what it can't read. It
// ends after a batch, at the end of the stream or at the first error. Where a stream may be read directly any replica answers.
func readForward(ctx context.Context, js jetstream.JetStream, l streamLook, from uint64) iter.Seq2[storedMsg, error] {
	if l.config.AllowDirect {
		return readDirectly(ctx, js, l.config.Name, jetstreamext.GetBatchSeq(from))
	}
	return func(yield func(storedMsg, error) bool) {
		for range readBatch {
			msg, found, err := askLeader(ctx, js, l.config.Name, msgAsk{Sequence: from, Subject: ">"})
			if err != nil {
				yield(storedMsg{}, err)
				return
			}
			if !found || !yield(msg, nil) {
				return
			}
			from = msg.sequence + 1
		}
	}
}

func readDirectly(ctx context.Context, js jetstream.JetStream, stream string, from jetstreamext.GetBatchOpt) iter.Seq2[storedMsg, error] {
	return func(yield func(storedMsg, error) bool) {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		batch, err := jetstreamext.GetBatch(ctx, js, stream, readBatch, from, jetstreamext.GetBatchMaxBytes(readBatchBytes))
		if err != nil {
			yield(storedMsg{}, fmt.Errorf("read stream %s: %w", stream, err))
			return
		}
		for msg, err := range batch {
			if errors.Is(err, jetstreamext.ErrNoMessages) {
				return
			}
			if err != nil {
				yield(storedMsg{}, fmt.Errorf("read stream %s: %w", stream, err))
				return
			}
			if !yield(storedMsg{msg.Sequence, msg.Time, msg.Header, msg.Data}, nil) {
				return
			}
		}
	}
}

// msgAsk asks a stream's leader for one message: that of a sequence, or with a subject the next one from there or from a time on.
type msgAsk struct {
	Sequence  uint64     `json:"seq,omitempty"`
	Subject   string     `json:"next_by_subj,omitempty"`
	StartTime *time.Time `json:"start_time,omitempty"`
}

// askLeader reads one message from the stream's leader: a replica may be a moment behind. found is false where the leader has none, or
// can't read it.
func askLeader(ctx context.Context, js jetstream.JetStream, stream string, ask msgAsk) (msg storedMsg, found bool, err error) {
	data, err := json.Marshal(ask)
	if err != nil {
		return msg, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	reply, err := js.Conn().RequestWithContext(ctx, jetstream.DefaultAPIPrefix+"STREAM.MSG.GET."+stream, data)
	if err != nil {
		return msg, false, fmt.Errorf("read stream %s: %w", stream, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return msg, false, fmt.Errorf("read stream %s: %w", stream, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return msg, false, nil
	case answer.Error != nil:
		return msg, false, fmt.Errorf("read stream %s: %w", stream, answer.Error)
	}
	msg = storedMsg{sequence: answer.Message.Sequence, stored: answer.Message.Time, body: answer.Message.Data}
	if len(answer.Message.Header) > 0 {
		if msg.header, err = nats.DecodeHeadersMsg(answer.Message.Header); err != nil {
			return msg, false, fmt.Errorf("headers of message %d of stream %s: %w", msg.sequence, stream, err)
		}
	}
	return msg, true, nil
}

// firstStoredSince is the sequence of the first message that was stored at a time or later; behind the last if there is none.
func firstStoredSince(ctx context.Context, js jetstream.JetStream, l streamLook, at time.Time) (uint64, error) {
	msg, found, err := askLeader(ctx, js, l.config.Name, msgAsk{StartTime: &at, Subject: ">"})
	if err != nil || !found {
		return l.last + 1, err
	}
	return msg.sequence, nil
}

// reading is a stretch of a stream that is read: what of it the server claims to have and does not deliver, and which bodies are not those
// that were stored.
type reading struct {
	next    uint64 // the first sequence that was not looked at yet
	read    uint64 // how many messages
	unread  spans
	altered spans
}

// readBatch reads the next messages up to the last one of a look.
func (r *reading) readBatch(ctx context.Context, js jetstream.JetStream, l streamLook) error {
	began := r.next
	for msg, err := range readForward(ctx, js, l, r.next) {
		if err != nil {
			return err
		}
		if msg.sequence > l.last {
			break // it came since
		}
		r.pass(msg.sequence)
		if isAltered(msg.header, msg.body) {
			r.altered = r.altered.with(spans{{msg.sequence, msg.sequence}})
		}
		r.next, r.read = msg.sequence+1, r.read+1
	}
	if r.next == began { // nothing more is delivered up to the last one
		r.pass(l.last + 1)
		r.next = l.last + 1
	}
	return nil
}

// pass notes that nothing was delivered before a sequence.
func (r *reading) pass(sequence uint64) {
	if sequence > r.next {
		r.unread = r.unread.with(spans{{r.next, sequence - 1}})
	}
}

// maxAsked bounds the messages of a run that the leader is asked for one by one; the others of it are taken for like the last of those.
const maxAsked = 256

// confirm leaves what the stream's leader says, too: that it has a message, and can't read it, or has another body.
func (r *reading) confirm(ctx context.Context, js jetstream.JetStream, mark scrubMark, name string) error {
	l, err := lookAt(ctx, js, name, mark)
	if err != nil {
		return err
	}
	if l.uncounted {
		r.unread = nil // nobody can say which of them were deleted
	}
	r.unread, err = filtered(r.unread.within(l.first, l.last).without(l.holes), func(sequence uint64) (bool, error) {
		_, found, err := askLeader(ctx, js, name, msgAsk{Sequence: sequence})
		return !found, err
	})
	if err != nil {
		return err
	}
	r.altered, err = filtered(r.altered.within(l.first, l.last).without(l.holes), func(sequence uint64) (bool, error) {
		msg, found, err := askLeader(ctx, js, name, msgAsk{Sequence: sequence})
		return found && isAltered(msg.header, msg.body), err
	})
	return err
}

// filtered are the sequences that is holds for.
func filtered(all spans, is func(uint64) (bool, error)) (spans, error) {
	var kept spans
	for _, one := range all {
		for sequence := one[0]; sequence <= one[1]; sequence++ {
			holds, err := is(sequence)
			if err != nil {
				return nil, err
			}
			last := sequence
			if sequence-one[0] == maxAsked-1 {
				last = one[1]
			}
			if holds {
				kept = kept.with(spans{{sequence, last}})
			}
			sequence = last
		}
	}
	return kept, nil
}
