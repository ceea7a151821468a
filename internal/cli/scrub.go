package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/telemetry"
	"github.com/genmesh/genmesh/mesh"
)

const scrubHelp = `Show what the store was found to have lost or damaged. A nats-server of one replica says nothing of it: it
passes by what it can't read, and after a restart it counts what is left.

The processes with a console look by themselves: every ten seconds they compare what the
server says of each stream with what it said before, and once a day they read all that is stored.
What they find stays until somebody accepts it. Accepting changes nothing but the list, and is
audited.

What limits take, and what genmesh erases, discards, replays or releases, is no finding. What somebody
deletes or purges by other means is.

The exit code is 1 if there are findings.`

// scrubFlags are those of scrub.
type scrubFlags struct {
	mesh    operatorFlags
	now     bool
	deep    bool
	accept  uint64
	because string
}

func newScrub(p *program) *cobra.Command {
	f := new(scrubFlags)
	cmd := &cobra.Command{
		Use:   "scrub",
		Short: "Show and look for what the store has lost or damaged",
		Long:  scrubHelp,
		Example: `  genmesh scrub --deep
  genmesh scrub --accept 3 --because "restored from the backup"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(cmd); err != nil {
				return err
			}
			return p.withOperator(cmd, &f.mesh, func(ctx context.Context, op operating) error {
				if f.accept > 0 {
					return p.acceptScrub(ctx, cmd, f, op)
				}
				return p.scrub(ctx, cmd, f, op)
			})
		},
	}
	flags := cmd.Flags()
	f.mesh.add(flags)
	flags.BoolVar(&f.now, "now", false, "look now, and do not only show what is known")
	flags.BoolVar(&f.deep, "deep", false, "look now, and read all that is stored")
	flags.Uint64Var(&f.accept, "accept", 0, "take the finding of the `ID` off the list")
	becauseFlag(flags, &f.because)
	p.outputFlag(cmd)
	return cmd
}

func (f *scrubFlags) check(cmd *cobra.Command) error {
	isAccept := cmd.Flags().Changed("accept")
	switch {
	case isAccept && f.accept == 0:
		return errors.New("--accept takes the ID of a finding; genmesh scrub lists them")
	case isAccept && (f.now || f.deep):
		return errors.New("--accept only takes a finding off the list; leave out --now and --deep")
	case isAccept && f.because == "":
		return errors.New("--because is missing: say why, for those who look for what is missing later")
	case !isAccept && f.because != "":
		return errors.New("--because goes with --accept")
	}
	return checkBecause(f.because)
}

func (p *program) acceptScrub(ctx context.Context, cmd *cobra.Command, f *scrubFlags, op operating) error {
	accepted, err := op.AcceptScrub(ctx, op.by(f.because), f.accept)
	if err != nil {
		return err
	}
	p.warnNoAudit(accepted.Trail)
	if p.wantsJSON() {
		return writeJSON(cmd.OutOrStdout(), accepted)
	}
	say(cmd.OutOrStdout(), "accepted: %s", accepted.Finding)
	return nil
}

func (p *program) scrub(ctx context.Context, cmd *cobra.Command, f *scrubFlags, op operating) error {
	report, err := p.scrubReport(ctx, f, op)
	if err != nil {
		return err
	}
	if p.wantsJSON() {
		err = writeJSON(cmd.OutOrStdout(), report)
	} else {
		err = writeScrub(cmd.OutOrStdout(), report)
	}
	if err == nil && len(report.Findings) > 0 {
		err = errors.New("there are findings; once one is settled: genmesh scrub --accept ID --because TEXT")
	}
	return err
}

func (p *program) scrubReport(ctx context.Context, f *scrubFlags, op operating) (mesh.ScrubReport, error) {
	if !f.now && !f.deep {
		return op.Scrub(ctx)
	}
	progress, end := p.showProgress("scrub")
	defer end()
	return op.RunScrub(ctx, f.deep, progress)
}

func writeScrub(w io.Writer, report mesh.ScrubReport) error {
	var t table
	t.row("STREAM", "COMPARED", "ALL READ", "READ UP TO")
	for _, s := range report.Streams {
		upTo := strconv.FormatUint(s.Read, 10)
		if s.Passing > 0 {
			upTo += fmt.Sprintf(", and anew up to %d", s.Passing)
		}
		t.row(s.Stream, timeOrNever(s.Looked), timeOrNever(s.Passed), upTo)
	}
	if err := t.write(w); err != nil {
		return err
	}
	if len(report.Findings) == 0 {
		say(w, "nothing is missing or damaged, as far as was looked")
		return nil
	}
	for _, f := range report.Findings {
		writeFinding(w, f)
	}
	return nil
}

func timeOrNever(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return momentText(at)
}

func writeFinding(w io.Writer, f mesh.ScrubFinding) {
	say(w, "")
	say(w, "%d: %s", f.ID, telemetry.Printable(f.String()))
	found := "found " + momentText(f.Found)
	if !f.Since.IsZero() {
		found += ", well until " + momentText(f.Since)
	}
	say(w, "   %s", found)
	switch {
	case !f.From.IsZero() && !f.To.IsZero():
		say(w, "   stored between %s and %s", momentText(f.From), momentText(f.To))
	case !f.From.IsZero():
		say(w, "   stored after %s", momentText(f.From))
	case !f.To.IsZero():
		say(w, "   stored before %s", momentText(f.To))
	}
	if len(f.Missed) > 0 {
		say(w, "   may have been missed by %s", telemetry.Printable(strings.Join(f.Missed, ", ")))
	}
	say(w, "   possible: %s", telemetry.Printable(f.Causes))
	say(w, "   %s", telemetry.Printable(f.Do))
}
