package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// allowed are the licences, by SPDX id, that what genmesh links may have. They let a binary be handed on under
// Apache-2.0 with their texts beside it. MPL-2.0 also asks that the module's source can be had: the modules that have
// it are linked unchanged, and the module's path and version say where that is.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0"}

// recognised is the share of a licence file, in percent, that has to be the words of licences that are known. The rest
// is copyright lines and the like.
const recognised = 75

// licensedModule is a module with what its licence files say.
type licensedModule struct {
	*linked
	files []string // relative to the module's folder
	ids   []string // SPDX ids, sorted
}

// licensedModules fails on a module without a licence, with an unknown one or with one that is not allowed. It names all of them.
func licensedModules(ctx context.Context) ([]licensedModule, error) {
	modules, err := linkedModules(ctx)
	if err != nil {
		return nil, err
	}
	var licensed []licensedModule
	var refused []error
	for _, m := range modules {
		l, err := license(m)
		if err != nil {
			refused = append(refused, fmt.Errorf("%s %s: %w", m.path, m.version, err))
		}
		licensed = append(licensed, l)
	}
	return licensed, errors.Join(refused...)
}

func license(m *linked) (licensedModule, error) {
	l := licensedModule{linked: m}
	files, err := m.notices()
	if err != nil {
		return l, err
	}
	l.files = files
	for _, name := range files {
		if strings.HasPrefix(strings.ToUpper(path.Base(name)), "NOTICE") {
			continue // it goes with a licence, and is none
		}
		text, err := os.ReadFile(filepath.Join(m.dir, filepath.FromSlash(name)))
		if err != nil {
			return l, err
		}
		ids, err := judge(text)
		if err != nil {
			return l, fmt.Errorf("%s: %w", name, err)
		}
		l.ids = append(l.ids, ids...)
	}
	if len(l.ids) == 0 {
		return l, errors.New("it has no licence")
	}
	slices.Sort(l.ids)
	l.ids = slices.Compact(l.ids)
	return l, nil
}

// judge returns the licences of a text, which may be several, and an error if one is unknown or not allowed.
func judge(text []byte) ([]string, error) {
	coverage := licensecheck.Scan(text)
	if coverage.Percent < recognised {
		return nil, fmt.Errorf("only %.0f %% of it are words of a known licence", coverage.Percent)
	}
	var ids []string
	for _, match := range coverage.Match {
		if !slices.Contains(allowed, match.ID) {
			return nil, fmt.Errorf("%s is not allowed", match.ID)
		}
		ids = append(ids, match.ID)
	}
	return ids, nil
}

// expression is the SPDX expression: where there are several licences, each is for a part, so all of them hold.
func (l licensedModule) expression() string { return strings.Join(l.ids, " AND ") }

const tableHead = `# What genmesh is built from

The modules whose code is in a genmesh binary, on any of the systems that releases are built for, and their licences.
Generated: ` + "`bash .ci/run licences`" + ` checks it, and ` + "`task licences`" + ` writes it anew. The texts of the licences are in the archive of each
release. ` + "`std`" + ` is Go's standard library, in the version of the Go that built the binary. Modules under MPL-2.0 are linked unchanged; their
source is what the Go tool downloads for path and version.
`

// printLicences prints THIRD_PARTY.md.
func printLicences(ctx context.Context, out io.Writer) error {
	modules, err := licensedModules(ctx)
	if err != nil {
		return err
	}
	var table strings.Builder
	table.WriteString(tableHead)
	table.WriteString("\n## In every binary\n\n| module | version | licence |\n|---|---|---|\n")
	for _, m := range modules {
		if m.released() {
			fmt.Fprintf(&table, "| %s | %s | %s |\n", m.path, m.version, m.expression())
		}
	}
	table.WriteString("\n## Only with a build tag\n\nReleases are built without these.\n\n| module | version | licence | tags |\n|---|---|---|---|\n")
	for _, m := range modules {
		if !m.released() {
			fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", m.path, m.version, m.expression(), strings.Join(m.tags, ", "))
		}
	}
	_, err = io.WriteString(out, table.String())
	return err
}

// printTexts prints the licences and notices of what releases link, as they are.
func printTexts(ctx context.Context, out io.Writer) error {
	modules, err := licensedModules(ctx)
	if err != nil {
		return err
	}
	for _, m := range modules {
		if !m.released() {
			continue
		}
		for _, name := range m.files {
			text, err := os.ReadFile(filepath.Join(m.dir, filepath.FromSlash(name)))
			if err != nil {
				return err
			}
			title := strings.Join(strings.Fields(m.path+" "+m.version+" "+name), " ")
			if _, err := fmt.Fprintf(out, "%s\n%s\n\n%s\n\n", title, strings.Repeat("=", len(title)), strings.TrimSpace(string(text))); err != nil {
				return err
			}
		}
	}
	return nil
}
