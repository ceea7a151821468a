package pages

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// checkHTML checks what every page promises.
func checkHTML(t testing.TB, address string, body []byte) {
	t.Helper()
	page := parsedPage(t, body)
	ids, labelled := map[string]bool{}, map[string]bool{}
	for n := range page.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if id := attribute(n, "id"); id != "" {
			assert.False(t, ids[id], "%s: two elements have the id %s", address, id)
			ids[id] = true
		}
		if n.Data == "label" {
			labelled[attribute(n, "for")] = true
		}
		for _, a := range n.Attr {
			assert.False(t, strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc", "%s: <%s %s>", address, n.Data, a.Key)
			if slices.Contains([]string{"href", "src", "action"}, a.Key) {
				assert.Regexp(t, `^(/[^/\\]|/$|#)`, a.Val, "%s: <%s %s>", address, n.Data, a.Key)
			}
		}
	}
	for n := range page.Descendants() {
		if n.Type == html.ElementNode {
			checkElement(t, address, n, ids, labelled)
		}
	}
	assert.Len(t, elements(page, "h1"), 1, address)
	assert.Len(t, elements(page, "main"), 1, address)
	assert.Len(t, elements(page, "script"), 1, address)
	for _, never := range []string{"style", "iframe", "object", "embed", "base", "img", "template"} {
		assert.Empty(t, elements(page, never), address)
	}
}

func checkElement(t testing.TB, address string, n *html.Node, ids, labelled map[string]bool) {
	t.Helper()
	inLabel := n.Parent != nil && n.Parent.Data == "label"
	switch n.Data {
	case "script":
		assert.Nil(t, n.FirstChild, "%s: a script in the page", address)
	case "input", "select", "textarea":
		named := labelled[attribute(n, "id")] || inLabel || attribute(n, "type") == "hidden"
		assert.True(t, named, "%s: <%s name=%s> has no label", address, n.Data, attribute(n, "name"))
	case "a", "button":
		assert.NotEmpty(t, strings.TrimSpace(text(n)), "%s: <%s href=%s> says nothing", address, n.Data, attribute(n, "href"))
	case "svg":
		assert.True(t, attribute(n, "aria-hidden") == "true" || attribute(n, "role") == "img" && attribute(n, "aria-label") != "", "%s: an svg without words", address)
	case "th":
		assert.NotEmpty(t, attribute(n, "scope"), "%s: <th>%s", address, text(n))
	case "progress":
		assert.NotEmpty(t, attribute(n, "aria-label"), address)
	}
	if by := attribute(n, "aria-labelledby"); by != "" {
		assert.True(t, ids[by], "%s: nothing has the id %s", address, by)
	}
}

func parsedPage(t testing.TB, body []byte) *html.Node {
	t.Helper()
	page, err := html.Parse(bytes.NewReader(body))
	require.NoError(t, err)
	return page
}

func elements(under *html.Node, name string) []*html.Node {
	var found []*html.Node
	for n := range under.Descendants() {
		if n.Type == html.ElementNode && n.Data == name {
			found = append(found, n)
		}
	}
	return found
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(under *html.Node) string {
	var b strings.Builder
	for n := range under.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	}
	return b.String()
}
