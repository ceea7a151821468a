package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/internal/console/access"
)

// passwords of the people who may use the console.
const (
	viewerPassword   = "seven grey herons"
	operatorPassword = "nine brown otters"
)

// accessFile writes who may use the console.
func accessFile(t *testing.T) string {
	t.Helper()
	var users []access.User
	for _, who := range []struct {
		name     string
		role     access.Role
		password string
	}{{"vera", access.Viewer, viewerPassword}, {"otto", access.Operator, operatorPassword}} {
		user, err := access.NewUser(who.name, who.role, who.password)
		require.NoError(t, err)
		users = append(users, user)
	}
	text, err := json.Marshal(map[string]any{"users": users})
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "access.json")
	require.NoError(t, os.WriteFile(name, text, 0o600))
	return name
}

func TestBrowserSignsIn(t *testing.T) {
	b := startBrowser(t)
	crm := newSink(t)
	config := []byte(strings.Replace(string(watchedStreams(subscriber("crm", crm))), `"preset": "genesys",`, `"preset": "genesys", "sensitive": true,`, 1))
	file := accessFile(t)
	p := startDevWith(t, config, nil, func(c *app.Config) { c.Console.AccessFile = file })
	require.Equal(t, http.StatusAccepted, p.send(event("42", 1)).status)
	crm.await(t, 1)
	v := b.visitor(p)

	v.open("/subscribers/crm")
	require.Contains(t, v.where(), "/login")
	v.forgive("401")
	v.signIn("vera", "not her password")
	v.sees("[role=alert]", "The name or the password is wrong.")
	v.signIn("vera", viewerPassword)
	v.until("the page that was asked for", `location.pathname === "/subscribers/crm"`)
	v.sees(".who", "vera", "viewer")
	assert.Zero(t, ask[int](v, "document.querySelectorAll('main form').length"), "a viewer can't change anything")
	v.open("/events/INTERACTIONS/1")
	v.sees("main", "is hidden: its source is sensitive")
	assert.NotContains(t, v.text("main"), "e-42-1\"")
	assert.NotContains(t, ask[string](v, "document.documentElement.outerHTML"), "1678886401", "nothing of the body is there")
	v.press(".side-foot", "Sign out", "/login")

	v.signIn("otto", operatorPassword)
	v.sees(".who", "otto", "operator")
	v.open("/events/INTERACTIONS/1")
	v.sees("main", `"type": "call"`)
	v.open("/subscribers/crm")
	v.fill("main", "Why", "he was asked to")
	v.press("main", "Pause", "/subscribers/crm")
	v.sees("#live-subscriber-state", "paused", "by otto", "he was asked to")
	v.press(".side-foot", "Sign out", "/login")
	v.open("/subscribers/crm")
	require.Contains(t, v.where(), "/login", "he is out")
}

// signIn fills the form of the page to sign in.
func (v *visitor) signIn(name, password string) {
	v.t.Helper()
	v.do(chromedp.Evaluate[chromedp.Void]("void document.querySelectorAll('input:not([type=hidden])').forEach((e) => e.value = '')"))
	v.fill("form", "Name", name)
	v.fill("form", "Password", password)
	v.press("form", "Sign in", "/")
}

func TestBrowserWithoutScript(t *testing.T) {
	b := startBrowser(t)
	crm := newTalkingSink(t, "no such customer")
	crm.answerWith(always(http.StatusUnprocessableEntity))
	p := startDev(t, watchedStreams(subscriber("crm", crm)))
	bodies := []string{event("42", 1), event("42", 2), event("43", 1)}
	for _, body := range bodies {
		require.Equal(t, http.StatusAccepted, p.send(body).status)
	}
	require.Eventually(t, func() bool { return len(p.dead()) == len(bodies) }, patience, lookEvery)
	crm.answerWith(always(http.StatusOK))
	v := b.visitor(p)
	v.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return chromedp.Void{}, err
	})

	v.open("/")
	v.sees(".top-state", "Reload for new numbers")
	assert.False(t, ask[bool](v, "document.documentElement.classList.contains('js')"), "no script ran")
	v.sees(".nav", "3 dead letters")
	v.follow(".nav", "Dead letters", "/dead-letters")
	v.follow(".groups", "Look at them", "/dead-letters/list")
	v.do(chromedp.Click(chromedp.CSS("input[name=number][value='1']")))
	v.press("main form", "Replay the selected…", "/dead-letters/confirm")
	v.sees("main h2", "Exactly 1 dead letter")
	v.confirm("Replay", "to try one")
	v.reads(".result", "1 of 1 done")
	crm.await(t, 1)

	v.follow(".nav", "Dead letters", "/dead-letters")
	v.follow(".groups", "Replay…", "/dead-letters/confirm")
	v.confirm("Replay", "and the others")
	v.reads(".result", "2 of 2 done")
	crm.await(t, len(bodies))
	for _, body := range bodies {
		assert.Equal(t, 1, crm.bodies()[body])
	}
}

// reads loads the page again until an element shows the text, as somebody without script does.
func (v *visitor) reads(selector, text string) {
	v.t.Helper()
	for range 20 {
		if v.within(lookEvery, shows(selector, text)) {
			return
		}
		v.do(chromedp.Reload())
	}
	require.Fail(v.t, "waited in vain", "%q in %s: %s", text, selector, v.text("body"))
}
