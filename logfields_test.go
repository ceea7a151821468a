package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What searches logs goes by the names of fields: those of events on their way, in and out, are the ones that the document lists.
func TestLogFieldsAreThoseOfTheDocument(t *testing.T) {
	document, err := os.ReadFile("docs/observability.md")
	require.NoError(t, err)
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (.*?) \|`).FindAllStringSubmatch(string(document), -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			listed[name[1]] = true
		}
	}
	require.NotEmpty(t, listed)
	found := 0
	for _, folder := range []string{"ingress", "mesh", "workers"} {
		require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, field := range logFields(t, path) {
				found++
				assert.True(t, listed[field], "%s logs the field %q, which docs/observability.md does not list", path, field)
			}
			return nil
		}))
	}
	assert.Greater(t, found, 50, "the fields are not found any more")
}

// logFields are the names of the fields that a file logs.
func logFields(t *testing.T, path string) (fields []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.CallExpr:
			if called, ok := n.Fun.(*ast.SelectorExpr); ok && called.Sel.Name == "WithField" {
				fields = append(fields, text(n.Args[0]))
			}
		case *ast.CompositeLit:
			if kind, ok := n.Type.(*ast.SelectorExpr); ok && kind.Sel.Name == "Fields" {
				for _, element := range n.Elts {
					fields = append(fields, text(element.(*ast.KeyValueExpr).Key))
				}
			}
		}
		return true
	})
	return fields
}

// text is a string literal's; what is no literal is no name of a field.
func text(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok {
		return "(not a literal)"
	}
	unquoted, err := strconv.Unquote(literal.Value)
	if err != nil {
		return literal.Value
	}
	return unquoted
}
