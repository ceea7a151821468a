package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
	cmd.AddCommand(newDeadList(p), newDeadShow(p), newDeadReplay(p), newDeadDiscard(p))
	return cmd
}

// deadFlags choose dead letters.
type deadFlags struct {
	cluster    clusterFlags
	subscriber string
	reason     string
	span       span
	limit      int
}

func (f *deadFlags) add(cmd *cobra.Command, limit int) {
	flags := cmd.Flags()
	f.cluster.add(flags)
	flags.StringVar(&f.subscriber, "subscriber", "", "only those of the subscriber `NAME`")
	flags.StringVar(&f.reason, "reason", "", "only those with the reason "+deadReasons("or"))
	f.span.add(flags, "those buried")
	flags.IntVar(&f.limit, "limit", limit, "at most `N` of them, the oldest first; 0 is no limit")
}

// chosen reports whether the flags choose anything at all.
func (f *deadFlags) chosen() bool {
	return f.subscriber != "" || f.reason != "" || f.span.given()
}

func (f *deadFlags) filter(now time.Time) (mesh.DeadFilter, error) {
	filter := mesh.DeadFilter{Subscriber: f.subscriber, Reason: mesh.DeadReason(f.reason)}
	if f.reason != "" && !slices.Contains(mesh.DeadReasons(), filter.Reason) {
		return filter, fmt.Errorf("--reason %q: there are %s", f.reason, deadReasons("and"))
	}
	var err error
	filter.Since, filter.Until, err = f.span.times(now)
	return filter, errors.Join(err, checkLimit(f.limit))
}

// withDead runs a command on the dead letters of the cluster.
func (p *program) withDead(cmd *cobra.Command, cluster *clusterFlags, run func(context.Context, *mesh.DeadLetters) error) error {
	t, err := p.topology(cmd)
	if err != nil {
		return err
	}
	nc, js, err := p.connect(cluster)
	if err != nil {
		return err
	}
	defer nc.Close()
	letters, err := mesh.NewDeadLetters(js, t)
	if err != nil {
		return err
	}
	return run(cmd.Context(), letters)
}

// find calls take for each dead letter that the filter chooses, up to the limit.
func (f *deadFlags) find(ctx context.Context, letters *mesh.DeadLetters, filter mesh.DeadFilter, take func(mesh.DeadLetter)) error {
	return takeUpTo(f.limit, letters.Find(ctx, filter), take)
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
