//go:build fault

package fault

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// figuresFile is the document whose figures a run renews.
var figuresFile = flag.String("figures", "", "renew the figures in this `FILE`, docs/PROMISES.md")

// figures are what the tests of this run measured, by promise.
var figures struct {
	mu sync.Mutex
	of map[string][]string
}

// figure tells what a test measured for a promise.
func figure(t testing.TB, promise, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	t.Logf("%s: %s", promise, text)
	figures.mu.Lock()
	defer figures.mu.Unlock()
	if figures.of == nil {
		figures.of = map[string][]string{}
	}
	figures.of[promise] = append(figures.of[promise], text)
}

// renewFigures puts what was measured into a document: the lines between figures:P1 and end of each promise that has new ones.
func renewFigures(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	document := string(raw)
	figures.mu.Lock()
	defer figures.mu.Unlock()
	for promise, lines := range figures.of {
		block := regexp.MustCompile(`(?s)(<!-- figures:` + promise + ` -->\n).*?(<!-- end -->)`)
		if !block.MatchString(document) {
			return fmt.Errorf("%s has no place for the figures of %s", file, promise)
		}
		// No expansion: a figure may hold what looks like one.
		document = block.ReplaceAllStringFunc(document, func(old string) string {
			parts := block.FindStringSubmatch(old)
			return parts[1] + "- " + strings.Join(lines, "\n- ") + "\n" + parts[2]
		})
	}
	form := "whole"
	if testing.Short() {
		form = "short"
	}
	stamp := regexp.MustCompile(`(?m)^Figures of .*$`)
	document = stamp.ReplaceAllString(document, fmt.Sprintf("Figures of %s, of a %s run, %s on %s/%s, %d processors.",
		time.Now().UTC().Format(time.DateOnly), form, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU()))
	return os.WriteFile(file, []byte(document), 0o644)
}
