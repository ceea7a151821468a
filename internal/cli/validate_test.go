package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

const brokenStreams = `{
  "sources": [{"name": "genesys", "path": "webhooks", "preset": "genesis",
    "secret": "correct-horse-battery-staple", "stream": "NOWHERE"}],
  "streams": [{"name": "INTERACTIONS", "subjects": ["genesys.>"], "max_aeg": "1h"}],
  "subscribers": [{"name": "crm", "stream": "INTERACTIONS", "target": {"url": "ftp://crm.example.com"}}]
}`

func TestValidateNamesEveryMistakeWithItsPlace(t *testing.T) {
	path := file(t, "other.json", brokenStreams)
	o := run(t, "validate", "--streams", path)
	assert.Equal(t, exitError, o.code)
	assert.Empty(t, o.out)
	for _, want := range []string{`did you mean "genesys"?`, "max_age", "NOWHERE", "ftp", "a secret is never written in this file"} {
		assert.Contains(t, o.err, want)
	}
	lines := strings.Split(strings.TrimSpace(o.err), "\n")
	for _, line := range lines[1:] {
		assert.Regexp(t, `^`+path+`:\d+:\d+: `, line)
	}

	v := parsed[validity](t, run(t, "validate", "--streams", path, "-o", "json"))
	assert.False(t, v.Valid)
	assert.Len(t, v.Mistakes, len(lines)-1)
	assert.Equal(t, 2, v.Mistakes[0].Line)
}

func TestValidateJSONExitsWith1OnMistakes(t *testing.T) {
	o := run(t, "validate", "-o", "json", "--streams", file(t, "s.json", "{"))
	assert.Equal(t, exitError, o.code)
	assert.False(t, parsed[validity](t, o).Valid)
	assert.Empty(t, o.err)
}

func TestValidateCountsWhatIsThere(t *testing.T) {
	o := run(t, "validate") // the one that ships
	require.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, "ok: 1 source, 6 streams, 3 subscribers\n", o.out)
}

func TestValidateFileThatWasNamedMustExist(t *testing.T) {
	o := run(t, "validate", "--streams", "missing.json")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "there is no missing.json; name the file with --streams")

	o = invocation{env: map[string]string{"GENMESH_STREAMS": "missing.json"}}.run(t, "validate")
	assert.Contains(t, o.err, "there is no missing.json")
}

func TestValidateRefusesAHugeFile(t *testing.T) {
	o := run(t, "validate", "--streams", file(t, "huge.json", strings.Repeat(" ", mesh.MaxTopologyBytes+1)))
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "at most 1048576 are allowed")
}

func TestMissingFileIsNeverReplacedByTheBuiltInOneAgainstACluster(t *testing.T) {
	nowhere := invocation{env: map[string]string{"GENMESH_STREAMS": ""}}
	for _, args := range [][]string{{"validate"}, {"plan"}, {"apply"}, {"serve"}, {"doctor"}, {"dead", "list"}} {
		o := nowhere.run(t, args...)
		assert.Equal(t, exitError, o.code, args)
		assert.Contains(t, o.out+o.err, "there is no streams.json", args)
	}
}

func TestValidateLooksAtSchemasAndRegions(t *testing.T) {
	for edit, problem := range map[string]string{
		`"event_types": {"*": {"schema": "builtin:genesys-interactions"}},`:           "there is no such schema",
		`"event_types": {"*": {"schema": "gone.json"}},`:                              "gone.json",
		`"api": {"region": "eu-central", "client_id": "x", "client_secret": "${X}"},`: `no region "eu-central"`,
	} {
		o := run(t, "validate", "--streams", file(t, "streams.json", editedStreams(t, `"preset": "genesys",`, `"preset": "genesys", `+edit)))
		assert.Equal(t, exitError, o.code, edit)
		assert.Contains(t, o.err, problem)
	}
}
