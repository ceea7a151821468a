package admin

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/genmesh/genmesh/mesh"
)

// ReplayDeadLetters hands the events of dead letters to their subscriber again, and to no other. Those of one interaction get there in
// the order in which they were buried.
func (d *Direct) ReplayDeadLetters(ctx context.Context, by By, chosen DeadSelection, progress Progress) (ActResult, error) {
	return d.actOnDead(ctx, by, chosen, progress, deadAction{
		name: "replay", record: ActionDeadReplay,
		do: func(ctx context.Context, letters *mesh.DeadLetters, number uint64) error {
			letter, err := letters.Get(ctx, number)
			if err != nil {
				return err
			}
			return letters.Replay(ctx, letter)
		},
	})
}

// DiscardDeadLetters deletes dead letters for good. The events stay in their streams.
func (d *Direct) DiscardDeadLetters(ctx context.Context, by By, chosen DeadSelection, progress Progress) (ActResult, error) {
	return d.actOnDead(ctx, by, chosen, progress, deadAction{
		name: "discard", record: ActionDeadDiscard,
		do: func(ctx context.Context, letters *mesh.DeadLetters, number uint64) error {
			// Discard takes one that is gone for discarded; whoever names a number wants to know.
			if _, err := letters.Get(ctx, number); errors.Is(err, mesh.ErrNoDeadLetter) {
				return err
			}
			return letters.Discard(ctx, number)
		},
	})
}

// deadAction is something that is done to dead letters, one by one.
type deadAction struct {
	name   string
	record string // its name in the audit
	do     func(ctx context.Context, letters *mesh.DeadLetters, number uint64) error
}

func (d *Direct) actOnDead(ctx context.Context, by By, s DeadSelection, progress Progress, action deadAction) (ActResult, error) {
	if err := errors.Join(s.check(), by.check()); err != nil {
		return ActResult{}, err
	}
	t := d.o.Topology()
	letters, err := mesh.NewDeadLetters(d.o.JetStream, t)
	if err != nil {
		return ActResult{}, err
	}
	// What is chosen now is what is acted on, whatever is buried meanwhile.
	chosen, err := s.choose(ctx, letters)
	if err != nil {
		return ActResult{}, err
	}
	l := d.ledger(t, by, mesh.Audit{Action: action.record, Subscriber: s.Subscriber, About: s.words()})
	return l.recorded(ctx, action.name, numbersOf(chosen), func() (outcome, error) {
		do := func(ctx context.Context, number uint64) error { return action.do(ctx, letters, number) }
		return act(ctx, chosen, do, progress), nil
	})
}

func numbersOf(chosen []choice) []uint64 {
	numbers := make([]uint64, len(chosen))
	for i, c := range chosen {
		numbers[i] = c.number
	}
	return numbers
}

// choose finds the dead letters that the selection chooses, in the order of burial.
func (s DeadSelection) choose(ctx context.Context, letters *mesh.DeadLetters) ([]choice, error) {
	if len(s.Numbers) > 0 {
		return s.chooseByNumber(ctx, letters)
	}
	var chosen []choice
	filter := mesh.DeadFilter{Subscriber: s.Subscriber, Reason: s.Reason, Since: s.Since, Until: s.Until}
	for letter, err := range letters.Find(ctx, filter) {
		if err != nil {
			return nil, err
		}
		if s.Cause != "" && causeOf(letter) != s.Cause {
			continue
		}
		if len(chosen) == maxChosen {
			return nil, tooManyChosen("dead letters")
		}
		chosen = append(chosen, choice{letter.Number, laneOf(letter.Event)})
		if len(chosen) == s.Limit {
			break
		}
	}
	return chosen, nil
}

func tooManyChosen(what string) error {
	return Invalid(fmt.Sprintf("more than %d %s are chosen; choose fewer, such as by a limit", maxChosen, what))
}

// chooseByNumber reads of which interaction each is, for their order. One that is not there is found out when it is acted on.
func (s DeadSelection) chooseByNumber(ctx context.Context, letters *mesh.DeadLetters) ([]choice, error) {
	numbers, err := sortedNumbers(s.Numbers, s.Limit)
	if err != nil {
		return nil, err
	}
	chosen := make([]choice, len(numbers))
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(actors)
	for i, number := range numbers {
		chosen[i].number = number
		reading.Go(func() error {
			letter, err := letters.Get(ctx, number)
			if err != nil && !errors.Is(err, mesh.ErrNoDeadLetter) {
				return err
			}
			chosen[i].lane = laneOf(letter.Event)
			return nil
		})
	}
	return chosen, reading.Wait()
}
