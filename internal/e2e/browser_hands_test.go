package e2e

import (
	"context"
	"fmt"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"
)

// What a person does with a page: point at what can be seen, and type.

// finding is a function that finds what somebody would take for the link, button or fold with a text: the first within the
// elements of a selector that can be seen, the whole text before a part of it.
const finding = `(within, text) => {
	const plain = (e) => e.textContent.trim().replace(/\s+/g, " ");
	const all = [...document.querySelectorAll(within)].flatMap((e) => [...e.querySelectorAll("a, button, summary")])
		.filter((e) => e.checkVisibility());
	return all.find((e) => plain(e) === text) ?? all.find((e) => plain(e).includes(text));
}`

// pointing brings an element into view and says where to click it: nowhere if something else lies over it.
const pointing = `((e) => {
	if (!e) return null;
	e.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
	const box = [...e.getClientRects()].find((r) => r.width > 0 && r.height > 0);
	if (!box) return null;
	const x = box.left + box.width / 2, y = box.top + box.height / 2;
	return e.contains(document.elementFromPoint(x, y)) ? { x, y } : null;
})`

func found(within, text string) string { return fmt.Sprintf("(%s)(%q, %q)", finding, within, text) }

// follow clicks a link and waits for the page at a path. What moved away under the pointer is clicked again.
func (v *visitor) follow(within, text, path string) {
	v.t.Helper()
	v.until(fmt.Sprintf("%q in %s", text, within), found(within, text))
	v.leave()
	for range 5 {
		v.click(found(within, text))
		if v.within(4*time.Second, arrived(path)) {
			return
		}
	}
	require.Fail(v.t, "the link leads elsewhere", "%q leads to %s instead of %s", text, v.where(), path)
}

// click presses the mouse button over an element.
func (v *visitor) click(element string) {
	v.t.Helper()
	type point struct{ X, Y float64 }
	at, err := tryAsk[*point](v, pointing+"("+element+")")
	if err == nil && at != nil {
		v.do(chromedp.MouseClickXY(at.X, at.Y))
	}
}

// press activates a button by the keyboard, so that nothing can move away from under it, and waits for the page at a path.
func (v *visitor) press(within, text, path string) {
	v.t.Helper()
	button := found(within, text)
	v.until(fmt.Sprintf("the button %q in %s", text, within), button)
	v.leave()
	v.do(chromedp.Evaluate[chromedp.Void](button+".focus()"), chromedp.KeyEvent(kb.Enter))
	v.until("the page "+path+" after "+text, arrived(path))
}

// confirm says why, does what the page asks about, and waits for the task that does it.
func (v *visitor) confirm(action, why string) {
	v.t.Helper()
	v.fill("form[aria-label=Confirm]", "Why", why)
	v.press("form[aria-label=Confirm]", action, "/tasks/")
}

// leave marks the document, so that arrived can tell it from the next one, which may have the same address.
func (v *visitor) leave() {
	v.t.Helper()
	v.do(chromedp.Evaluate[chromedp.Void]("void (window.left = true)"))
}

// arrived is the expression for: another document is open, and its address begins with a path.
func arrived(path string) string {
	return fmt.Sprintf("!window.left && document.readyState === 'complete' && (location.pathname + location.search).startsWith(%q)", path)
}

// fill types into the field with a label.
func (v *visitor) fill(within, label, text string) {
	v.t.Helper()
	field := fmt.Sprintf(`[...document.querySelectorAll(%q)].flatMap((e) => [...e.querySelectorAll("label")])
		.find((l) => l.textContent.trim() === %q)?.control`, within, label)
	v.until("the field "+label, field)
	v.do(chromedp.Evaluate[chromedp.Void]("(" + field + ").focus()"))
	v.insert(text)
	v.until("what was typed", fmt.Sprintf("(%s).value.endsWith(%q)", field, text))
}

// insert types a text where the focus is, all of it at once.
func (v *visitor) insert(text string) {
	v.t.Helper()
	v.do(func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return chromedp.Void{}, err
	})
}

// stays marks the document, so that stayed can tell whether it was loaded anew.
func (v *visitor) stays() {
	v.t.Helper()
	v.do(chromedp.Evaluate[chromedp.Void]("void (window.stayed = true)"))
}

func (v *visitor) stayed() bool {
	v.t.Helper()
	return ask[bool](v, "window.stayed === true")
}

// card is the selector of a subscriber's card on Flow.
func card(subscriber string) string {
	return fmt.Sprintf(".subscribers [data-key=%q]", "/subscribers/"+subscriber)
}
