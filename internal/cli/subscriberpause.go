package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

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
	cluster clusterFlags
	length  string
	reason  string
}

func newSubscriberPause(p *program) *cobra.Command {
	f := new(pauseFlags)
	cmd := &cobra.Command{
		Use:     "pause NAME --reason TEXT",
		Short:   "Keep everything from a subscriber for a while; it waits",
		Long:    pauseHelp,
		Example: `  genmesh subscriber pause crm --for 15m --reason "CRM release 4.2"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			length, err := f.parse()
			if err != nil {
				return err
			}
			return p.withSubscriber(cmd, &f.cluster, args[0], func(ctx context.Context, on subscribed) error {
				return p.pause(ctx, cmd, on, length, f.reason)
			})
		},
	}
	flags := cmd.Flags()
	f.cluster.add(flags)
	flags.StringVar(&f.length, "for", "", "resume by itself after this `TIME`, such as 15m or 2d (default: only by genmesh subscriber resume)")
	flags.StringVar(&f.reason, "reason", "", "why, as a `TEXT` for those who see that it is paused; it is needed")
	p.outputFlag(cmd)
	return cmd
}

// maxPause bounds a pause that has an end.
const maxPause = 365 * 24 * time.Hour

func (f *pauseFlags) parse() (time.Duration, error) {
	if f.reason == "" {
		return 0, errors.New("--reason is missing: say why, for those who see that it is paused")
	}
	if err := checkReason(f.reason); err != nil || f.length == "" {
		return 0, err
	}
	length, err := mesh.ParseDuration(f.length)
	if err != nil || length <= 0 || time.Duration(length) > maxPause {
		return 0, fmt.Errorf("--for %q: write how long, such as 15m, 2h or 2d, up to 365d", f.length)
	}
	return time.Duration(length), nil
}

func (p *program) pause(ctx context.Context, cmd *cobra.Command, on subscribed, length time.Duration, reason string) error {
	now := time.Now().UTC()
	pause := mesh.Pause{Since: now, Reason: reason, By: operator()}
	if length > 0 {
		pause.Until = now.Add(length)
	}
	if err := mesh.PauseSubscriber(ctx, on.js, on.t, on.Subscriber, pause); err != nil {
		return fmt.Errorf("pause %s: %w", on.Name, err)
	}
	p.audit(ctx, on, "pause", reason)
	return p.reportPause(ctx, cmd, on, length)
}

const resumeHelp = `End the pause of a subscriber: what waits goes out, in the order in which it came. A subscriber that
is not paused stays as it is. It also ends what the server alone was told, by pause_until in
streams.json (then take that out, or the next apply pauses it again) or by hand.`

func newSubscriberResume(p *program) *cobra.Command {
	f := new(clusterFlags)
	cmd := &cobra.Command{
		Use:   "resume NAME",
		Short: "End the pause of a subscriber",
		Long:  resumeHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withSubscriber(cmd, f, args[0], func(ctx context.Context, on subscribed) error {
				return p.resume(ctx, cmd, on)
			})
		},
	}
	f.add(cmd.Flags())
	p.outputFlag(cmd)
	return cmd
}

func (p *program) resume(ctx context.Context, cmd *cobra.Command, on subscribed) error {
	if err := mesh.ResumeSubscriber(ctx, on.js, on.t, on.Subscriber); err != nil {
		return fmt.Errorf("resume %s: %w", on.Name, err)
	}
	p.audit(ctx, on, "resume", "resumed")
	if on.PauseUntil != nil && on.PauseUntil.After(time.Now()) {
		say(cmd.ErrOrStderr(), "warning: pause_until in streams.json is %s: the next apply pauses it again", momentText(*on.PauseUntil))
	}
	return p.reportPause(ctx, cmd, on, 0)
}

// pauseResult is what pause and resume -o json print.
type pauseResult struct {
	mesh.SubscriberState
	CatchUp catchUp `json:"catch_up"`
}

// catchUp is what a backlog comes to.
type catchUp struct {
	// Arrivals is how many events per second came in over the time MeasuredOver.
	Arrivals     float64       `json:"arrivals_per_second"`
	MeasuredOver mesh.Duration `json:"measured_over"`
	// Backlog is how many events will wait when the pause is over; now, if it has no end.
	Backlog uint64 `json:"backlog"`
	// RateLimit is the subscriber's own.
	RateLimit mesh.Rate `json:"rate_limit,omitzero"`
	// Takes is how long the backlog takes at that rate, while events go on coming: 0 if there is no rate,
	// and so nothing to tell it by, or if it never ends.
	Takes mesh.Duration `json:"takes,omitempty"`
	// Never is true if more comes in than the rate lets out.
	Never bool `json:"never,omitempty"`
}

// estimate tells by the rate of arrivals what a backlog comes to after a pause of that length.
func estimate(unsettled uint64, perSecond float64, limit mesh.Rate, length time.Duration) catchUp {
	c := catchUp{Arrivals: perSecond, RateLimit: limit, Backlog: unsettled + uint64(perSecond*length.Seconds())}
	out := limit.PerSecond()
	switch {
	case out == 0 || c.Backlog == 0:
	case out <= perSecond:
		c.Never = true
	default:
		seconds := min(float64(c.Backlog)/(out-perSecond), (100 * maxPause).Seconds())
		c.Takes = mesh.Duration(time.Duration(seconds * float64(time.Second)).Round(time.Millisecond))
	}
	return c
}

func (p *program) reportPause(ctx context.Context, cmd *cobra.Command, on subscribed, length time.Duration) error {
	state, err := on.state(ctx)
	if err != nil {
		return err
	}
	perSecond, over, err := mesh.Arrivals(ctx, on.js, on.Subscriber)
	if err != nil {
		return err
	}
	result := pauseResult{state, estimate(state.Waiting+state.InHand, perSecond, on.RateLimit, length)}
	result.CatchUp.MeasuredOver = mesh.Duration(over.Round(time.Second))
	if p.wantsJSON() {
		return writeJSON(cmd.OutOrStdout(), result)
	}
	writePause(cmd.OutOrStdout(), on, result, length)
	return nil
}

func writePause(w io.Writer, on subscribed, r pauseResult, length time.Duration) {
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
	if r.Pause != nil {
		writeRetention(w, on, length)
	}
	writeCatchUp(w, on.Subscriber, c)
}

// writeRetention says what a pause can lose: the stream does not wait for it.
func writeRetention(w io.Writer, on subscribed, length time.Duration) {
	for _, stream := range on.t.Streams {
		if stream.Name == on.Stream && stream.MaxAge > 0 && (length == 0 || length > stream.MaxAge) {
			say(w, "mind that the stream %s deletes what is older than %s, whether it waits or not", stream.Name, mesh.Duration(stream.MaxAge))
		}
	}
}

func writeCatchUp(w io.Writer, s mesh.Subscriber, c catchUp) {
	switch {
	case c.Never:
		say(w, "its rate_limit of %s lets out less than comes in: it will not catch up", c.RateLimit)
	case c.Takes > 0:
		say(w, "at its rate_limit of %s the backlog takes about %s, with what comes in meanwhile", c.RateLimit, roughly(time.Duration(c.Takes)))
	case c.Backlog > 0:
		say(w, "it has no rate_limit: the backlog goes out as fast as the target takes it, up to %d calls at once in a process", s.MaxInFlight)
	}
}
