package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// DeadLetters pages through dead letters, the oldest first. A page that was looked for among very many may have fewer than its limit and
// a next one all the same.
func (d *Direct) DeadLetters(ctx context.Context, q DeadQuery) (DeadPage, error) {
	page := DeadPage{DeadLetters: []DeadLetter{}}
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return page, err
	}
	behind, err := parseMark(q.Cursor)
	if err != nil {
		return page, err
	}
	if err := errors.Join(checkDeadReason(q.Reason), checkSpan(q.Since, q.Until)); err != nil {
		return page, err
	}
	letters, err := mesh.NewDeadLetters(d.o.JetStream, d.o.Topology())
	if err != nil {
		return page, err
	}
	filter := mesh.DeadFilter{Subscriber: q.Subscriber, Reason: q.Reason, Since: later(q.Since, behind.at), Until: q.Until}
	page.Next, err = take(letters.Find(ctx, filter), behind, limit, placeOfLetter, func(letter mesh.DeadLetter) bool {
		wanted := q.Cause == "" || causeOf(letter) == q.Cause
		if wanted {
			page.DeadLetters = append(page.DeadLetters, DeadLetterOf(letter))
		}
		return wanted
	})
	return page, err
}

// later is the later of two times; the zero time is before all.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func placeOfLetter(letter mesh.DeadLetter) mark { return mark{letter.Buried, letter.Number} }

func checkDeadReason(reason mesh.DeadReason) error {
	if reason == "" || slices.Contains(mesh.DeadReasons(), reason) {
		return nil
	}
	var names []string
	for _, known := range mesh.DeadReasons() {
		names = append(names, string(known))
	}
	return Invalid(fmt.Sprintf("no dead letter has the reason %.60q; there are %s", reason, strings.Join(names, ", ")))
}

// DeadLetter is one dead letter with its body. It fails with ErrNotFound if there is none of that number.
func (d *Direct) DeadLetter(ctx context.Context, number uint64) (DeadLetter, error) {
	letters, err := mesh.NewDeadLetters(d.o.JetStream, d.o.Topology())
	if err != nil {
		return DeadLetter{}, err
	}
	letter, err := letters.Get(ctx, number)
	if errors.Is(err, mesh.ErrNoDeadLetter) {
		return DeadLetter{}, NotFound(err.Error())
	}
	if err != nil {
		return DeadLetter{}, err
	}
	shown, body := DeadLetterOf(letter), bodyOf(letter.Body)
	shown.Body, shown.Headers = &body, headersOf(letter.Event)
	return shown, nil
}

// DeadLetterOf is a dead letter without its body.
func DeadLetterOf(letter mesh.DeadLetter) DeadLetter {
	shown := DeadLetter{
		Number: letter.Number, Subscriber: letter.Subscriber, Reason: string(letter.Reason), Status: letter.Status, Attempts: letter.Attempts,
		Error: letter.Error, Answer: letter.Answer, FirstAttempt: letter.FirstAttempt, LastAttempt: letter.LastAttempt,
		Buried: letter.Buried, Event: eventOf(letter.Event),
	}
	shown.Stored = letter.FirstPlace().Stored
	return shown
}
