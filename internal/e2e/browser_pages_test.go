package e2e

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	// axeVariable names an axe.min.js of axe-core, by which the pages are checked against WCAG.
	axeVariable = "GENMESH_AXE"
	// screenshotsVariable names a folder for pictures of all pages.
	screenshotsVariable = "GENMESH_SCREENSHOTS"
)

// look is how somebody looks at a page: how wide it is, and in which colours.
type look struct {
	width  int64
	scheme string
}

// looks are a phone, a tablet and a desk, by day and by night.
func looks() (all []look) {
	for _, width := range []int64{375, 768, 1440} {
		all = append(all, look{width, "light"}, look{width, "dark"})
	}
	return all
}

func TestBrowserPagesAreAccessible(t *testing.T) {
	axe := ""
	if name := os.Getenv(axeVariable); name != "" {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		axe = string(text)
	} else {
		t.Logf("The pages are not checked with axe-core: %s names no axe.min.js.", axeVariable)
	}
	b := startBrowser(t)
	v := b.visitor(busyMesh(t))
	v.forgive("404")
	if axe != "" { // it needs eval and styles of its own, which the policy forbids to all
		v.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, t, cdppage.SetBypassCSP, cdppage.SetBypassCSPParams{Enabled: true})
			return chromedp.Void{}, err
		})
	}
	for _, path := range v.pages() {
		v.look(looks()[0])
		v.open(path)
		assert.Equal(t, 1, ask[int](v, "document.querySelectorAll('h1').length"), "headings of %s", path)
		if axe != "" {
			v.do(chromedp.Evaluate[chromedp.Void](axe + "; undefined"))
		}
		for _, look := range looks() {
			v.look(look)
			where := fmt.Sprintf("%s at %d px, %s", path, look.width, look.scheme)
			assert.Empty(t, ask[string](v, overflow), "%s has to be scrolled sideways", where)
			if axe != "" {
				assert.Empty(t, v.violations(), where)
			}
			v.picture(path, look)
		}
	}
}

// overflow tells what of a page sticks out on the right; "" if nothing does.
const overflow = `(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth ? "" : scrollWidth + " > " + clientWidth + ": " +
	[...document.querySelectorAll("main *, header *, nav *")].filter((e) => e.getBoundingClientRect().right > clientWidth + 1).slice(0, 4)
		.map((e) => e.outerHTML.slice(0, 120)).join("; "))(document.documentElement)`

// busyMesh has something on each page: subscribers that are well, failing and paused, dead letters, quarantine, tasks, an audit.
func busyMesh(t *testing.T) *process {
	t.Helper()
	crm, analytics, compliance := newTalkingSink(t, "no such customer in the region eu-central-1, and none of that name anywhere else"), newSink(t), newSink(t)
	crm.answerWith(always(http.StatusUnprocessableEntity))
	p := startDev(t, watchedStreams(subscriber("crm", crm), subscriber("analytics", analytics), subscriber("compliance", compliance)))
	trickle(t, p)
	for _, body := range []string{`{"id": "torn`, `[]`, `{"id":"e-1","eventTypeId":"interaction","data":{"type":"call"}}`} {
		require.Equal(t, http.StatusAccepted, p.send(body).status)
	}
	require.Eventually(t, func() bool { return p.stored("DEAD_LETTERS") > 10 }, patience, lookEvery)
	return p
}

// pages does what leaves traces, and lists an address of every page that there is.
func (v *visitor) pages() []string {
	v.t.Helper()
	v.open("/subscribers/compliance")
	v.fill("main", "Why", "an audit of their own")
	v.press("main", "Pause", "/subscribers/compliance")
	v.open("/subscribers/analytics/replay?plan=on&all=on&rate=1%2Fs")
	v.fill("main", "Why", "a new model")
	v.press("main", "Replay", "/subscribers/analytics")
	v.open("/dead-letters/confirm?action=replay&number=1&number=2")
	v.confirm("Replay", "to try two")
	v.sees(".result", "2 of 2 done")
	task := v.where()
	v.open("/configuration")
	assert.NotContains(v.t, v.text(".code"), `\t`, "space is shown as space")
	v.open("/")
	v.sees(card("crm"), "failing")
	return []string{
		"/", "/subscribers", "/subscribers/crm", "/subscribers/analytics", "/subscribers/compliance", "/subscribers/crm/replay?plan=on&all=on",
		"/dead-letters", "/dead-letters/list", "/dead-letters/3", "/dead-letters/confirm?action=replay&number=3&number=4",
		"/dead-letters/confirm?action=discard&subscriber=crm",
		"/quarantine", "/quarantine/list", "/quarantine/1", "/quarantine/confirm?action=release&number=1",
		"/interactions", "/interactions?id=call-0", "/interactions?id=nobody", "/interactions/erase?id=call-0",
		"/events", "/events/INTERACTIONS/1", "/streams", "/configuration", "/configuration/apply", "/audit", "/processes", "/tasks", task,
		"/no/such/page",
	}
}

// look makes the tab look so.
func (v *visitor) look(as look) {
	v.t.Helper()
	v.do(chromedp.EmulateViewport(as.width, 900), func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: as.scheme}},
		})
		return chromedp.Void{}, err
	})
}

// violations are what axe-core finds wrong, one line each.
func (v *visitor) violations() []string {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, stepTimeout)
	defer cancel()
	type findings struct {
		Passed int
		Wrong  []string
	}
	found, err := chromedp.Run(ctx, chromedp.Evaluate[findings](`axe.run(document).then((r) => ({
		passed: r.passes.length,
		wrong: r.violations.map((x) => x.id + ": " + x.help + ": " +
			x.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + " " + (n.any[0]?.message ?? "")).join(" | ")),
	}))`, chromedp.EvalAwaitPromise))
	require.NoError(v.t, err)
	require.Greater(v.t, found.Passed, 10, "axe-core looked at the page")
	return found.Wrong
}

// picture checks that something is drawn, and keeps it where somebody wants to look at it.
func (v *visitor) picture(path string, as look) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, stepTimeout)
	defer cancel()
	shot, folder := chromedp.CaptureScreenshot(), os.Getenv(screenshotsVariable)
	if folder != "" {
		shot = chromedp.FullScreenshot(100)
	}
	data, err := chromedp.Run(ctx, shot)
	require.NoError(v.t, err)
	drawn, err := png.Decode(bytes.NewReader(data))
	require.NoError(v.t, err)
	assert.Greater(v.t, colours(drawn), 10, "%s at %d px, %s, is blank", path, as.width, as.scheme)
	if folder != "" {
		require.NoError(v.t, os.MkdirAll(folder, 0o750))
		name := fmt.Sprintf("%s-%d-%s.png", regexp.MustCompile(`[^a-zA-Z0-9]+`).ReplaceAllString(path, "-"), as.width, as.scheme)
		require.NoError(v.t, os.WriteFile(filepath.Join(folder, name), data, 0o600))
	}
}

// colours counts the colours of a picture, in a grid of its points.
func colours(of image.Image) int {
	seen := map[[3]uint32]bool{}
	bounds := of.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y += 2 {
		for x := bounds.Min.X; x < bounds.Max.X; x += 2 {
			r, g, b, _ := of.At(x, y).RGBA()
			seen[[3]uint32{r, g, b}] = true
		}
	}
	return len(seen)
}
