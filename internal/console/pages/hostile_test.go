package pages

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"golang.org/x/net/html"
)

// hostile are words that somebody may send who wants to be more than text.
func hostile() map[string]string {
	return map[string]string{
		"a script":             `<script>alert(1)</script>`,
		"the end of a value":   `"><script>alert(1)</script>`,
		"an event handler":     `" onmouseover="alert(1)" x="`,
		"a quote of each kind": "' onfocus='alert(1)' autofocus=' ` \" &quot;",
		"an address":           `javascript:alert(1)`,
		"an image":             `<img src=x onerror=alert(1)>`,
		"the end of a comment": `--></title></textarea></script></pre></svg><svg onload=alert(1)>`,
		"another direction":    "user\u202egnp.exe\u2066 \u2069",
		"control characters":   "a\x00b\x1b[31mred\x07\r\nSet-Cookie: x=1",
		"no UTF-8":             "\xff\xfe<b>",
		"a template":           `{{.Options}} ${alert(1)} {{template "layout"}}`,
		"a style":              `<style>*{display:none}</style></style>`,
		"long":                 strings.Repeat("<b>x", 5000),
		"nothing":              "",
	}
}

func TestWordsFromOutsideStayWords(t *testing.T) {
	for name, word := range hostile() {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			s.word, s.body = word, []byte(word)
			d := open(t, s)
			d.post(manager, "/dead-letters/act", "action", "replay", "number", "7", "reason", "x")
			for _, address := range addresses() {
				w := d.get(manager, address)
				if strings.HasPrefix(address, "/tasks/t") && w.Code == http.StatusNotFound {
					continue
				}
				assert.Equal(t, http.StatusOK, w.Code, address)
				checkHTML(t, address, w.Body.Bytes())
				checkVisible(t, address, w.Body.String())
			}
		})
	}
}

// checkVisible finds what a reader could not see, or would see somewhere else than it is.
func checkVisible(t *testing.T, address, body string) {
	t.Helper()
	for n := range parsedPage(t, []byte(body)).Descendants() {
		if n.Type == html.ElementNode && n.Data == "b" {
			t.Errorf("%s: a word became an element", address)
		}
		if n.Type != html.TextNode {
			continue
		}
		hidden := strings.IndexFunc(n.Data, func(r rune) bool {
			return r == unicode.ReplacementChar || r != '\n' && r != '\t' && (unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r))
		})
		assert.Negative(t, hidden, "%s: %q", address, n.Data)
	}
}

func TestAnAddressCanBeHostileToo(t *testing.T) {
	d := open(t, newScene())
	for name, word := range hostile() {
		for _, path := range []string{"/interactions?id=", "/events?type=", "/dead-letters?subscriber=", "/?q=", "/nope?x=", "/quarantine?reason_is=", "/audit?user="} {
			w := d.get(manager, path+escaped(word))
			assert.Contains(t, []int{http.StatusOK, http.StatusBadRequest, http.StatusNotFound}, w.Code, name)
			checkHTML(t, path+name, w.Body.Bytes())
		}
		w := d.get(manager, "/subscribers/"+escaped(word))
		checkHTML(t, name, w.Body.Bytes())
		checkVisible(t, name, w.Body.String())
	}
}

func TestWhatABodyHoldsIsShownAndNothingMore(t *testing.T) {
	for name, body := range map[string]string{
		"JSON":              `{"a<b>":"</code></pre><script>alert(1)</script>","n":-1.5e3,"t":[true,null],"\u202e":"\u202e"}`,
		"JSON, 1 MB":        `{"text":"` + strings.Repeat("<b>", 350_000) + `"}`,
		"JSON, deep":        strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"many small values": "[" + strings.Repeat(`"<b>",`, 50_000) + "1]",
		"text, 1 MB":        strings.Repeat("ä<b>\u202e\n", 100_000),
		"bytes":             strings.Repeat("\x00\xff<b>", 1000),
		"lines of DOS":      strings.Repeat("<b>\u202e\x1b[31m\x00\xff\r\n", 50_000),
		"JSON, indented":    "{\r\n\t\"a\": \"<b>\u202e\u2066\u200b\"\r\n}",
		"no character":      strings.Repeat("\x80", 300_000) + "\r\n",
		"empty":             "",
	} {
		s := newScene()
		s.body = []byte(body)
		d := open(t, s)
		for _, address := range []string{"/events/INTERACTIONS/5", "/interactions?id=6f1c", "/dead-letters/12", "/quarantine/3"} {
			w := d.get(manager, address)
			assert.Equal(t, http.StatusOK, w.Code, name)
			assert.Less(t, w.Body.Len(), 12<<20, "%s: %s", name, address)
			checkHTML(t, address, w.Body.Bytes())
			checkVisible(t, address, w.Body.String())
		}
	}
}

func TestValuesAreMaskedForWhoSharesTheScreen(t *testing.T) {
	s := newScene()
	s.word = "+49 30 1234"
	d := open(t, s)
	d.post(manager, "/dead-letters/act", "action", "replay", "number", "7", "reason", "x")
	for _, address := range []string{"/events/INTERACTIONS/5", "/dead-letters/12", "/quarantine/3", "/dead-letters"} {
		w := d.get(manager, address, &http.Cookie{Name: maskCookie, Value: "on"})
		page := text(parsedPage(t, w.Body.Bytes()))
		assert.False(t, strings.Contains(page, `"`+s.word+`"`), address)
		assert.True(t, strings.Contains(page, masking), address)
	}
	page := d.get(manager, "/events/INTERACTIONS/5", &http.Cookie{Name: maskCookie, Value: "on"}).Body.String()
	assert.True(t, strings.Contains(page, "caller"), "names are no secret")
	assert.False(t, strings.Contains(page, asItCame), "the bytes are values, too")
	assert.False(t, strings.Contains(page, "connected&#34;"), "values may be")
}

// asItCame heads the bytes of a body.
const asItCame = "As it came, byte for byte"

// rawBody is what a page shows as a body's bytes, "" if it does not.
func rawBody(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	for _, details := range elements(parsedPage(t, w.Body.Bytes()), "details") {
		if raw, found := strings.CutPrefix(text(details), asItCame); found {
			assert.Equal(t, "body", attribute(details, "class"))
			assert.False(t, slices.ContainsFunc(details.Attr, func(a html.Attribute) bool { return a.Key == "open" }))
			return raw
		}
	}
	return ""
}

func TestABodyIsShownByteForByteWhereItIsShownOtherwise(t *testing.T) {
	const cut = "Only the beginning is shown."
	for name, c := range map[string]struct{ body, shown string }{
		"JSON in one line":       {`{"a":"<b>","n":1.50}`, `{"a":"<b>","n":1.50}`},
		"JSON, indented by tabs": {"{\r\n\t\"a\": \"\u202eä\"\n}", "{\\r\n\\t\"a\": \"\\u202eä\"\n}"},
		"JSON, indented so":      {"{\n  \"a\": 1\n}\n", ""},
		"text":                   {"a <b>\n\x00\xff", ""},
		"lines of DOS":           {"a\r\n\x1b<b>\xff", "a\\r\n\\x1b<b>\\xff"},
		"more than a page holds": {"[" + strings.Repeat(`"`+strings.Repeat("ä", 16<<10)+`",`, 8) + "1]", ""},
		"nothing":                {"", ""},
	} {
		s := newScene()
		s.body = []byte(c.body)
		d := open(t, s)
		for _, address := range []string{"/events/INTERACTIONS/5", "/dead-letters/12", "/quarantine/3"} {
			w := d.get(operator, address)
			raw := rawBody(t, w)
			if len(c.body) > maxBodyShown {
				beginning, found := strings.CutSuffix(raw, cut)
				assert.True(t, found && strings.HasPrefix(c.body, beginning), "%s: %s", name, address)
				assert.InDelta(t, maxBodyShown, len(beginning), 4)
				continue
			}
			assert.Equal(t, c.shown, raw, "%s: %s", name, address)
			assert.Empty(t, rawBody(t, d.get(operator, address, &http.Cookie{Name: maskCookie, Value: "on"})), "masked")
			s.hidden = true
			assert.Empty(t, rawBody(t, d.get(viewer, address)), "hidden")
			s.hidden = false
		}
		assert.False(t, strings.Contains(d.get(operator, "/interactions?id=6f1c").Body.String(), asItCame), "that page has enough")
	}
}

func TestAViewerOfASensitiveSourceSeesNoBody(t *testing.T) {
	d := open(t, newScene())
	w := d.get(viewer, "/interactions?id=6f1c")
	page := text(parsedPage(t, w.Body.Bytes()))
	assert.Equal(t, 1, strings.Count(page, "is hidden: its source is sensitive"), "billing's, which is the second of three")
	assert.Zero(t, strings.Count(text(parsedPage(t, d.get(operator, "/interactions?id=6f1c").Body.Bytes())), "is hidden"))
}

func escaped(word string) string {
	var b strings.Builder
	for _, c := range []byte(word) {
		b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
	}
	return b.String()
}
