package admin

import (
	"context"
	"errors"

	"github.com/genmesh/genmesh/mesh"
)

// Quarantined pages through the quarantine, the oldest first.
func (d *Direct) Quarantined(ctx context.Context, q QuarantineQuery) (QuarantinePage, error) {
	page := QuarantinePage{Quarantined: []Quarantined{}}
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return page, err
	}
	behind, err := parseMark(q.Cursor)
	if err != nil {
		return page, err
	}
	if err := checkSpan(q.Since, q.Until); err != nil {
		return page, err
	}
	quarantine, err := mesh.NewQuarantine(d.o.JetStream, d.o.Topology())
	if err != nil {
		return page, err
	}
	filter := mesh.QuarantineFilter{Source: q.Source, Reason: q.Reason, Since: later(q.Since, behind.at), Until: q.Until}
	page.Next, err = take(quarantine.Find(ctx, filter), behind, limit, placeOfQuarantined, func(q mesh.Quarantined) bool {
		page.Quarantined = append(page.Quarantined, quarantinedOf(q))
		return true
	})
	return page, err
}

func placeOfQuarantined(q mesh.Quarantined) mark { return mark{q.Since, q.Number} }

// QuarantinedEvent is one event in quarantine with its body. It fails with ErrNotFound if there is none of that number.
func (d *Direct) QuarantinedEvent(ctx context.Context, number uint64) (Quarantined, error) {
	quarantine, err := mesh.NewQuarantine(d.o.JetStream, d.o.Topology())
	if err != nil {
		return Quarantined{}, err
	}
	q, err := quarantine.Get(ctx, number)
	if errors.Is(err, mesh.ErrNotQuarantined) {
		return Quarantined{}, NotFound(err.Error())
	}
	if err != nil {
		return Quarantined{}, err
	}
	shown, body := quarantinedOf(q), bodyOf(q.Body)
	shown.Body, shown.Headers = &body, headersOf(q.Event)
	return shown, nil
}

func quarantinedOf(q mesh.Quarantined) Quarantined {
	return Quarantined{Number: q.Number, Since: q.Since, Reason: q.Reason, Detail: q.Detail, Event: eventOf(q.Event)}
}

// DiscardQuarantined deletes events in quarantine for good: no subscriber ever gets them.
func (d *Direct) DiscardQuarantined(ctx context.Context, by By, chosen QuarantineSelection, progress Progress) (ActResult, error) {
	if chosen.DryRun {
		return ActResult{}, Invalid("a discard has no dry run")
	}
	w, numbers, err := d.ward(ctx, by, chosen)
	if err != nil {
		return ActResult{}, err
	}
	choices := make([]choice, len(numbers))
	for i, number := range numbers {
		choices[i].number = number
	}
	l := d.ledger(w.topology, by, mesh.Audit{Action: ActionQuarantineDiscard, Source: chosen.Source, About: chosen.words()})
	return l.recorded(ctx, "discard", numbers, func() (outcome, error) {
		return act(ctx, choices, w.discard, progress), nil
	})
}

// ward is the quarantine and what events are released by.
type ward struct {
	*mesh.Quarantine
	topology *mesh.Topology
}

// discard deletes one; who names a number wants to know whether there is none.
func (w ward) discard(ctx context.Context, number uint64) error {
	if _, err := w.Get(ctx, number); err != nil {
		return err
	}
	return w.Discard(ctx, number)
}

// ward is the quarantine and the numbers that are chosen, in order. What is chosen now is what is acted on, whatever comes meanwhile.
func (d *Direct) ward(ctx context.Context, by By, s QuarantineSelection) (ward, []uint64, error) {
	if err := errors.Join(s.check(), by.check()); err != nil {
		return ward{}, nil, err
	}
	t := d.o.Topology()
	quarantine, err := mesh.NewQuarantine(d.o.JetStream, t)
	if err != nil {
		return ward{}, nil, err
	}
	w := ward{quarantine, t}
	numbers, err := s.choose(ctx, w)
	return w, numbers, err
}

func (s QuarantineSelection) choose(ctx context.Context, w ward) ([]uint64, error) {
	if len(s.Numbers) > 0 {
		return sortedNumbers(s.Numbers, s.Limit)
	}
	var numbers []uint64
	filter := mesh.QuarantineFilter{Source: s.Source, Reason: s.Reason, Since: s.Since, Until: s.Until, WithoutBodies: true}
	for q, err := range w.Find(ctx, filter) {
		if err != nil {
			return nil, err
		}
		if len(numbers) == maxChosen {
			return nil, tooManyChosen("events in quarantine")
		}
		if numbers = append(numbers, q.Number); len(numbers) == s.Limit {
			break
		}
	}
	return numbers, nil
}
