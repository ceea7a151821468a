package deploy_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unit is a systemd unit.
type unit struct {
	name     string
	settings map[string][]string // by name; of all sections, for they share none
}

func readUnits(t *testing.T) map[string]unit {
	t.Helper()
	files, err := filepath.Glob("systemd/*.service")
	require.NoError(t, err)
	units := map[string]unit{}
	for _, file := range files {
		u := unit{strings.TrimSuffix(filepath.Base(file), ".service"), assignments(read(t, file))}
		units[u.name] = u
	}
	return units
}

// assignments are the lines "name=value" of a unit or a file with variables, without its comments.
func assignments(text string) map[string][]string {
	found := map[string][]string{}
	for line := range strings.Lines(text) {
		name, value, is := strings.Cut(strings.TrimSpace(line), "=")
		if is && !strings.HasPrefix(name, "#") {
			found[name] = append(found[name], value)
		}
	}
	return found
}

func (u unit) runsGenmesh() bool { return strings.HasPrefix(u.name, "genmesh-") }

// part is what genmesh does in it.
func (u unit) part() string { return strings.TrimPrefix(u.name, "genmesh-") }

// one is the value of a setting that is there once.
func (u unit) one(t *testing.T, setting string) string {
	t.Helper()
	require.Len(t, u.settings[setting], 1, "%s: %s", u.name, setting)
	return u.settings[setting][0]
}

// args are those of its program.
func (u unit) args(t *testing.T) []string {
	t.Helper()
	return strings.Fields(u.one(t, "ExecStart"))[1:]
}

// environment is what its process is told, that of its EnvironmentFile as it ships among it.
func (u unit) environment(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, line := range u.settings["Environment"] {
		for _, assignment := range strings.Fields(line) {
			name, value, _ := strings.Cut(assignment, "=")
			values[name] = value
		}
	}
	file := filepath.Join("systemd", filepath.Base(u.one(t, "EnvironmentFile")))
	for name, set := range assignments(read(t, file)) {
		values[name] = strings.Trim(set[0], "'")
	}
	return values
}

// credentials are the files that it gets, by the names that they have for it.
func (u unit) credentials() map[string]string {
	files := map[string]string{}
	for _, value := range u.settings["LoadCredential"] {
		name, file, _ := strings.Cut(value, ":")
		files[name] = file
	}
	return files
}
