package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// browserVariable names the browser to test with, where it is none of those that are looked for.
const browserVariable = "GENMESH_BROWSER"

// The bounds of a visitor's patience: stepTimeout of one answer of the browser, patience of what has to come up on a page.
const (
	stepTimeout = 20 * time.Second
	patience    = 30 * time.Second
	lookEvery   = 40 * time.Millisecond
)

// browser is a headless Chromium, for as long as a test lasts.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// startBrowser starts a browser, or skips the test where there is none.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(findBrowser(t)), chromedp.WindowSize(1280, 900))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	// The browser has to end after the test has looked at what went wrong in it, so t.Context is nothing for it.
	allocator, free := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(free)
	ctx, quit := chromedp.NewContext(allocator)
	t.Cleanup(quit)
	require.NoError(t, chromedp.Do(ctx), "start the browser")
	return &browser{t: t, ctx: ctx}
}

func findBrowser(t *testing.T) string {
	t.Helper()
	names := []string{os.Getenv(browserVariable), "chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Skipf("There is no browser to test the dashboard with: install Chromium, or name one in %s.", browserVariable)
	return ""
}

// visitor is somebody with a tab and cookies of their own. Whatever goes wrong in the tab fails the test.
type visitor struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu      sync.Mutex
	trouble []string
	// forgiven are parts of messages that the test brings about itself.
	forgiven []string
}

// visitor opens a tab on a console.
func (b *browser) visitor(p *process) *visitor {
	b.t.Helper()
	v := &visitor{t: b.t, base: "http://" + p.addr.Console}
	ctx, leave := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(v.note))
	v.ctx = ctx
	b.t.Cleanup(func() {
		leave()
		v.mu.Lock()
		defer v.mu.Unlock()
		assert.Empty(b.t, v.trouble, "what the browser complained of")
	})
	require.NoError(b.t, chromedp.Do(ctx), "open a tab")
	return v
}

// note keeps what should never happen: dialogs, exceptions, errors of the console, and what a policy had to forbid.
func (v *visitor) note(event any) {
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		v.complain("a dialog opened: " + e.Message)
	case *runtime.EventExceptionThrown:
		v.complain("an exception: " + e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "assert" {
			v.complain(fmt.Sprintf("console.%s was called", e.Type))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Source == "security" {
			v.complain(fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

func (v *visitor) complain(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, part := range v.forgiven {
		if strings.Contains(text, part) {
			return
		}
	}
	v.trouble = append(v.trouble, text)
}

// forgive expects messages with a text from now on.
func (v *visitor) forgive(part string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forgiven = append(v.forgiven, part)
}

// do takes steps in the tab.
func (v *visitor) do(steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, stepTimeout)
	defer cancel()
	require.NoError(v.t, chromedp.Do(ctx, steps...), "on %s", v.base)
}

// open goes to a page of the console.
func (v *visitor) open(path string) {
	v.t.Helper()
	v.do(chromedp.Navigate(v.base + path))
}

// ask evaluates an expression in the tab.
func ask[T any](v *visitor, expression string) T {
	v.t.Helper()
	answer, err := tryAsk[T](v, expression)
	require.NoError(v.t, err, "%s", expression)
	return answer
}

func tryAsk[T any](v *visitor, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(v.ctx, stepTimeout)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression))
}

// until waits for an expression to become true. While one page gives way to another there is nobody to answer.
func (v *visitor) until(what, expression string) {
	v.t.Helper()
	if !v.within(patience, expression) {
		require.Fail(v.t, "waited in vain for "+what, "%s shows:\n%s", v.where(), v.text("body"))
	}
}

func (v *visitor) within(length time.Duration, expression string) bool {
	deadline := time.Now().Add(length)
	for {
		if ok, err := tryAsk[bool](v, "!!("+expression+")"); ok && err == nil {
			return true
		}
		if time.Now().After(deadline) || v.ctx.Err() != nil {
			return false
		}
		<-time.After(lookEvery)
	}
}

// where is the path and query of the page that is open.
func (v *visitor) where() string {
	v.t.Helper()
	return ask[string](v, "location.pathname + location.search")
}

// text is what can be read in the first element that a CSS selector chooses; "" if there is none.
func (v *visitor) text(selector string) string {
	v.t.Helper()
	return ask[string](v, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// sees waits until an element shows all of the texts.
func (v *visitor) sees(selector string, texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		v.until(fmt.Sprintf("%q in %s", text, selector), shows(selector, text))
	}
}

// shows is the expression for: one of the elements that the selector chooses can be seen and has the text, in letters of any case and
// with any space between its words.
func shows(selector, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(%q)].some((e) => e.checkVisibility() &&
		e.innerText.replace(/\s+/g, " ").toLowerCase().includes(%q))`, selector, strings.ToLower(text))
}
