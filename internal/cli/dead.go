package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

const deadHelp = `A dead letter is an event that one subscriber could not take: its target said what no retry can
cure, every attempt failed, or workers died with it. The event itself stays in its stream, and the
other subscribers have it. A dead letter waits until it is replayed, discarded, or past the
max_age of its stream.`

func newDead(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Look at what subscribers could not take, replay or discard it",
		Long:  deadHelp,
		Args:  cobra.NoArgs,
		RunE:  showHelp,
	}
	cmd.AddCommand(newDeadList(p), newDeadGroups(p), newDeadShow(p), newDeadReplay(p), newDeadDiscard(p))
	return cmd
}

// deadFlags choose dead letters.
type deadFlags struct {
	mesh       operatorFlags
	subscriber string
	reason     string
	cause      string
	span       span
	limit      int
}

func (f *deadFlags) add(cmd *cobra.Command, limit int) {
	f.choose(cmd.Flags())
	cmd.Flags().IntVar(&f.limit, "limit", limit, "at most `N` of them, the oldest first; 0 is no limit")
}

func (f *deadFlags) choose(flags *pflag.FlagSet) {
	f.mesh.add(flags)
	flags.StringVar(&f.subscriber, "subscriber", "", "only those of the subscriber `NAME`")
	flags.StringVar(&f.reason, "reason", "", "only those with the reason "+deadReasons("or"))
	flags.StringVar(&f.cause, "cause", "", "only those of the `CAUSE`, as genmesh dead groups shows it")
	f.span.add(flags, "those buried")
}

// chosen reports whether the flags choose anything at all.
func (f *deadFlags) chosen() bool {
	return f.subscriber != "" || f.reason != "" || f.cause != "" || f.span.given()
}

func (f *deadFlags) query(now time.Time) (admin.DeadQuery, error) {
	q := admin.DeadQuery{Subscriber: f.subscriber, Reason: mesh.DeadReason(f.reason), Cause: f.cause}
	if f.reason != "" && !slices.Contains(mesh.DeadReasons(), q.Reason) {
		return q, fmt.Errorf("--reason %q: there are %s", f.reason, deadReasons("and"))
	}
	var err error
	q.Since, q.Until, err = f.span.times(now)
	return q, errors.Join(err, checkLimit(f.limit))
}

// find calls take for each dead letter that is asked for, up to the limit.
func (f *deadFlags) find(ctx context.Context, op operating, q admin.DeadQuery, take func(admin.DeadLetter)) error {
	return readPages(f.limit, func(limit int, cursor string) ([]admin.DeadLetter, string, error) {
		q.Limit, q.Cursor = limit, cursor
		page, err := op.DeadLetters(ctx, q)
		return page.DeadLetters, page.Next, err
	}, take)
}

// deadReasons lists the reasons, with the last after a word.
func deadReasons(before string) string {
	var names []string
	for _, reason := range mesh.DeadReasons() {
		names = append(names, string(reason))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " " + before + " " + names[last]
}
