package cli

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhoTypesWhereNATSIsMeansIt whatever the environment says of a console.
func TestWhoTypesWhereNATSIsMeansIt(t *testing.T) {
	const console = "http://127.0.0.1:1"
	for name, tc := range map[string]struct {
		env     map[string]string
		typed   []string
		through bool
		fails   bool
	}{
		"nothing given":             {},
		"a console typed":           {typed: []string{"--console-url", console}, through: true},
		"a console in the env":      {env: map[string]string{"GENMESH_CONSOLE_URL": console}, through: true},
		"both in the env":           {env: map[string]string{"GENMESH_CONSOLE_URL": console, "NATS_URL": "nats://n1"}, through: true},
		"a console beside NATS_URL": {env: map[string]string{"NATS_URL": "nats://n1"}, typed: []string{"--console-url", console}, through: true},
		"NATS typed":                {env: map[string]string{"GENMESH_CONSOLE_URL": console}, typed: []string{"-s", "nats://n1"}},
		"a context typed":           {env: map[string]string{"GENMESH_CONSOLE_URL": console}, typed: []string{"--context", "prod"}},
		"no console typed":          {env: map[string]string{"GENMESH_CONSOLE_URL": console}, typed: []string{"--console-url", ""}},
		"both typed":                {typed: []string{"--console-url", console, "--server", "nats://n1"}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			f, flags := new(operatorFlags), pflag.NewFlagSet("", pflag.ContinueOnError)
			f.add(flags)
			require.NoError(t, flags.Parse(tc.typed))
			lookup := func(name string) (string, bool) { value, ok := tc.env[name]; return value, ok }
			require.NoError(t, fromEnvironment(flags, lookup))
			through, err := f.throughConsole(flags)
			assert.Equal(t, tc.fails, err != nil)
			assert.Equal(t, tc.through, through)
		})
	}
}

func TestConsoleURLThatCannotBeIsRefused(t *testing.T) {
	for _, url := range []string{
		"http://mesh.example.com", "mesh.example.com:8090", "ftp://mesh.example.com", "https://", "%",
		"https://alice:" + testSecret + "@mesh.example.com", "https://mesh.example.com/" + testSecret + "%",
	} {
		o := run(t, "plan", "--console-url", url) // which sees to it that no secret is shown
		assert.Equal(t, exitError, o.code, url)
		assert.Contains(t, o.err, "--console-url: ", url)
	}
	o := run(t, "plan", "--console-url", "http://127.0.0.1:1")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "127.0.0.1:1")
}

func TestConsoleTokenComesFromAFileOrTheEnvironment(t *testing.T) {
	inEnvironment := func(name string) (string, bool) { return " from-env ", name == tokenVariable }
	token, err := new(operatorFlags).token(inEnvironment)
	require.NoError(t, err)
	assert.Equal(t, "from-env", token)
	token, err = (&operatorFlags{tokenFile: file(t, "token", testSecret+"\n")}).token(inEnvironment)
	require.NoError(t, err)
	assert.Equal(t, testSecret, token)

	for name, content := range map[string]string{"empty": "\n", "two lines": "a\nb", "huge": string(make([]byte, maxTokenBytes+1))} {
		_, err := (&operatorFlags{tokenFile: file(t, "token", content)}).token(inEnvironment)
		assert.ErrorContains(t, err, "holds no token", name)
	}
	_, err = (&operatorFlags{tokenFile: "no-such-file"}).token(inEnvironment)
	assert.ErrorContains(t, err, "--console-token-file")
}
