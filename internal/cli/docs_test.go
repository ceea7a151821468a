package cli

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/app"
)

// documents are the texts that people follow by hand.
func documents(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	texts := map[string]string{}
	for _, name := range append(names, "../../README.md") {
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		texts[filepath.Base(name)] = string(raw)
	}
	return texts
}

var fenced = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

func blocks(text, language string) []string {
	var all []string
	for _, match := range fenced.FindAllStringSubmatch(text, -1) {
		if match[1] == language {
			all = append(all, match[2])
		}
	}
	return all
}

// TestRecipesAreSourcesThatGenmeshTakes puts each source of the documents into a streams.json.
func TestRecipesAreSourcesThatGenmeshTakes(t *testing.T) {
	recipes := 0
	for name, text := range documents(t) {
		for _, block := range blocks(text, "json") {
			var source struct{ Name, Path string }
			if json.Unmarshal([]byte(block), &source) != nil || source.Path == "" {
				continue
			}
			recipes++
			var file map[string]any
			require.NoError(t, json.Unmarshal([]byte(sampleStreams), &file))
			file["sources"] = []any{json.RawMessage(block)}
			file["streams"].([]any)[0].(map[string]any)["subjects"] = []string{source.Name + ".>"}
			streams, err := json.Marshal(file)
			require.NoError(t, err)
			_, err = app.ParseStreams(streams, func(string) (string, bool) { return "", false })
			assert.NoError(t, err, "%s: %s", name, block)
		}
	}
	assert.Greater(t, recipes, 8)
}

// TestExamplesAreSubscribersThatGenmeshTakes puts each subscriber of the documents into a streams.json.
func TestExamplesAreSubscribersThatGenmeshTakes(t *testing.T) {
	examples := 0
	for name, text := range documents(t) {
		for _, block := range blocks(text, "json") {
			var subscriber struct{ Name, Stream, Path string }
			if json.Unmarshal([]byte(block), &subscriber) != nil || subscriber.Stream == "" || subscriber.Path != "" {
				continue
			}
			examples++
			var file map[string]any
			require.NoError(t, json.Unmarshal([]byte(sampleStreams), &file))
			file["subscribers"] = []any{json.RawMessage(block)}
			streams, err := json.Marshal(file)
			require.NoError(t, err)
			_, err = app.ParseStreams(streams, func(string) (string, bool) { return "", false })
			assert.NoError(t, err, "%s: %s", name, block)
		}
	}
	assert.Greater(t, examples, 5)
}

var (
	commandLine = regexp.MustCompile(`(?m)^\s*(?:GENMESH_\w+=\S+ )?(?:genmesh|go run \.) ([a-z][^\n#|>]*)`)
	inlineCode  = regexp.MustCompile("`genmesh ([a-z][^`]*)`")
	quotedValue = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

// TestDocumentedCommandsAreReal looks every command and flag up that a document tells people to type.
func TestDocumentedCommandsAreReal(t *testing.T) {
	root := newRoot(Process{Out: io.Discard, Err: io.Discard, LookupEnv: func(string) (string, bool) { return "", false }})
	root.InitDefaultCompletionCmd()
	looked := 0
	for name, text := range documents(t) {
		var lines []string
		for _, block := range blocks(text, "sh") {
			for _, match := range commandLine.FindAllStringSubmatch(block, -1) {
				lines = append(lines, match[1])
			}
		}
		for _, match := range inlineCode.FindAllStringSubmatch(text, -1) {
			lines = append(lines, match[1])
		}
		for _, line := range lines {
			looked++
			words := strings.Fields(quotedValue.ReplaceAllString(line, "value"))
			cmd, rest, err := root.Find(words)
			if !assert.NoError(t, err, "%s: %s", name, line) {
				continue
			}
			takesArgs := strings.Contains(cmd.Use, " ")
			if cmd.HasSubCommands() && !takesArgs && len(rest) > 0 && !strings.ContainsAny(rest[0], "-|[…") {
				assert.Fail(t, "no such command", "%s: genmesh %s", name, line)
			}
			for _, word := range rest {
				flag, isFlag := strings.CutPrefix(word, "--")
				if flag, _, _ = strings.Cut(flag, "="); isFlag && flag != "" {
					assert.NotNil(t, cmd.Flag(flag), "%s: genmesh %s: --%s", name, line, flag)
				}
			}
		}
	}
	assert.Greater(t, looked, 40)
}

// TestDocumentsLinkToWhatExists follows the links within the repository.
func TestDocumentsLinkToWhatExists(t *testing.T) {
	link := regexp.MustCompile(`\]\((?:\./)?([a-zA-Z0-9_./-]*)(#[a-z0-9-]+)?\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.+)$`)
	for name, text := range documents(t) {
		anchors := map[string]bool{}
		for _, match := range heading.FindAllStringSubmatch(text, -1) {
			anchor := strings.ToLower(regexp.MustCompile(`[^\p{L}\p{N} -]`).ReplaceAllString(match[1], ""))
			anchors["#"+strings.ReplaceAll(anchor, " ", "-")] = true
		}
		folder := "../../docs"
		if name == "README.md" {
			folder = "../.."
		}
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if match[1] != "" {
				assert.FileExists(t, filepath.Join(folder, match[1]), name)
			} else {
				assert.True(t, anchors[match[2]], "%s has no heading %s", name, match[2])
			}
		}
	}
}
