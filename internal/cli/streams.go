package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
)

// configError is a streams.json that is wrong, under the name that the user knows it by.
type configError struct {
	file     string
	mistakes mesh.Mistakes
}

func (e *configError) Error() string {
	return fmt.Sprintf("%s has %s\n%s", e.file, plural(len(e.mistakes), "mistake"), e.mistakes.Error())
}

// topology reads and checks streams.json.
func (p *program) topology(cmd *cobra.Command) (*mesh.Topology, error) {
	name, data, err := p.readStreams(cmd)
	if err != nil {
		return nil, err
	}
	return p.parse(name, data, false)
}

// parse reads the schemas in files, too, if schemaFiles is true.
func (p *program) parse(name string, data []byte, schemaFiles bool) (*mesh.Topology, error) {
	t, err := app.Parser{Name: name, LookupEnv: p.LookupEnv, SchemaFiles: schemaFiles}.Parse(data)
	var mistakes mesh.Mistakes
	if errors.As(err, &mistakes) {
		return nil, &configError{file: name, mistakes: mistakes}
	}
	return t, err
}

// readStreams is the content of streams.json and the name to call it by.
func (p *program) readStreams(cmd *cobra.Command) (string, []byte, error) {
	file := p.streamsFile(cmd)
	f, err := os.Open(file.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && file.Fallback != nil:
		return app.BuiltInName, file.Fallback, nil
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, missingStreams(cmd, file.Path)
	case err != nil:
		return "", nil, err
	}
	defer f.Close() // only read
	// One byte more than allowed, so that a file that is too large is found out.
	data, err := io.ReadAll(io.LimitReader(f, mesh.MaxTopologyBytes+1))
	if err != nil {
		return "", nil, fmt.Errorf("read %s: %w", file.Path, err)
	}
	return file.Path, data, nil
}

// missingStreams says as well what the file is for where it is in the way of a command that only looks at a mesh or mends it.
func missingStreams(cmd *cobra.Command, path string) error {
	err := fmt.Errorf("there is no %s; name the file with --streams", path)
	if cmd.Flags().Lookup("console-url") == nil {
		return err
	}
	return fmt.Errorf("%w: it says which streams the mesh keeps its events, dead letters and audit in; through a console, with --console-url, none is needed here", err)
}

// streamsFile is the file to use. dev alone falls back to the built-in configuration, unless the
// user named a file: against a cluster that would serve subscribers by mistake.
func (p *program) streamsFile(cmd *cobra.Command) app.StreamsFile {
	file := app.StreamsFile{Path: p.streams}
	if cmd.Name() == devName && !cmd.Flags().Changed("streams") {
		file.Fallback = p.Streams
	}
	return file
}
