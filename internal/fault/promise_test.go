package fault_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEachPromiseHasItsProof: docs/PROMISES.md promises nothing that no test would find wrong.
func TestEachPromiseHasItsProof(t *testing.T) {
	raw, err := os.ReadFile("../../docs/PROMISES.md")
	require.NoError(t, err)
	sections := regexp.MustCompile(`(?m)^## `).Split(string(raw), -1)[1:]
	require.Len(t, sections, 12)
	for i, section := range sections {
		title, text, _ := strings.Cut(section, "\n")
		name := regexp.MustCompile(`^P(\d+)\. `).FindStringSubmatch(title)
		require.NotNil(t, name, title)
		assert.Equal(t, strconv.Itoa(i+1), name[1], "in order")
		for _, part := range []string{"- **Limits:** ", "- **Proof:** "} {
			assert.Equal(t, 1, strings.Count(text, part), "%s: %s", title, part)
		}
		_, proof, _ := strings.Cut(text, "- **Proof:** ")
		assert.NotZero(t, assertExists(t, title, proof), "%s names no test", title)
		if strings.Contains(proof, "`internal/fault`") {
			assert.Equal(t, 1, strings.Count(text, "<!-- figures:P"+name[1]+" -->\n"), "%s has no place for figures", title)
		}
	}
}

// assertExists looks for each test that a text names, in the package that is named before it, and counts them.
func assertExists(t *testing.T, title, proof string) int {
	t.Helper()
	named, folder := 0, ""
	for _, quoted := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(proof, -1) {
		what := quoted[1]
		switch {
		case regexp.MustCompile(`^(Test|Fuzz)`).MatchString(what):
			require.NotEmpty(t, folder, "%s: in which package is %s?", title, what)
			assert.True(t, isDeclared(t, folder, what), "%s: there is no %s in %s", title, what, folder)
			named++
		case strings.HasSuffix(what, "_test.go"):
			assert.FileExists(t, filepath.Join("../..", folder, what), title)
			named++
		default:
			assert.DirExists(t, filepath.Join("../..", what), title)
			folder = what
		}
	}
	return named
}

func isDeclared(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	require.NoError(t, err)
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.Contains(string(source), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

// TestTheFaultTestsCompile: who changes what they use and runs go test ./... shall hear of it.
func TestTheFaultTestsCompile(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "vet", "-tags", "fault", ".").CombinedOutput()
	require.NoError(t, err, string(out))
}
