package mesh

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// chunkWanted is how many messages are asked for at once where many are read.
const chunkWanted = 5000

// Newest are the dead letters that match, the newest first, at most so many, without their bodies. Total is how many match in all.
func (d *DeadLetters) Newest(ctx context.Context, filter DeadFilter, most int) (letters []DeadLetter, total uint64, err error) {
	total, err = readNewest(ctx, d.js, d.stream, filter.subject(), filter.Since, filter.Until, most, func(msg jetstream.Msg) error {
		meta, err := msg.Metadata()
		if err == nil {
			letters = append(letters, parseDeadLetter(msg.Subject(), msg.Headers(), nil, meta))
		}
		return err
	})
	return letters, total, err
}

// Newest are the events in quarantine that match, the newest first, at most so many, without their bodies. Total is how many match in all.
func (q *Quarantine) Newest(ctx context.Context, filter QuarantineFilter, most int) (events []Quarantined, total uint64, err error) {
	total, err = readNewest(ctx, q.js, q.stream, filter.subject(), filter.Since, filter.Until, most, func(msg jetstream.Msg) error {
		e, err := ParseStored(msg)
		if e.Stream == "" {
			return err // it came from no stream
		}
		events = append(events, quarantined(e, err))
		return nil
	})
	return events, total, err
}

// readNewest hands on at most so many messages of a subject, the newest first, and counts them all.
func readNewest(
	ctx context.Context, js jetstream.JetStream, name, filter string, since, until time.Time, most int, take func(jetstream.Msg) error,
) (total uint64, err error) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", name, err)
	}
	b, err := readBackwards(ctx, js, stream, []string{filter}, since, until, 0)
	if err != nil || b.isRead() {
		return 0, err
	}
	if total, err = b.count(ctx, b.first); err != nil {
		return 0, err
	}
	for left := most; left > 0 && !b.isRead(); {
		msgs, err := b.next(ctx, uint64(min(left, chunkWanted)))
		if err != nil {
			return total, err
		}
		for _, msg := range msgs[:min(left, len(msgs))] {
			if err := take(msg); err != nil {
				return total, err
			}
			left--
		}
	}
	return total, nil
}
