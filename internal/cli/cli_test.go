package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/meshtest"
)

const testSecret = "correct-horse-battery-staple"

// outcome is what a command left behind.
type outcome struct {
	code     int
	out, err string
}

// invocation is a command in a test.
type invocation struct {
	env map[string]string
	in  string
	ctx context.Context
}

// run executes a command in the process, and sees to it that no output ever holds a secret.
func (i invocation) run(t testing.TB, args ...string) outcome {
	t.Helper()
	var out, errOut bytes.Buffer
	ctx := i.ctx
	if ctx == nil {
		ctx = t.Context()
	}
	code := Execute(ctx, Process{
		Args: args, In: strings.NewReader(i.in), Out: &out, Err: &errOut,
		LookupEnv: func(name string) (string, bool) {
			value, ok := i.env[name]
			if name == "GENMESH_STREAMS" && !ok {
				return sampleFile, true
			}
			return value, ok
		},
		Streams: []byte(sampleStreams), Version: "v1.2.3",
		Reload: func(context.Context) <-chan struct{} {
			t.Error("a command that ends by itself must not trap a hang-up")
			return nil
		},
	})
	assert.NotContains(t, out.String()+errOut.String(), testSecret, "the output holds the secret")
	return outcome{code, out.String(), errOut.String()}
}

func run(t testing.TB, args ...string) outcome { t.Helper(); return invocation{}.run(t, args...) }

func withSecret(more ...string) invocation {
	i := invocation{env: map[string]string{secretVariable: testSecret}}
	for pair := range len(more) / 2 {
		i.env[more[2*pair]] = more[2*pair+1]
	}
	return i
}

// parsed reads what a command printed with -o json.
func parsed[T any](t testing.TB, o outcome) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(o.out), &v), "stdout: %s\nstderr: %s", o.out, o.err)
	return v
}

// file writes a file into a folder of the test's own.
func file(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// appliedServer runs a server that is as the sample says.
func appliedServer(t testing.TB) *meshtest.Server {
	t.Helper()
	server := meshtest.Start(t)
	o := run(t, "apply", "--server", server.URL())
	require.Equal(t, exitOK, o.code, o.err)
	return server
}

func TestWrongUsageIsOneLineAndExitCode1(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"sned"}, `unknown command "sned"`},
		{[]string{"dead", "lsit"}, `unknown command "lsit"`},
		{[]string{"dev", "--htpp", "x"}, "unknown flag: --htpp; see genmesh dev --help"},
		{[]string{"plan", "extra"}, `"extra" is too much`},
		{[]string{"serve", "everything"}, `invalid argument "everything"`},
		{[]string{"plan", "-o", "yaml"}, `--output "yaml"`},
		{[]string{"apply", "--log-level", "loud"}, `log level "loud"`},
		{[]string{"dead", "show", "zero"}, `"zero" is no number of a dead letter`},
		{[]string{"dead", "list", "--since", "yesterday"}, `--since "yesterday"`},
		{[]string{"dead", "replay"}, "name dead letters by number"},
		{[]string{"dead", "replay", "3", "--all"}, "name dead letters by number"},
		{[]string{"send", "--count", "0"}, "--count must be"},
		{[]string{"serve", "--tls-cert", "x"}, "--tls-cert and --tls-key belong together"},
		{[]string{"serve", "--grace", "0s"}, "--grace must be above zero"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			o := run(t, tc.args...)
			assert.Equal(t, exitError, o.code)
			assert.Contains(t, o.err, tc.want)
			assert.Equal(t, 1, strings.Count(o.err, "genmesh: "), "the error is printed once")
			assert.NotContains(t, o.err, "Usage:")
			assert.Empty(t, o.out)
		})
	}
}

func TestHelpDocumentsEnvironmentAndExitCodes(t *testing.T) {
	o := run(t)
	assert.Equal(t, exitOK, o.code)
	for _, want := range []string{"GENMESH_LOG_LEVEL", "A flag wins over the environment", "Exit codes:", "genmesh dev"} {
		assert.Contains(t, o.out, want)
	}
	assert.Contains(t, run(t, "plan", "--help").out, "NATS_URL")
}

func TestFlagWinsOverEnvironmentWinsOverDefault(t *testing.T) {
	fromEnv := map[string]string{"GENMESH_OUTPUT": "json"}
	assert.Contains(t, run(t, "version").out, "genmesh v1.2.3 (go")
	assert.Equal(t, "v1.2.3", parsed[versions](t, invocation{env: fromEnv}.run(t, "version")).Version)
	assert.Contains(t, invocation{env: fromEnv}.run(t, "version", "-o", "text").out, "genmesh v1.2.3 (go")

	empty := invocation{env: map[string]string{"GENMESH_OUTPUT": ""}}
	assert.Equal(t, exitOK, empty.run(t, "version").code, "an empty variable counts as unset")

	wrong := invocation{env: map[string]string{"GENMESH_COUNT": "many"}}.run(t, "send")
	assert.Equal(t, exitError, wrong.code)
	assert.Contains(t, wrong.err, "the environment variable GENMESH_COUNT")
}

func TestCompletionRunsForEveryShell(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		o := run(t, "completion", shell)
		assert.Equal(t, exitOK, o.code)
		assert.Contains(t, o.out, "genmesh")
	}
	assert.Contains(t, run(t, "__complete", "serve", "").out, "workers")
}

func TestSchemaIsJSON(t *testing.T) {
	o := run(t, "schema")
	assert.Equal(t, exitOK, o.code)
	assert.True(t, json.Valid([]byte(o.out)))
}

func TestReportedErrorCannotReachTheTerminal(t *testing.T) {
	var w bytes.Buffer
	assert.Equal(t, exitError, report(&w, errors.New("the target said \x1b[2J\rok\nand more")))
	assert.Equal(t, "genmesh: the target said \\x1b[2J\\rok\nand more\n", w.String())
}

// TestWhatTheServerAnswersIsSaidPlainly: its numbers only where somebody may have to look one up.
func TestWhatTheServerAnswersIsSaidPlainly(t *testing.T) {
	for _, tc := range []struct {
		err  jetstream.APIError
		want string
	}{
		{jetstream.APIError{Code: 404, ErrorCode: 10059, Description: "stream not found"}, "genmesh: stream EVENTS: stream not found\n"},
		{jetstream.APIError{Code: 400, ErrorCode: 10074, Description: "replicas > 1 not supported"},
			"genmesh: stream EVENTS: the server answers (error 10074): replicas > 1 not supported\n"},
	} {
		var w bytes.Buffer
		report(&w, fmt.Errorf("stream EVENTS: %w", &tc.err))
		assert.Equal(t, tc.want, w.String())
	}
}

func TestInterruptionIsSaidPlainly(t *testing.T) {
	var w bytes.Buffer
	assert.Equal(t, exitError, report(&w, context.Canceled))
	assert.Equal(t, "genmesh: interrupted\n", w.String())
}

func TestJSONOutputHasNoControlCharacters(t *testing.T) {
	var w bytes.Buffer
	text := "esc \x1b csi \u009b bidi \u202e del \x7f tag \U000e0001 京 <&>"
	require.NoError(t, writeJSON(&w, []string{text}))
	for _, r := range w.String() {
		assert.True(t, r == '\n' || r >= ' ' && r != 0x7f && r != 0x9b && r != 0x202e && r != 0xe0001, "%U", r)
	}
	var back []string
	require.NoError(t, json.Unmarshal(w.Bytes(), &back))
	assert.Equal(t, text, back[0])
	assert.Contains(t, w.String(), "京 <&>")
}

func TestTableCellsAreEscapedAndAligned(t *testing.T) {
	var tab table
	tab.row("A", "B")
	tab.row("京\x1b[31m", "x")
	var w bytes.Buffer
	require.NoError(t, tab.write(&w))
	assert.Equal(t, "A          B\n京\\x1b[31m  x\n", w.String())
}
