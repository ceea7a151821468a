package cli

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/genesys/schema"
	"github.com/genmesh/genmesh/mesh"
)

const driftHelp = `Read the stored events of a source and tell when they began to look different: fields that are new,
have vanished, or have another type than before. A running ingress reports the same in its log as
it happens.

What events look like is learned from the first of them: of each type at least 100, over at least ten
minutes, and until half of them have brought nothing new. A field has vanished when it has been away
for ten minutes and for longer than chance explains. Names and types are told, and no
values.

Exit codes: 0 nothing changed, 1 an error, 2 something changed.`

// driftJSON is a change and the event that showed it.
type driftJSON struct {
	schema.Change
	Sequence uint64    `json:"sequence"`
	Stored   time.Time `json:"stored"`
}

func newSchemaDrift(p *program) *cobra.Command {
	f := new(storedFlags)
	cmd := &cobra.Command{
		Use:     "drift SOURCE",
		Short:   "Tell when the events of a source began to look different",
		Long:    driftHelp,
		Example: "  genmesh schema drift genesys --since 7d\n  genmesh schema drift eventbridge --type 'v2.detail.events.*' -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			catalog, looked := schema.NewCatalog(), 0
			changes := []driftJSON{}
			err := p.look(cmd, f, args[0], func(e mesh.Event, eventType, content string) {
				looked++
				for _, c := range catalog.Look(eventType, content, e.Received) {
					changes = append(changes, driftJSON{c, e.Sequence, e.Stored})
				}
			})
			if err != nil {
				return err
			}
			return p.reportDrift(cmd.OutOrStdout(), changes, looked)
		},
	}
	f.add(cmd)
	p.outputFlag(cmd)
	return cmd
}

func (p *program) reportDrift(w io.Writer, changes []driftJSON, looked int) error {
	switch {
	case p.wantsJSON():
		if err := writeJSON(w, changes); err != nil {
			return err
		}
	case len(changes) == 0:
		say(w, "no change in %s", plural(looked, "event"))
	default:
		if err := writeDrift(w, changes); err != nil {
			return err
		}
	}
	if len(changes) > 0 {
		return exitCode(exitChanges)
	}
	return nil
}

func writeDrift(w io.Writer, changes []driftJSON) error {
	var t table
	t.row("SEEN", "EVENT", "TYPE", "CHANGE", "FIELD", "WAS", "IS")
	for _, c := range changes {
		t.row(c.Stored.Local().Format(time.DateTime), strconv.FormatUint(c.Sequence, 10), c.EventType, string(c.Kind),
			cmp.Or(c.Pointer, fmt.Sprintf("(the event type %s)", c.EventType)), cmp.Or(c.Was, "-"), cmp.Or(c.Is, "-"))
	}
	return t.write(w)
}
