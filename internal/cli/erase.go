package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

const eraseHelp = `Erase every copy of one interaction, for good: its events in the streams of all sources, what is being
replayed, dead letters, quarantine, streams that copy those, and any other stream of streams.json.

Each message is overwritten and deleted, and then it looks again until nothing is left. What was
erased stays erased: a redelivery is told as a duplicate for as long as the duplicate window
remembers it.

Then an erasure event (type ` + mesh.ErasureType + `) is stored in the stream of each source that had the
interaction, so that every subscriber whose filters take it hears of it, archives included. It has
the interaction's id, and is itself not erased. An interaction of which nothing is stored tells
nobody; --notify-again does, also where an earlier erase was cut off: name the --source.

It is audited, before and after, in the stream that takes "audit.>", by the hash of the id.

What it can't do:
- find the id where it is only within a body, such as in a delivery in quarantine that could not be
  read: see genmesh quarantine list;
- reach what a worker has in hand: it says so, and what becomes a dead letter then has to be
  erased again;
- overwrite the free space of the file system, where the old file of a rewritten block was; what the
  server keeps encrypted, which is only marked as deleted; the servers' logs of replicated streams,
  which keep it until they are compacted, every two to three minutes; or what backups have;
- reach what was delivered: that is what the erasure event is for.`

// eraseFlags are those of erase.
type eraseFlags struct {
	mesh        operatorFlags
	source      string
	because     string
	dryRun      bool
	yes         bool
	notifyAgain bool
}

func newErase(p *program) *cobra.Command {
	f := new(eraseFlags)
	cmd := &cobra.Command{
		Use:   "erase INTERACTION",
		Short: "Erase every copy of an interaction and tell its subscribers",
		Long:  eraseHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return p.withOperator(cmd, &f.mesh, func(ctx context.Context, op operating) error {
				return p.erase(ctx, cmd, f, op, args[0])
			})
		},
	}
	flags := cmd.Flags()
	f.mesh.add(flags)
	flags.StringVar(&f.source, "source", "", "only what came through the source `NAME`")
	flags.StringVar(&f.because, "because", "", "why, as a `TEXT` for the audit and for subscribers, without personal data")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only tell how much there is")
	flags.BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	flags.BoolVar(&f.notifyAgain, "notify-again", false, "tell subscribers even if nothing is stored any more")
	p.outputFlag(cmd)
	return cmd
}

func (f *eraseFlags) check() error {
	if f.because == "" && !f.dryRun {
		return errors.New("--because is missing: say why, for the audit and for subscribers")
	}
	return checkBecause(f.because)
}

func (p *program) erase(ctx context.Context, cmd *cobra.Command, f *eraseFlags, op operating, interaction string) error {
	plan, err := op.PlanErasure(ctx, interaction, f.source)
	if err != nil {
		return err
	}
	plan.DryRun = f.dryRun
	if f.dryRun || plan.Found() == 0 && !f.notifyAgain {
		return p.reportErase(cmd, plan)
	}
	if !f.yes {
		if err := p.confirm(eraseQuestion(plan.Erasure)); err != nil {
			return err
		}
	}
	progress, end := p.showProgress("erase")
	result, err := op.Erase(ctx, op.by(f.because), admin.EraseAsk{Interaction: interaction, Source: f.source, NotifyAgain: f.notifyAgain}, progress)
	end()
	if result.Erasure == nil {
		return err // nothing was done, or a console does not say how far it came
	}
	if err == nil && !result.Audited && (result.Found() > 0 || f.notifyAgain) {
		p.warnNoAudit(admin.Trail{})
	}
	return errors.Join(p.reportErase(cmd, result), err)
}

func eraseQuestion(e *mesh.Erasure) string {
	if e.Found() == 0 {
		return fmt.Sprintf("nothing of interaction %q is stored; tell subscribers again?", e.Interaction)
	}
	streams := 0
	for _, s := range e.Streams {
		if s.Found > 0 {
			streams++
		}
	}
	return fmt.Sprintf("erase %s of interaction %q from %s for good?", plural(e.Found(), "message"), e.Interaction, plural(streams, "stream"))
}

// reportErase tells what was erased; what is left makes the exit code 1.
func (p *program) reportErase(cmd *cobra.Command, r admin.ErasureResult) error {
	if p.wantsJSON() {
		if err := writeJSON(cmd.OutOrStdout(), r); err != nil {
			return err
		}
	} else if err := writeErase(cmd, r); err != nil {
		return err
	}
	for _, stream := range r.Elsewhere {
		say(cmd.ErrOrStderr(), "warning: the stream %s on the server copies some of these and is not in streams.json: it was not looked into", stream)
	}
	for _, s := range r.Streams {
		if s.Replicas > 1 && s.Erased > 0 {
			say(cmd.ErrOrStderr(), "note: %s has %d replicas, whose logs on disk keep what was erased until the servers compact them, every two to three minutes", s.Stream, s.Replicas)
		}
	}
	for _, held := range r.InHand {
		say(cmd.ErrOrStderr(), "warning: workers of %s may have %s of %s in hand; what they can't hand on becomes a dead letter: erase again after that",
			held.Subscriber, plural(held.Events, "event"), held.Stream)
	}
	if !r.DryRun && !r.Complete() {
		return errors.New("not everything was erased")
	}
	return nil
}

func writeErase(cmd *cobra.Command, r admin.ErasureResult) error {
	w := cmd.OutOrStdout()
	if r.Found() == 0 {
		say(w, "nothing of interaction %q is stored", r.Interaction)
	} else {
		var t table
		t.row("STREAM", "FOUND", "ERASED", "LEFT", "PROBLEM")
		for _, s := range r.Streams {
			problem := s.Problem
			if problem == "" {
				problem = "-"
			}
			t.row(s.Stream, strconv.Itoa(s.Found), strconv.Itoa(s.Erased), strconv.Itoa(s.Left), problem)
		}
		if err := t.write(w); err != nil {
			return err
		}
	}
	if r.DryRun {
		say(w, "nothing was erased: it is a dry run")
	}
	for _, n := range r.Notices {
		say(w, "told the subscribers of %s: erasure event %d of stream %s", n.Source, n.Sequence, n.Stream)
		if len(n.Unheard) > 0 {
			say(w, "NOT told, for their filters do not take it: %s; what they keep is to be erased there", strings.Join(n.Unheard, ", "))
		}
	}
	if r.Found() == 0 && len(r.Notices) == 0 && !r.DryRun {
		say(w, "no subscriber was told; --notify-again --source NAME does it nevertheless")
	}
	return nil
}
