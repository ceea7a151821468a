package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

// deadAction is something that is done to dead letters, one by one.
type deadAction struct {
	verb string
	past string
	do   func(context.Context, *mesh.DeadLetters, uint64) error
}

const replayHelp = `Hand the events of dead letters to their subscriber again, and to no other.

An event keeps its identity, its attempts begin anew, and its dead letter is gone. Name the dead
letters by number, or choose them with --subscriber, --reason, --since, --until, or --all.`

func newDeadReplay(p *program) *cobra.Command {
	return newDeadAct(p, replayHelp, "Hand dead letters to their subscriber again", deadAction{
		verb: "replay", past: "replayed",
		do: func(ctx context.Context, letters *mesh.DeadLetters, number uint64) error {
			letter, err := letters.Get(ctx, number)
			if err != nil {
				return err
			}
			return letters.Replay(ctx, letter)
		},
	})
}

const discardHelp = `Delete dead letters for good. The events themselves stay in their streams.

Name the dead letters by number, or choose them with --subscriber, --reason, --since, --until, or
--all.`

func newDeadDiscard(p *program) *cobra.Command {
	return newDeadAct(p, discardHelp, "Delete dead letters for good", deadAction{
		verb: "discard", past: "discarded",
		do: func(ctx context.Context, letters *mesh.DeadLetters, number uint64) error {
			// Discard takes one that is gone for discarded; whoever names a number wants to know.
			if _, err := letters.Get(ctx, number); errors.Is(err, mesh.ErrNoDeadLetter) {
				return err
			}
			return letters.Discard(ctx, number)
		},
	})
}

// actFlags are those of replay and discard.
type actFlags struct {
	deadFlags
	all bool
	yes bool
}

func newDeadAct(p *program, help, short string, action deadAction) *cobra.Command {
	f := new(actFlags)
	cmd := &cobra.Command{
		Use:   action.verb + " [NUMBER...]",
		Short: short,
		Long:  help,
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := parseNumbers(args, "dead letter", "genmesh dead list")
			if err != nil {
				return err
			}
			if len(numbers) > 0 == (f.chosen() || f.all) {
				return errors.New("name dead letters by number, or choose them with --subscriber, --reason, --since, --until or --all")
			}
			filter, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			return p.withDead(cmd, &f.cluster, func(ctx context.Context, letters *mesh.DeadLetters) error {
				if len(numbers) == 0 {
					// What is asked about is what is done, whatever is buried meanwhile.
					err = f.find(ctx, letters, filter, func(letter mesh.DeadLetter) { numbers = append(numbers, letter.Number) })
				}
				if err != nil {
					return err
				}
				return p.deadAct(ctx, cmd, f.yes, action, letters, numbers)
			})
		},
	}
	f.add(cmd, 0)
	cmd.Flags().BoolVar(&f.all, "all", false, "all dead letters")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	p.outputFlag(cmd)
	return cmd
}

// actResult is what became of the chosen dead letters.
type actResult struct {
	Action string      `json:"action"`
	Done   int         `json:"done"`
	Failed []actFailed `json:"failed"`
}

type actFailed struct {
	Number uint64 `json:"number"`
	Error  string `json:"error"`
}

func (p *program) deadAct(ctx context.Context, cmd *cobra.Command, yes bool, action deadAction, letters *mesh.DeadLetters, numbers []uint64) error {
	if len(numbers) > 0 && !yes {
		question := fmt.Sprintf("%s %s?", action.verb, plural(len(numbers), "dead letter"))
		if err := p.confirm(question); err != nil {
			return err
		}
	}
	result := p.actOnAll(ctx, action, letters, numbers)
	return p.reportAct(cmd, action, result, len(numbers))
}

// confirm asks on a terminal. Elsewhere nobody can answer, and silence is no consent.
func (p *program) confirm(question string) error {
	if !isTerminal(p.In) {
		return fmt.Errorf("%s Confirm with --yes, for there is no terminal to ask on", question)
	}
	return ask(p.In, p.Err, question)
}

func ask(in io.Reader, out io.Writer, question string) error {
	_, _ = fmt.Fprintf(out, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(in).ReadString('\n') // no answer is a no
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was done")
}

func (p *program) actOnAll(ctx context.Context, action deadAction, letters *mesh.DeadLetters, numbers []uint64) actResult {
	result := actResult{Action: action.verb, Failed: []actFailed{}}
	bar := newProgress(p.Err, len(numbers), action.verb)
	defer bar.end()
	for _, number := range numbers {
		if err := ctx.Err(); err != nil {
			result.Failed = append(result.Failed, actFailed{number, err.Error()})
			continue
		}
		if err := action.do(ctx, letters, number); err != nil {
			result.Failed = append(result.Failed, actFailed{number, err.Error()})
		} else {
			result.Done++
		}
		bar.add()
	}
	return result
}

// maxFailuresShown keeps a long list of failures readable; -o json has them all.
const maxFailuresShown = 10

func (p *program) reportAct(cmd *cobra.Command, action deadAction, result actResult, chosen int) error {
	if p.wantsJSON() {
		if err := writeJSON(cmd.OutOrStdout(), result); err != nil {
			return err
		}
	} else {
		say(cmd.OutOrStdout(), "%s %s", action.past, plural(result.Done, "dead letter"))
		for _, failed := range result.Failed[:min(len(result.Failed), maxFailuresShown)] {
			say(cmd.ErrOrStderr(), "%d: %s", failed.Number, failed.Error)
		}
	}
	if len(result.Failed) > 0 {
		return fmt.Errorf("%d of %s could not be %s", len(result.Failed), plural(chosen, "dead letter"), action.past)
	}
	return nil
}
