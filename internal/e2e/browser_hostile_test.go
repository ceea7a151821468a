package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What an attacker writes into an event, in the hope that a dashboard runs it.
const (
	hostileScript = `<script>alert(1)</script>`
	hostileImage  = `<img src=x onerror=alert(2)>`
	hostileOrder  = "\u202egnp.exe"
	hostileQuote  = `"><svg onload=alert(3)>{{.}}</code></pre>`
	hostileID     = `call-<img src=x onerror=alert(4)>`
	manyBytes     = 200 << 10
)

func TestBrowserFollowsAnInteraction(t *testing.T) {
	b := startBrowser(t)
	crm, analytics := newTalkingSink(t, hostileScript+hostileImage+hostileOrder), newSink(t)
	crm.answerWith(func(d delivery) int {
		if strings.Contains(d.body, "onload") {
			return http.StatusUnprocessableEntity
		}
		return http.StatusOK
	})
	p := startDev(t, watchedStreams(subscriber("crm", crm), subscriber("analytics", analytics)))
	stop := trickle(t, p)
	for n, text := range []string{hostileScript, hostileImage + hostileOrder, hostileQuote, strings.Repeat("<b>long</b>", manyBytes/11)} {
		require.Equal(t, http.StatusAccepted, p.send(hostileEvent(t, n, text)).status)
	}
	analytics.await(t, 4)
	require.Eventually(t, func() bool { return len(p.dead()) == 1 }, patience, lookEvery)
	v := b.visitor(p)

	for _, page := range []string{"/streams", "/", "/audit"} {
		v.open(page)
		v.do(chromedp.Focus(chromedp.CSS("#search")))
		v.insert(hostileID)
		v.do(chromedp.KeyEvent(kb.Enter))
		v.until("the timeline", `location.pathname === "/interactions" && document.readyState === "complete"`)
		v.sees("main .lead", hostileID, "4 events", "1 dead letter")
	}
	v.until("each event with what became of it", `[...document.querySelectorAll(".events > li")].every((e) =>
		["crm", "analytics"].every((s) => e.querySelector(".deliveries").innerText.includes(s))) && document.querySelectorAll(".events > li").length === 4`)
	v.sees(".deliveries", "delivered", "dead")
	v.open(v.where()) // the deliveries are recorded soon after they ended
	v.sees("main", hostileScript, hostileImage, hostileQuote)
	v.harmless()

	dead := fmt.Sprintf("/dead-letters/%d", p.dead()[0].Number)
	for _, page := range []string{
		dead, "/dead-letters", "/dead-letters/list", "/subscribers/crm", "/events?stream=INTERACTIONS", "/events/INTERACTIONS/1",
		"/interactions?id=" + url.QueryEscape(hostileImage), "/nowhere/" + url.PathEscape(hostileScript), "/events?stream=" + url.QueryEscape(hostileQuote),
	} {
		if strings.Contains(page, "nowhere") || strings.Contains(page, "svg") {
			v.forgive(v.base + strings.SplitN(page, "?", 2)[0]) // an answer of 4xx is written to the console
		}
		v.open(page)
		v.harmless()
	}
	v.open(dead)
	v.sees("main", "the target said 422", hostileScript)
	v.harmless()
	stop()
}

// hostileEvent is an event of the hostile interaction with a text wherever Genesys leaves room for one.
func hostileEvent(t *testing.T, n int, text string) string {
	t.Helper()
	var body strings.Builder
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false) // an attacker would not
	require.NoError(t, encoder.Encode(map[string]any{
		"id": fmt.Sprintf("h-%d", n), "timestamp": 1678886400 + n, "eventTypeId": "interaction",
		"data": map[string]any{"id": hostileID, "type": "call", "note": text, text[:min(len(text), 60)]: []string{text[:min(len(text), 60)]}},
	}))
	return body.String()
}

// harmless checks that nothing of what strangers wrote became a part of the page, nor turns around what is around it.
func (v *visitor) harmless() {
	v.t.Helper()
	assert.Equal(v.t, 1, ask[int](v, "document.scripts.length"), "scripts on %s", v.where())
	assert.Zero(v.t, ask[int](v, "document.querySelectorAll('img, iframe, object, embed, b, base, math').length"), "foreign elements on %s", v.where())
	assert.Zero(v.t, ask[int](v, "[...document.querySelectorAll('*')].filter((e) => [...e.attributes].some((a) => a.name.startsWith('on') || a.name === 'style')).length"))
	assert.NotContains(v.t, ask[string](v, "document.body.textContent"), "\u202e", "on %s", v.where())
}
