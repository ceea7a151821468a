package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// platforms are those that a release is built for. Which modules are linked depends on the system.
var platforms = []string{"darwin/amd64", "darwin/arm64", "linux/amd64", "linux/arm64", "windows/amd64", "windows/arm64"}

// builds are the build tags under which genmesh is built. Releases are built without any.
var builds = []string{"", "aws", "gcp", "azure"}

// linked is a module of which a genmesh binary holds at least one package.
type linked struct {
	path, version string
	dir           string // in the module cache
	folders       map[string]bool
	tags          []string // the builds that link it; one is "" if releases do
}

// released tells whether the binaries of a release hold it.
func (m *linked) released() bool { return slices.Contains(m.tags, "") }

// listedPackage is what go list tells about a package.
type listedPackage struct {
	Dir      string
	Standard bool
	Module   *listedModule
}

type listedModule struct {
	Path, Version, Dir string
	Main               bool
	Replace            *listedModule
}

// linkedModules looks at every build on every platform. Go's standard library counts as a module "std".
func linkedModules(ctx context.Context) ([]*linked, error) {
	found := map[string]*linked{}
	for _, tags := range builds {
		for _, platform := range platforms {
			packages, err := listPackages(ctx, tags, platform)
			if err != nil {
				return nil, fmt.Errorf("list the packages for %s with tags %q: %w", platform, tags, err)
			}
			for _, p := range packages {
				if p.Standard || p.Module == nil || p.Module.Main {
					continue
				}
				add(found, p, tags)
			}
		}
	}
	std, err := standardLibrary(ctx)
	if err != nil {
		return nil, err
	}
	found[std.path] = std
	modules := make([]*linked, 0, len(found))
	for _, m := range found {
		modules = append(modules, m)
	}
	slices.SortFunc(modules, func(a, b *linked) int { return cmp.Compare(a.path, b.path) })
	return modules, nil
}

func add(found map[string]*linked, p listedPackage, tags string) {
	source := p.Module
	if source.Replace != nil {
		source = source.Replace
	}
	m := found[p.Module.Path]
	if m == nil {
		m = &linked{path: p.Module.Path, version: source.Version, dir: source.Dir, folders: map[string]bool{}}
		found[p.Module.Path] = m
	}
	m.folders[p.Dir] = true
	if !slices.Contains(m.tags, tags) {
		m.tags = append(m.tags, tags)
	}
}

// standardLibrary has one licence at Go's root. Its version is that of the Go that builds, so the table names none.
func standardLibrary(ctx context.Context) (*linked, error) {
	goroot, err := command(ctx, nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	dir := strings.TrimSpace(string(goroot))
	return &linked{path: "std", version: "", dir: dir, folders: map[string]bool{dir: true}, tags: builds}, nil
}

func listPackages(ctx context.Context, tags, platform string) ([]listedPackage, error) {
	system, processor, _ := strings.Cut(platform, "/")
	environment := []string{"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + processor}
	output, err := command(ctx, environment, "go", "list", "-tags", tags, "-deps", "-json=Dir,Standard,Module", ".")
	if err != nil {
		return nil, err
	}
	var packages []listedPackage
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var p listedPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read what go list says: %w", err)
		}
		packages = append(packages, p)
	}
}

// command runs in genmesh's folder.
func command(ctx context.Context, environment []string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), environment...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, problems.Bytes())
	}
	return output, nil
}

// noticeFiles are the names, in capitals and without an ending, of the files that say under which terms a folder's files come.
var noticeFiles = []string{"LICENSE", "LICENCE", "COPYING", "UNLICENSE", "NOTICE"}

// notices are the licence files of a module that count for the packages that are linked: those in their folders and in
// the folders above, up to the module's root. Names are relative to that root.
func (m *linked) notices() ([]string, error) {
	var names []string
	looked := map[string]bool{}
	for folder := range m.folders {
		for within(m.dir, folder) && !looked[folder] {
			looked[folder] = true
			entries, err := os.ReadDir(folder)
			if err != nil {
				return nil, err
			}
			for _, entry := range entries {
				if !entry.Type().IsRegular() || !isNotice(entry.Name()) {
					continue
				}
				name, err := filepath.Rel(m.dir, filepath.Join(folder, entry.Name()))
				if err != nil {
					return nil, err
				}
				names = append(names, filepath.ToSlash(name))
			}
			folder = filepath.Dir(folder)
		}
	}
	slices.Sort(names)
	return names, nil
}

func within(dir, folder string) bool {
	return folder == dir || strings.HasPrefix(folder, dir+string(filepath.Separator))
}

func isNotice(name string) bool {
	if strings.HasSuffix(name, ".go") {
		return false
	}
	upper := strings.ToUpper(name)
	return slices.ContainsFunc(noticeFiles, func(start string) bool {
		rest, ok := strings.CutPrefix(upper, start)
		return ok && (rest == "" || strings.ContainsAny(rest[:1], ".-_"))
	})
}
