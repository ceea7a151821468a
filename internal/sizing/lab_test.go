//go:build sizing

package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/shipped"
)

// figuresFile is the document whose figures a run renews.
var figuresFile = flag.String("figures", "", "renew the figures in this `FILE`, docs/SIZING.md")

const document = "../../docs/SIZING.md"

// programs is where the programs under test are.
var programs string

// TestMain builds the programs under test, as they ship.
func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(runWithPrograms(m))
}

func runWithPrograms(m *testing.M) int {
	folder, err := os.MkdirTemp("", "genmesh-sizing-")
	if err == nil {
		defer os.RemoveAll(folder)
		programs = folder
		err = shipped.Build(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "what is to be measured can't be built:", err)
		return 1
	}
	code := m.Run()
	if code == 0 && *figuresFile != "" {
		if err := renewFigures(*figuresFile); err != nil {
			fmt.Fprintln(os.Stderr, "the figures can't be renewed:", err)
			return 1
		}
	}
	return code
}

func program(name string) string { return filepath.Join(programs, name) }

// figures are what the tests of this run measured: costs, and the lines of each place of the document.
var figures = struct {
	mu    sync.Mutex
	costs costs
	of    map[string][]string
}{costs: costs{}, of: map[string][]string{}}

// measured notes a cost.
func measured(t testing.TB, name cost, value float64) {
	t.Helper()
	t.Logf("%s: %s", name, short(value))
	require.Positive(t, value, "%s can't be", name)
	figures.mu.Lock()
	defer figures.mu.Unlock()
	figures.costs[name] = value
}

// tabulate notes the table of a place.
func tabulate(t testing.TB, place string, lines ...string) {
	t.Helper()
	t.Logf("%s:\n%s", place, strings.Join(lines, "\n"))
	figures.mu.Lock()
	defer figures.mu.Unlock()
	figures.of[place] = lines
}

// known are the costs that this run has measured, and for the others those of the document.
func known(t testing.TB) costs {
	t.Helper()
	figures.mu.Lock()
	defer figures.mu.Unlock()
	if len(figures.costs.missing()) == 0 {
		return maps.Clone(figures.costs)
	}
	all, err := readCosts(document)
	require.NoError(t, err, "this test needs costs that others measure")
	maps.Copy(all, figures.costs)
	return all
}

// renewFigures puts what was measured, and what follows from it, into a document.
func renewFigures(file string) error {
	all, err := readKnown(file)
	if err != nil {
		return err
	}
	maps.Copy(all, figures.costs)
	if missing := all.missing(); len(missing) > 0 {
		return fmt.Errorf("nobody has measured %v yet: run all tests once", missing)
	}
	figures.of["costs"] = all.table()
	all = all.asWritten()
	figures.of["size"] = all.sizes()
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(raw)
	for name, lines := range figures.of {
		if text, err = replaced(text, name, lines); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	stamp := regexp.MustCompile(`(?m)^Figures of .*$`)
	text = stamp.ReplaceAllString(text, fmt.Sprintf("Figures of %s, %s on %s/%s, %d processors.",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU()))
	return os.WriteFile(file, []byte(text), 0o644)
}

// replaced puts lines into a place of a document.
func replaced(document, name string, lines []string) (string, error) {
	place := placeOf(name)
	if len(place.FindAllString(document, -1)) != 1 {
		return "", fmt.Errorf("there is not one place for the figures of %s", name)
	}
	return place.ReplaceAllStringFunc(document, func(old string) string {
		marks := place.FindStringSubmatch(old)
		return marks[1] + strings.Join(lines, "\n") + "\n" + marks[2]
	}), nil
}

// asWritten are the costs as a reader of the document knows them.
func (c costs) asWritten() costs {
	rounded := costs{}
	for name, value := range c {
		rounded[name], _ = strconv.ParseFloat(short(value), 64) // short has just written it
	}
	return rounded
}
