package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/console/access"
)

// consoleRun runs the command by itself, as root runs it.
func consoleRun(t *testing.T, in string, args ...string) (out, errOut string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := &program{Process: Process{In: strings.NewReader(in), Out: &stdout, Err: &stderr}}
	root := &cobra.Command{Use: "genmesh", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(newConsole(p))
	root.SetArgs(append([]string{"console"}, args...))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	err = root.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

// admits reports an error if a file with an entry is not one that the console takes.
func admits(t *testing.T, entry string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"users":[`+entry+`]}`), 0o600))
	log := logrus.New()
	log.SetOutput(t.Output())
	_, err := access.New(access.Options{File: path, Loopback: true, Logger: log, Registerer: prometheus.NewRegistry()})
	return err
}

const goodPassword = "nine brown otters"

func TestAPasswordBecomesAnEntryThatTheConsoleTakes(t *testing.T) {
	for _, args := range [][]string{
		{"user", "ann", "--role", "operator"},
		{"user", "ann", "--role", "operator", "--password-stdin"},
	} {
		out, errOut, err := consoleRun(t, goodPassword+"\r\nwhat follows is ignored", args...)
		require.NoError(t, err)
		assert.NotContains(t, out+errOut, goodPassword)
		var user access.User
		require.NoError(t, json.Unmarshal([]byte(out), &user))
		assert.Equal(t, "ann", user.Name)
		assert.Equal(t, access.Operator, user.Role)
		assert.Regexp(t, `^\$argon2id\$v=19\$`, user.PasswordHash)
		assert.NoError(t, admits(t, out))
	}
}

func TestATokenIsShownOnceAndKeptAsItsHash(t *testing.T) {
	out, errOut, err := consoleRun(t, "", "user", "prometheus", "--role", "viewer", "--token")
	require.NoError(t, err)
	token := regexp.MustCompile(`genmesh_[A-Za-z0-9_-]{43}`).FindString(errOut)
	require.NotEmpty(t, token, errOut)
	assert.NotContains(t, out, token)
	var user access.User
	require.NoError(t, json.Unmarshal([]byte(out), &user))
	sum := sha256.Sum256([]byte(token))
	assert.Equal(t, hex.EncodeToString(sum[:]), user.TokenSHA256)
	assert.NoError(t, admits(t, out))

	_, second, err := consoleRun(t, "", "user", "prometheus", "--role", "viewer", "--token")
	require.NoError(t, err)
	assert.NotContains(t, second, token)
}

func TestWhatIsNoUserIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		args     []string
		want     string
	}{
		{"no role", goodPassword, []string{"user", "ann"}, "--role is missing"},
		{"unknown role", goodPassword, []string{"user", "ann", "--role", "root"}, "write viewer, operator or admin"},
		{"short", "elevenchars", []string{"user", "ann", "--role", "viewer"}, "at least 12 characters"},
		{"short in characters", "ääääää", []string{"user", "ann", "--role", "viewer"}, "at least 12 characters"},
		{"long", strings.Repeat("x", 1025), []string{"user", "ann", "--role", "viewer"}, "at most 1024 bytes"},
		{"empty", "\n", []string{"user", "ann", "--role", "viewer"}, "no password came"},
		{"colon in the name", goodPassword, []string{"user", "a:nn", "--role", "viewer"}, "no colon"},
		{"control character in the name", goodPassword, []string{"user", "ann\x1b[2J", "--role", "viewer"}, "control characters"},
		{"two proofs", goodPassword, []string{"user", "ann", "--role", "viewer", "--token", "--password-stdin"}, "exclude each other"},
		{"no name", goodPassword, []string{"user", "--role", "viewer"}, "accepts 1 arg"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, _, err := consoleRun(t, tc.in, tc.args...)
			require.ErrorContains(t, err, tc.want)
			assert.Empty(t, out)
			assert.NotContains(t, err.Error(), goodPassword)
		})
	}
}

func TestAMistypedPasswordMakesNoUser(t *testing.T) {
	answers := func(texts ...string) func(string) (string, error) {
		return func(string) (string, error) {
			if len(texts) == 0 {
				return "", context.Canceled
			}
			text := texts[0]
			texts = texts[1:]
			return text, nil
		}
	}
	password, err := agreed(answers(goodPassword, goodPassword))
	require.NoError(t, err)
	assert.Equal(t, goodPassword, password)

	_, err = agreed(answers(goodPassword, goodPassword+"x"))
	assert.ErrorContains(t, err, "differ")
	_, err = agreed(answers(goodPassword))
	assert.True(t, errors.Is(err, context.Canceled))
}
