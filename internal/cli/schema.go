package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

const schemaHelp = `Print the JSON Schema of streams.json, for editors.

drift and infer look at the schemas of events: at how they change, and at what one could say.`

func newSchema(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of streams.json; look at what events look like",
		Long:  schemaHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(mesh.Schema())
			return err
		},
	}
	cmd.AddCommand(newSchemaDrift(p), newSchemaInfer(p))
	return cmd
}

// storedFlags choose stored events of a source.
type storedFlags struct {
	cluster clusterFlags
	types   string
	span    span
}

func (f *storedFlags) add(cmd *cobra.Command) {
	f.cluster.add(cmd.Flags())
	cmd.Flags().StringVar(&f.types, "type", "*", "only the event types that match the `PATTERN`, in which * stands for any text")
	f.span.add(cmd.Flags(), "events stored")
}

// lookAt is given a stored event, and its type and content as its source reads them now.
type lookAt func(e mesh.Event, eventType, content string)

// look calls take for each stored event of the source that the flags choose, the oldest first.
func (p *program) look(cmd *cobra.Command, f *storedFlags, source string, take lookAt) error {
	var chosen mesh.Stored
	var err error
	if chosen.Since, chosen.Until, err = f.span.times(time.Now()); err != nil {
		return err
	}
	t, err := p.topology(cmd)
	if err != nil {
		return err
	}
	s, err := sourceOf(t, source)
	if err != nil {
		return err
	}
	reader, err := ingress.NewReader(s)
	if err != nil {
		return fmt.Errorf("source %s: %w", s.Name, err)
	}
	nc, js, err := p.connect(&f.cluster)
	if err != nil {
		return err
	}
	defer nc.Close()
	for e, err := range mesh.StoredEvents(cmd.Context(), js, &s, chosen) {
		if err != nil {
			return err
		}
		if e.Notice != "" {
			continue // genmesh's own, and nothing that the source sends
		}
		for _, reading := range reader.Reread(e) {
			if reading.Content != "" && mesh.MatchesType(f.types, reading.Event.Type) {
				take(e, reading.Event.Type, reading.Content)
			}
		}
	}
	return nil
}
