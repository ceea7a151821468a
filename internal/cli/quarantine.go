package cli

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

const quarantineHelp = `In quarantine is what came in with a good signature and still could not go on its way: it could
not be read, broke its schema, named no interaction, or came from another organization. Its sender
was told that it is taken, so it waits here until it is released or discarded, or past the max_age
of its stream.`

func newQuarantine(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "Look at what could not go on its way, release or discard it",
		Long:  quarantineHelp,
		Args:  cobra.NoArgs,
		RunE:  showHelp,
	}
	cmd.AddCommand(newQuarantineList(p), newQuarantineShow(p), newQuarantineRelease(p), newQuarantineDiscard(p))
	return cmd
}

// quarantineFlags choose events in quarantine.
type quarantineFlags struct {
	cluster clusterFlags
	source  string
	reason  string
	span    span
	limit   int
}

func (f *quarantineFlags) add(cmd *cobra.Command, limit int) {
	flags := cmd.Flags()
	f.cluster.add(flags)
	flags.StringVar(&f.source, "source", "", "only those of the source `NAME`")
	flags.StringVar(&f.reason, "reason", "", "only those with the `REASON`, such as schema or invalid_json")
	f.span.add(flags, "those that came")
	flags.IntVar(&f.limit, "limit", limit, "at most `N` of them, the oldest first; 0 is no limit")
}

// chosen reports whether the flags choose anything at all.
func (f *quarantineFlags) chosen() bool {
	return f.source != "" || f.reason != "" || f.span.given()
}

func (f *quarantineFlags) filter(now time.Time) (mesh.QuarantineFilter, error) {
	filter := mesh.QuarantineFilter{Source: f.source, Reason: f.reason}
	var err error
	filter.Since, filter.Until, err = f.span.times(now)
	return filter, errors.Join(err, checkLimit(f.limit))
}

// ward is the quarantine of a cluster and what events are released by.
type ward struct {
	*mesh.Quarantine
	topology *mesh.Topology
	js       jetstream.JetStream
}

// withQuarantine runs a command on the quarantine of the cluster.
func (p *program) withQuarantine(cmd *cobra.Command, cluster *clusterFlags, run func(context.Context, ward) error) error {
	t, err := p.topology(cmd)
	if err != nil {
		return err
	}
	nc, js, err := p.connect(cluster)
	if err != nil {
		return err
	}
	defer nc.Close()
	quarantine, err := mesh.NewQuarantine(js, t)
	if err != nil {
		return err
	}
	return run(cmd.Context(), ward{quarantine, t, js})
}

// find calls take for each event that the filter chooses, up to the limit.
func (f *quarantineFlags) find(ctx context.Context, w ward, filter mesh.QuarantineFilter, take func(mesh.Quarantined)) error {
	return takeUpTo(f.limit, w.Find(ctx, filter), take)
}
