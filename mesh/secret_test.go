package mesh

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func lookup(env map[string]string) func(string) (string, bool) { return parseOptions(env).LookupEnv }

func TestSecretsAreRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("  hunter2\n\n"), 0o600))
	for reference, want := range map[Secret]string{
		"${A}": "hunter2", "${A:-}": "hunter2", "${B:-}": "", Secret("file:" + file): "  hunter2\n",
	} {
		value, err := reference.Resolve(lookup(map[string]string{"A": "hunter2"}))
		require.NoError(t, err)
		require.Equal(t, want, value, reference)
	}
}

func TestUnreadableSecretsAreNamedNotShown(t *testing.T) {
	large, empty := filepath.Join(t.TempDir(), "large"), filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(large, []byte(strings.Repeat("hunter2", 1000)), 0o600))
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	for reference, want := range map[Secret]string{
		"${A}":                  "${A}: the environment variable is not set",
		"${EMPTY}":              "${EMPTY}: the environment variable is empty",
		"hunter2":               "not a reference",
		"${A:-hunter2}":         "not a reference",
		Secret("file:" + large): "larger than 4096 bytes",
		Secret("file:" + empty): "the file is empty",
		"file:/nowhere/at/all":  "file:/nowhere/at/all",
	} {
		_, err := reference.Resolve(lookup(map[string]string{"EMPTY": ""}))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
	require.NotContains(t, fmt.Sprintf("%v %s %#v %+v", Secret("hunter2"), Secret("hunter2"), Secret("hunter2"), Source{Secret: "hunter2"}), "hunter2")
}

func TestSourceKeepsOnlySecretsThatAreSet(t *testing.T) {
	source := Source{Name: "genesys", Secret: "${A:-}", Secrets: []Secret{"${B:-}", "${C:-}"}}
	values, err := source.ResolveSecrets(lookup(map[string]string{"A": "1", "C": "3"}))
	require.NoError(t, err)
	require.Equal(t, []string{"1", "3"}, values)
	_, err = source.ResolveSecrets(lookup(nil))
	require.ErrorContains(t, err, "source genesys: none of its secrets is set")
	_, err = Source{Name: "genesys", Secrets: []Secret{"${A}", "${B:-}"}}.ResolveSecrets(lookup(map[string]string{"B": "2"}))
	require.ErrorContains(t, err, "${A}")
}

func TestReferencesExpand(t *testing.T) {
	env := lookup(map[string]string{"A": "a", "EMPTY": ""})
	for text, want := range map[string]string{
		"": "", "x": "x", "${A}": "a", "x${A}y${A}": "xaya", "${B:-b}": "b", "${EMPTY:-b}": "b", "${EMPTY}": "", "${B:-}": "",
		"$${A}": "${A}", "$A": "$A", "${B:-$A}": "$A", "$": "$", "a}": "a}",
	} {
		got, _, err := expand(text, env)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"${B}", "${", "${}", "${1A}", "${A-b}", "${a b}"} {
		_, _, err := expand(text, env)
		require.Error(t, err, text)
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("$${A}${A}")
	f.Add("$$${")
	f.Fuzz(func(t *testing.T, text string) {
		got, _, err := expand(escapeReferences(text), lookup(nil))
		require.NoError(t, err)
		require.Equal(t, text, got)
	})
}
