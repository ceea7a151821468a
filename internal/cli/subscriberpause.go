package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

const pauseHelp = `Keep everything from a subscriber: its workers stop calling its target within a moment, in every
process, and the server hands nothing out to them. What arrives meanwhile waits and spends no
attempt; dead letters and parts of the history that are replayed wait, too. It holds over restarts.

With --for it ends by itself; else genmesh subscriber resume ends it. A paused subscriber is paused anew,
for the new time and reason. This is another thing than pause_until in streams.json, which apply carries
out; plan shows no difference after a pause.

What waits for longer than the max_age of its stream is deleted there.`

// pauseFlags are those of pause.
type pauseFlags struct {
	mesh    operatorFlags
	length  string
	because string
}

func newSubscriberPause(p *program) *cobra.Command {
	f := new(pauseFlags)
	cmd := &cobra.Command{
		Use:     "pause NAME --because TEXT",
		Short:   "Keep everything from a subscriber for a while; it waits",
		Long:    pauseHelp,
		Example: `  genmesh subscriber pause crm --for 15m --because "CRM release 4.2"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			length, err := f.parse()
			if err != nil {
				return err
			}
			return p.withOperator(cmd, &f.mesh, func(ctx context.Context, op operating) error {
				result, err := op.Pause(ctx, op.by(f.because), args[0], mesh.Duration(length))
				if err != nil {
					return err
				}
				return p.reportPause(cmd, result, length)
			})
		},
	}
	flags := cmd.Flags()
	f.mesh.add(flags)
	flags.StringVar(&f.length, "for", "", "resume by itself after this `TIME`, such as 15m or 2d (default: only by genmesh subscriber resume)")
	flags.StringVar(&f.because, "because", "", "why, as a `TEXT` for those who see that it is paused; it is needed")
	p.outputFlag(cmd)
	return cmd
}

func (f *pauseFlags) parse() (time.Duration, error) {
	if f.because == "" {
		return 0, errors.New("--because is missing: say why, for those who see that it is paused")
	}
	if err := checkBecause(f.because); err != nil || f.length == "" {
		return 0, err
	}
	length, err := mesh.ParseDuration(f.length)
	if err != nil || length <= 0 || time.Duration(length) > admin.MaxPause {
		return 0, fmt.Errorf("--for %q: write how long, such as 15m, 2h or 2d, up to 365d", f.length)
	}
	return time.Duration(length), nil
}

const resumeHelp = `End the pause of a subscriber: what waits goes out, in the order in which it came. A subscriber that
is not paused stays as it is. It also ends what the server alone was told, by pause_until in
streams.json (then take that out, or the next apply pauses it again) or by hand.`

func newSubscriberResume(p *program) *cobra.Command {
	f := new(operatorFlags)
	var because string
	cmd := &cobra.Command{
		Use:   "resume NAME",
		Short: "End the pause of a subscriber",
		Long:  resumeHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withOperator(cmd, f, func(ctx context.Context, op operating) error {
				result, err := op.Resume(ctx, op.by(because), args[0])
				if err != nil {
					return err
				}
				return p.reportPause(cmd, result, 0)
			})
		},
	}
	f.add(cmd.Flags())
	becauseFlag(cmd.Flags(), &because)
	p.outputFlag(cmd)
	return cmd
}

func (p *program) reportPause(cmd *cobra.Command, result admin.PauseResult, length time.Duration) error {
	p.warnUnaudited(result.Trail)
	if result.Warning != "" {
		say(cmd.ErrOrStderr(), "warning: %s", result.Warning)
	}
	if p.wantsJSON() {
		return writeJSON(cmd.OutOrStdout(), result)
	}
	writePause(cmd.OutOrStdout(), result, length)
	return nil
}

func writePause(w io.Writer, r admin.PauseResult, length time.Duration) {
	if r.Pause == nil {
		say(w, "%s is not paused", r.Name)
	} else {
		say(w, "%s is paused, %s", r.Name, pauseText(*r.Pause))
	}
	say(w, "waiting now: %d, in hand: %d", r.Waiting, r.InHand)
	c := r.CatchUp
	say(w, "lately %.3g events per second came for it (counted over %s)", c.Arrivals, roughly(time.Duration(c.MeasuredOver)))
	switch {
	case r.Pause != nil && length > 0:
		say(w, "so about %d will wait when the pause ends", c.Backlog)
	case r.Pause != nil:
		say(w, "so about %.0f more will wait after each hour", c.Arrivals*time.Hour.Seconds())
	}
	// The stream does not wait for a pause.
	if maxAge := time.Duration(r.MaxAge); r.Pause != nil && maxAge > 0 && (length == 0 || length > maxAge) {
		say(w, "mind that the stream %s deletes what is older than %s, whether it waits or not", r.Stream, r.MaxAge)
	}
	writeCatchUp(w, c)
}

func writeCatchUp(w io.Writer, c admin.CatchUp) {
	switch {
	case c.Never:
		say(w, "its rate_limit of %s lets out less than comes in: it will not catch up", c.RateLimit)
	case c.Takes > 0:
		say(w, "at its rate_limit of %s the backlog takes about %s, with what comes in meanwhile", c.RateLimit, roughly(time.Duration(c.Takes)))
	case c.Backlog > 0:
		say(w, "it has no rate_limit: the backlog goes out as fast as the target takes it, up to %d calls at once in a process", c.MaxInFlight)
	}
}
