package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// consent are the flags of what acts on many at once.
type consent struct {
	all     bool
	yes     bool
	because string
}

func (c *consent) add(flags *pflag.FlagSet, all string) {
	flags.BoolVar(&c.all, "all", false, all)
	flags.BoolVarP(&c.yes, "yes", "y", false, "don't ask")
	becauseFlag(flags, &c.because)
}

func becauseFlag(flags *pflag.FlagSet, because *string) {
	flags.StringVar(because, "because", "", "why, as a `TEXT` for the audit, without personal data")
}

func (c *consent) check() error { return checkBecause(c.because) }

// checkBecause bounds a reason, as what is stored of it is bounded.
func checkBecause(because string) error {
	if len(because) > mesh.MaxReasonBytes {
		return fmt.Errorf("--because has %d bytes; at most %d are kept", len(because), mesh.MaxReasonBytes)
	}
	return nil
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

// maxFailuresShown keeps a long list of failures readable; -o json has more of them.
const maxFailuresShown = 10

// writeAct tells what became of the chosen.
func (p *program) writeAct(cmd *cobra.Command, result admin.ActResult, past, noun string) error {
	if p.wantsJSON() {
		return writeJSON(cmd.OutOrStdout(), result)
	}
	say(cmd.OutOrStdout(), "%s %s", past, plural(result.Done, noun))
	for _, failed := range result.Failed[:min(len(result.Failed), maxFailuresShown)] {
		say(cmd.ErrOrStderr(), "%d: %s", failed.Number, failed.Error)
	}
	if result.Left > 0 {
		say(cmd.ErrOrStderr(), "it was stopped: %s left as they were", plural(result.Left, noun))
	}
	return nil
}
