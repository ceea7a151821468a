package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/genmesh/genmesh"

func our(name string) string { return module + "/" + name }

// listedPackage is what go list tells about a package of this module.
type listedPackage struct {
	Dir          string
	ImportPath   string
	Name         string
	Imports      []string // without those of its tests
	Deps         []string // the imports, their imports and so on
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
}

// layoutRules are the directions of the imports: ingress → mesh ← workers. Tests may import more.
var layoutRules = []struct {
	of     string
	below  bool // of the packages below it, too
	direct bool // what its imports import is not looked at
	never  []string
	reason string
}{
	{
		of: our("ingress"), below: true, never: []string{our("workers"), our("internal")},
		reason: "events in and events out meet in the mesh alone",
	},
	{
		of: our("workers"), below: true, never: []string{our("ingress"), our("genesys"), our("internal")},
		reason: "what hands events on serves any source",
	},
	{
		of: our("workers"), direct: true, never: []string{"net/http"},
		reason: "how an event travels is the target's affair",
	},
	{
		of: our("mesh"), direct: true, never: []string{"net/http", "github.com/julienschmidt/httprouter"},
		reason: "the mesh knows no HTTP",
	},
	{
		of: our("mesh"), never: []string{module}, reason: "it is what the others share",
	},
	{
		of: our("mesh"), below: true, never: []string{our("genesys"), our("ingress"), our("workers"), our("internal")},
		reason: "it is what the others share",
	},
	{
		of: our("genesys"), never: []string{module}, reason: "it is all that is known of Genesys Cloud, and no more",
	},
	{
		of: our("genesys"), below: true, never: []string{our("mesh"), our("ingress"), our("workers"), our("internal")},
		reason: "it is all that is known of Genesys Cloud, and no more",
	},
	{
		of: our("internal/live"), never: []string{our("internal/admin"), our("internal/processes")},
		reason: "it samples a mesh, whoever looks at that",
	},
	{
		of: our("internal/admin"), never: []string{our("internal/console"), our("internal/cli"), "net/http"}, direct: true,
		reason: "what can be done is the same for the command line, the API and the dashboard",
	},
	{
		of: module, never: []string{"testing", our("mesh/meshtest"), our("workers/targettest"), our("keypair/keypairtest")},
		reason: "what tests use stays out of the binary",
	},
}

func TestImportsFollowTheLayout(t *testing.T) {
	packages := listPackages(t)
	for _, rule := range layoutRules {
		looked := 0
		for _, p := range packages {
			if p.ImportPath != rule.of && (!rule.below || !within(rule.of)(p.ImportPath)) {
				continue
			}
			looked++
			imports := p.Deps
			if rule.direct {
				imports = p.Imports
			}
			for _, never := range rule.never {
				assert.False(t, slices.ContainsFunc(imports, within(never)),
					"%s imports %s, but %s", p.ImportPath, never, rule.reason)
			}
		}
		assert.Positive(t, looked, "there is no package %s", rule.of)
	}
}

func TestOnlyTheEmbeddedServerLinksNATSServer(t *testing.T) {
	for _, p := range listPackages(t) {
		if slices.ContainsFunc(p.Imports, within("github.com/nats-io/nats-server/v2")) {
			assert.Contains(t, []string{our("mesh/embedded"), our("mesh/meshtest")}, p.ImportPath)
		}
	}
}

func TestPackageNamesSaySomething(t *testing.T) {
	empty := []string{"common", "helper", "helpers", "models", "types", "util", "utils"}
	for _, p := range listPackages(t) {
		assert.NotContains(t, empty, p.Name, p.ImportPath)
		assert.NotContains(t, empty, path.Base(p.ImportPath))
	}
}

func TestNothingHappensOnImport(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, file := range slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles) {
			assert.False(t, hasInit(t, filepath.Join(p.Dir, file)), "%s/%s has a func init", p.ImportPath, file)
		}
	}
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-json=Dir,ImportPath,Name,Imports,Deps,GoFiles,TestGoFiles,XTestGoFiles", "./...")
	var problems bytes.Buffer
	list.Stderr = &problems
	output, err := list.Output()
	require.NoError(t, err, problems.String())
	var packages []listedPackage
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var p listedPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		require.NoError(t, err)
		packages = append(packages, p)
	}
}

// within matches the import path of a package and of those below it.
func within(name string) func(importPath string) bool {
	return func(importPath string) bool {
		return importPath == name || strings.HasPrefix(importPath, name+"/")
	}
}

func hasInit(t *testing.T, file string) bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	return slices.ContainsFunc(parsed.Decls, func(d ast.Decl) bool {
		f, ok := d.(*ast.FuncDecl)
		return ok && f.Recv == nil && f.Name.Name == "init"
	})
}
