// Package cli is genmesh's command line. Each command has a file of its own; all of them read
// and write only what the Process gives them.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/genmesh/genmesh/internal/telemetry"
)

// Process is what a command may use of the process that it runs in.
type Process struct {
	// Args are the arguments without the program's name.
	Args []string
	In   io.Reader
	Out  io.Writer
	Err  io.Writer
	// LookupEnv is the only way in which the environment is read.
	LookupEnv func(string) (string, bool)
	// Streams is the streams.json to use where there is no file and none was named.
	Streams []byte
	// Reload begins to listen for requests to look at the configuration again, until the
	// context ends. Only commands that serve call it, so that a hang-up ends the others. It
	// may be nil.
	Reload  func(context.Context) <-chan struct{}
	Version string
}

// The exit codes.
const (
	exitOK      = 0
	exitError   = 1
	exitChanges = 2
)

// Execute runs one command and returns the exit code of the process. It blocks until the command
// is done, which dev and serve are when ctx ends.
func Execute(ctx context.Context, p Process) int {
	root := newRoot(p)
	root.SetArgs(append([]string{}, p.Args...)) // for nil it takes those of the process
	root.SetIn(p.In)
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	return report(p.Err, root.ExecuteContext(ctx))
}

// exitCode ends the process with a code and without a message: the command has said it all.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// report is the one place where an error of a command is shown.
func report(w io.Writer, err error) int {
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted")
	}
	writeLines(w, "genmesh: "+plainly(err))
	return exitError
}

// apiError is how nats.go shows what the server answered. "description=" is all that says something to most people; err_code is
// what the rest is looked up by, and only where nothing is merely missing.
var apiError = regexp.MustCompile(`nats: API error: code=(\d+) err_code=(\d+) description=`)

// plainly is an error without the numbers around the server's words: "stream not found" says it all.
func plainly(err error) string {
	return apiError.ReplaceAllStringFunc(err.Error(), func(prefix string) string {
		numbers := apiError.FindStringSubmatch(prefix)
		if numbers[1] == "404" {
			return ""
		}
		return "the server answers (error " + numbers[2] + "): "
	})
}

// writeLines writes text that may hold what others said, line by line: a terminal acts on none
// of it. Where nothing can be written, nothing can be said about that either.
func writeLines(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		_, _ = fmt.Fprintln(w, telemetry.Printable(strings.TrimSuffix(line, "\n")))
	}
}
