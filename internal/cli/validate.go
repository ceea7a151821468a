package cli

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

func newValidate(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check streams.json, without a server, and name every mistake",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := p.validated(cmd)
			if p.wantsJSON() {
				return writeValidity(cmd.OutOrStdout(), t, err)
			}
			if err != nil {
				return err
			}
			say(cmd.OutOrStdout(), "ok: %s, %s, %s", plural(len(t.Sources), "source"),
				plural(len(t.Streams), "stream"), plural(len(t.Subscribers), "subscriber"))
			return nil
		},
	}
	p.outputFlag(cmd)
	return cmd
}

// validated reads streams.json and everything that it names and that is no secret.
func (p *program) validated(cmd *cobra.Command) (*mesh.Topology, error) {
	name, data, err := p.readStreams(cmd)
	if err != nil {
		return nil, err
	}
	return p.parse(name, data, true)
}

// validity is what genmesh validate -o json prints.
type validity struct {
	Valid       bool      `json:"valid"`
	Sources     int       `json:"sources"`
	Streams     int       `json:"streams"`
	Subscribers int       `json:"subscribers"`
	Mistakes    []mistake `json:"mistakes"`
}

type mistake struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Path    string `json:"path"`
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
}

func writeValidity(w io.Writer, t *mesh.Topology, err error) error {
	v := validity{Valid: err == nil, Mistakes: []mistake{}}
	var wrong *configError
	switch {
	case err == nil:
		v.Sources, v.Streams, v.Subscribers = len(t.Sources), len(t.Streams), len(t.Subscribers)
	case errors.As(err, &wrong):
		for _, m := range wrong.mistakes {
			v.Mistakes = append(v.Mistakes, mistake{m.File, m.Line, m.Column, m.Path, m.Problem, m.Hint})
		}
	default:
		return err // it could not be read at all
	}
	if err := writeJSON(w, v); err != nil {
		return err
	}
	if !v.Valid {
		return exitCode(exitError)
	}
	return nil
}
