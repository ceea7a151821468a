package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/genesys"
)

const presetsHelp = `List the presets of sources, or explain one.

A source with a "preset" gets every field that it leaves out from it, objects field by field: so any
of them can be changed by writing it. A verification by another method begins anew.`

func newPresets(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "presets [NAME]",
		Short:   "List and explain what a source can be preset to",
		Long:    presetsHelp,
		Example: "  genmesh presets\n  genmesh presets genesys-eventbridge",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			presets := genesys.Presets()
			if len(args) == 1 {
				return p.explainPreset(cmd.OutOrStdout(), presets, args[0])
			}
			if p.wantsJSON() {
				return writeJSON(cmd.OutOrStdout(), presets)
			}
			return listPresets(cmd.OutOrStdout(), presets)
		},
	}
	p.outputFlag(cmd)
	return cmd
}

func listPresets(w io.Writer, presets []genesys.Preset) error {
	var t table
	t.row("PRESET", "FOR")
	for _, preset := range presets {
		about, _, _ := bytes.Cut([]byte(preset.About), []byte(". "))
		t.row(preset.Name, string(bytes.TrimSuffix(about, []byte("."))))
	}
	if err := t.write(w); err != nil {
		return err
	}
	say(w, "\ngenmesh presets NAME explains one.")
	return nil
}

func (p *program) explainPreset(w io.Writer, presets []genesys.Preset, name string) error {
	i := slices.IndexFunc(presets, func(preset genesys.Preset) bool { return preset.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no preset %q; genmesh presets lists them", name)
	}
	preset := presets[i]
	if p.wantsJSON() {
		return writeJSON(w, preset)
	}
	source, err := indented(preset.Source)
	if err != nil {
		return fmt.Errorf("preset %s: %w", name, err)
	}
	sample, err := indented(preset.Sample)
	if err != nil {
		return fmt.Errorf("preset %s: %w", name, err)
	}
	say(w, "%s\n\n%s\n\nThe sender %s.\n\nWhat a source gets where it does not say otherwise:\n\n%s\n\nA delivery:\n\n%s",
		preset.Name, preset.About, preset.Sender, source, sample)
	return nil
}

func indented(raw json.RawMessage) (string, error) {
	var b bytes.Buffer
	err := json.Indent(&b, raw, "", "  ")
	return b.String(), err
}
