package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/genesys/schema"
	"github.com/genmesh/genmesh/internal/telemetry"
	"github.com/genmesh/genmesh/mesh"
)

const inferHelp = `Read the stored events of a source and propose a JSON Schema for them: what all of them have is
required, types are as they were seen, and other fields are welcome.

It is a beginning: take out of "required" what subscribers can do without, for an event that breaks
its schema is quarantined. Save it, and name the file in the source's event_types:

  "event_types": {"interaction": {"schema": "interaction.schema.json"}}`

// fewEvents is how many events a schema should at least be learned from.
const fewEvents = 100

func newSchemaInfer(p *program) *cobra.Command {
	f := new(storedFlags)
	cmd := &cobra.Command{
		Use:     "infer SOURCE",
		Short:   "Propose a JSON Schema for the events of a source",
		Long:    inferHelp,
		Example: "  genmesh schema infer genesys >interaction.schema.json\n  genmesh schema infer eventbridge --type 'v2.detail.events.conversation.*.user.end'",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.infer(cmd, f, args[0])
		},
	}
	f.add(cmd)
	return cmd
}

func (p *program) infer(cmd *cobra.Command, f *storedFlags, source string) error {
	apart, together := schema.NewCatalog(), schema.NewCatalog()
	looked := 0
	err := p.look(cmd, f, source, func(e mesh.Event, eventType, content string) {
		looked++
		apart.Look(eventType, content, e.Received)
		together.Look(f.types, content, e.Received)
	})
	if err != nil {
		return err
	}
	if looked == 0 {
		return errors.New("no such events are stored")
	}
	if types := apart.Types(); len(types) > 1 && !cmd.Flags().Changed("type") {
		writeTypes(p.Err, types)
		return errors.New("the events are of several types: choose with --type; '*' is one schema for all")
	}
	proposal, _ := together.Infer(f.types, fmt.Sprintf("%s of the source %s, from %s", typesText(f.types, apart.Types()), source, plural(looked, "event")))
	if looked < fewEvents {
		say(p.Err, "learned from %s only: what they have in common may be chance", plural(looked, "event"))
	}
	_, err = io.WriteString(cmd.OutOrStdout(), telemetry.PrintableJSON(string(proposal)))
	return err
}

func typesText(pattern string, types []schema.TypeCount) string {
	if len(types) == 1 {
		return types[0].Name
	}
	return pattern
}

// maxTypesShown keeps a long list of event types readable.
const maxTypesShown = 40

func writeTypes(w io.Writer, types []schema.TypeCount) {
	for _, t := range types[:min(len(types), maxTypesShown)] {
		say(w, "%9d  %s", t.Events, cmp.Or(t.Name, "(no type: --type '')"))
	}
	if hidden := len(types) - maxTypesShown; hidden > 0 {
		say(w, "%s  and %s more", strings.Repeat(" ", 9), plural(hidden, "type"))
	}
}
