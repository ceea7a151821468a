//go:build !sizing

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
)

// The tests of this file look at the document as it is. A run that measures anew writes it, and does not ask what it said before.

const document = "../../docs/SIZING.md"

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(raw)
}

// TestTheDocumentSaysWhatFollowsFromItsCosts: a reader who reckons with the costs gets the table.
func TestTheDocumentSaysWhatFollowsFromItsCosts(t *testing.T) {
	c, err := readCosts(document)
	require.NoError(t, err)
	text := read(t, document)
	for name, lines := range map[string][]string{"costs": c.table(), "size": c.sizes()} {
		_, found, _ := strings.Cut(placeOf(name).FindString(text), "\n")
		assert.Equal(t, strings.Join(lines, "\n")+"\n<!-- end -->", found, "figures of %s", name)
	}
	for _, name := range []string{"carries", "delivers", "syncs", "memory", "starts", "streams", "predicted"} {
		assert.Len(t, placeOf(name).FindAllString(text, -1), 1, "the place for the figures of %s", name)
	}
	assert.Regexp(t, `(?m)^Figures of `, text)
	assert.LessOrEqual(t, strings.Count(text, "\n"), 220, "who has to size something reads no more")
}

// TestTheSizingTestsCompile: who changes what they use and runs go test ./... shall hear of it.
func TestTheSizingTestsCompile(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "vet", "-tags", "sizing", ".").CombinedOutput()
	require.NoError(t, err, string(out))
}

// TestOneSourceHasOneStream: the document says that the events of one source can't be divided among streams. When they can, it has to say how.
func TestOneSourceHasOneStream(t *testing.T) {
	_, err := parseStreams(t, func(file map[string]any) {
		file["streams"].([]any)[0].(map[string]any)["subjects"] = []string{"genesys.00.>"}
	})
	require.ErrorContains(t, err, `INTERACTIONS does not take "genesys.`)
}

// TestTheExampleIsTaken: two sources with a stream each, as the document has them, beside the other streams that ship.
func TestTheExampleIsTaken(t *testing.T) {
	_, text, found := strings.Cut(read(t, document), "```json\n")
	require.True(t, found)
	text, _, _ = strings.Cut(text, "```")
	var example map[string][]any
	require.NoError(t, json.Unmarshal([]byte(text), &example))
	topology, err := parseStreams(t, func(file map[string]any) {
		file["sources"], file["subscribers"] = example["sources"], example["subscribers"]
		file["streams"] = append(file["streams"].([]any)[1:], example["streams"]...)
	})
	require.NoError(t, err)
	assert.Len(t, topology.Sources, 2)
}

// TestTheAlertsThatItNamesExist: a limit that nobody sees is none that a reader can keep.
func TestTheAlertsThatItNamesExist(t *testing.T) {
	rules := read(t, "../../deploy/prometheus/genmesh.rules.yml")
	named := regexp.MustCompile(`\bGenmesh[A-Z][A-Za-z]+`).FindAllString(read(t, document), -1)
	assert.NotEmpty(t, named)
	for _, alert := range named {
		assert.Contains(t, rules, "alert: "+alert+"\n")
	}
}

// parseStreams reads the streams.json that ships, after a change.
func parseStreams(t *testing.T, change func(file map[string]any)) (*mesh.Topology, error) {
	t.Helper()
	var file map[string]any
	require.NoError(t, json.Unmarshal([]byte(read(t, "../../streams.json")), &file))
	change(file)
	changed, err := json.Marshal(file)
	require.NoError(t, err)
	return app.ParseStreams(changed, func(string) (string, bool) { return "1", true })
}
