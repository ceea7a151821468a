package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBrowserSeesNumbersMove(t *testing.T) {
	b := startBrowser(t)
	crm, analytics := newSink(t), newSink(t)
	p := startDev(t, watchedStreams(subscriber("crm", crm), subscriber("analytics", analytics)))
	stop := trickle(t, p)
	watching, acting := b.visitor(p), b.visitor(p)

	watching.open("/")
	watching.stays()
	watching.sees("#live-state", "Live")
	stored := watching.text(".streams .facts dd")
	watching.until("more events in the stream", fmt.Sprintf("document.querySelector('.streams .facts dd').innerText !== %q", stored))
	watching.sees(".sources .rate", "/s")
	watching.sees(".tile-value", "/s", "2 of 2")
	watching.sees(card("crm")+" .rate", "/s")
	watching.sees(card("crm"), "good")

	acting.open("/subscribers/crm")
	acting.fill("main", "Why", "a migration of the CRM")
	acting.press("main", "Pause", "/subscribers/crm")
	acting.sees("#live-subscriber-state", "paused", "a migration of the CRM")
	watching.sees(card("crm"), "paused", "a migration of the CRM")
	watching.sees(card("analytics"), "good")
	due := fmt.Sprintf("Number(document.querySelector(%q).innerText)", card("crm")+" .facts dd")
	watching.until("a lag that grows", due+" >= 20")
	lag := ask[int](watching, due)
	watching.until("a lag that goes on growing", fmt.Sprintf("%s > %d", due, lag))
	taken := crm.tried()
	assert.Never(t, func() bool { return crm.tried() > taken }, 500*time.Millisecond, 50*time.Millisecond, "nobody calls what is paused")

	acting.press("main", "Resume", "/subscribers/crm")
	watching.sees(card("crm"), "good")
	watching.until("no lag", due+" < 10")
	crm.await(t, len(stop()))
	assert.True(t, watching.stayed(), "all of this came by itself")
}

func TestBrowserSeesEachAttempt(t *testing.T) {
	b := startBrowser(t)
	crm := newSink(t)
	crm.answerWith(func(delivery) int {
		if crm.tried() <= 2 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	p := startDev(t, watchedStreams(subscriber("crm", crm)))
	require.Equal(t, http.StatusAccepted, p.send(event("42", 1)).status)
	crm.await(t, 1)
	v := b.visitor(p)
	v.open("/interactions?id=42")
	v.reads(".delivery", "3 attempts") // it is recorded soon after it ended
	assert.Equal(t, []string{"failed 500", "failed 500", "delivered"},
		ask[[]string](v, "[...document.querySelectorAll('.attempts .attempt-outcome')].map((e) => e.innerText)"))
	v.sees(".attempts", "ms")
	assert.Equal(t, 3, ask[int](v, "document.querySelectorAll('.lane-chart .attempt').length"))
}

func TestBrowserKeyboard(t *testing.T) {
	b := startBrowser(t)
	crm := newSink(t)
	p := startDev(t, watchedStreams(subscriber("crm", crm)))
	trickle(t, p)
	v := b.visitor(p)

	v.open("/subscribers/crm")
	v.sees("#live-state", "Live")
	path, at := v.tabs(60), -1
	for _, stop := range []string{
		"Skip to the content", "genmesh", "search", "Find", "Flow", "Dead letters", "pause-for", "pause-reason", "Pause", "Resume",
	} {
		next := indexAfter(path, at, stop)
		require.Greater(t, next, at, "%q comes after the one before in %q", stop, path)
		at = next
	}

	v.open("/subscribers")
	v.do(chromedp.KeyEvent(kb.Tab))
	assert.Equal(t, "Skip to the content", v.focused())
	assert.True(t, ask[bool](v, "document.activeElement.getBoundingClientRect().top >= 0"), "it can be seen")
	v.do(chromedp.KeyEvent(kb.Enter))
	v.until("focus on the content", "document.activeElement.id === 'main'")
	v.do(chromedp.KeyEvent(kb.Tab))
	assert.True(t, ask[bool](v, "document.getElementById('main').contains(document.activeElement)"))
}

func TestBrowserKeepsWhatIsBeingTyped(t *testing.T) {
	b := startBrowser(t)
	crm := newSink(t)
	p := startDev(t, watchedStreams(subscriber("crm", crm)))
	trickle(t, p)
	v := b.visitor(p)
	crm.await(t, 40)
	v.open("/subscribers/crm/replay?plan=on&all=on&rate=1%2Fs")
	v.fill("main", "Why", "a second look")
	v.press("main", "Replay", "/subscribers/crm")

	// The form to cancel it is within a part of the page that is made anew again and again.
	const field = "document.querySelector('#live-subscriber-replays input')"
	v.until("the replay", field)
	v.stays()
	v.do(chromedp.Evaluate[chromedp.Void](field + ".focus()"))
	for i, letter := range []string{"n", "o", "t"} {
		before := v.text("#live-subscriber-state .tiles")
		v.do(chromedp.KeyEvent(letter))
		v.until("new numbers around it", fmt.Sprintf("document.querySelector('#live-subscriber-state .tiles').innerText !== %q", before))
		assert.Equal(t, "not"[:i+1], ask[string](v, "document.activeElement === "+field+" ? document.activeElement.value : 'the focus is lost'"))
	}
	assert.True(t, v.stayed())
	v.do(chromedp.KeyEvent(kb.Enter))
	v.sees(".notice", "was ended")
}

// tabs presses the tab key n times and tells where it led.
func (v *visitor) tabs(n int) []string {
	v.t.Helper()
	v.do(chromedp.Evaluate[chromedp.Void]("void document.activeElement.blur()"))
	var path []string
	for range n {
		v.do(chromedp.KeyEvent(kb.Tab))
		path = append(path, v.focused())
	}
	return path
}

// focused is the id of the field, or the text of the link or button, that has the focus.
func (v *visitor) focused() string {
	v.t.Helper()
	return ask[string](v, `((e) => e.matches("input, select, textarea") ? e.id : e.innerText?.trim() ?? "")(document.activeElement)`)
}

func indexAfter(path []string, at int, stop string) int {
	for i := at + 1; i < len(path); i++ {
		if strings.EqualFold(path[i], stop) || strings.HasPrefix(path[i], stop+"\n") {
			return i
		}
	}
	return -1
}
