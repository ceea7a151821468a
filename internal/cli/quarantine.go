package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
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
	mesh   operatorFlags
	source string
	reason string
	span   span
	limit  int
}

func (f *quarantineFlags) add(cmd *cobra.Command, limit int) {
	flags := cmd.Flags()
	f.mesh.add(flags)
	flags.StringVar(&f.source, "source", "", "only those of the source `NAME`")
	flags.StringVar(&f.reason, "reason", "", "only those with the `REASON`, such as schema or invalid_json")
	f.span.add(flags, "those that came")
	flags.IntVar(&f.limit, "limit", limit, "at most `N` of them, the oldest first; 0 is no limit")
}

// chosen reports whether the flags choose anything at all.
func (f *quarantineFlags) chosen() bool {
	return f.source != "" || f.reason != "" || f.span.given()
}

func (f *quarantineFlags) query(now time.Time) (admin.QuarantineQuery, error) {
	q := admin.QuarantineQuery{Source: f.source, Reason: f.reason}
	var err error
	q.Since, q.Until, err = f.span.times(now)
	return q, errors.Join(err, checkLimit(f.limit))
}

// find calls take for each event that is asked for, up to the limit.
func (f *quarantineFlags) find(ctx context.Context, op operating, q admin.QuarantineQuery, take func(admin.Quarantined)) error {
	return readPages(f.limit, func(limit int, cursor string) ([]admin.Quarantined, string, error) {
		q.Limit, q.Cursor = limit, cursor
		page, err := op.Quarantined(ctx, q)
		return page.Quarantined, page.Next, err
	}, take)
}
