package ingress

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
	"github.com/tidwall/gjson"
)

// selectors are tried in order; the first that finds something counts.
type selectors []selector

// selector is a parsed mesh.Selector.
type selector []mesh.SelectorPart

func newSelectors(from mesh.Selectors) (selectors, error) {
	compiled := make(selectors, len(from))
	for i, s := range from {
		parts, err := s.Parse()
		if err != nil {
			return nil, err
		}
		for j := range parts {
			if parts[j].Header != "" {
				parts[j].Header = http.CanonicalHeaderKey(parts[j].Header)
			}
		}
		compiled[i] = parts
	}
	return compiled, nil
}

// document is what selectors look into: a body that checkJSON found good, and the headers that it
// came with.
type document struct {
	header  http.Header // nil when a stored event is read again
	body    string
	content string
}

func newDocument(h http.Header, body string, contentPaths []string) *document {
	d := &document{header: h, body: body, content: body}
	for _, path := range contentPaths {
		if v := gjson.Get(body, path); v.IsObject() {
			d.content = v.Raw
			break
		}
	}
	return d
}

// text sets value to what the selectors find, cut to maxBytes. Of a stored event, whose headers are gone,
// the value that it has stands for what the headers said.
func (d *document) text(value *string, from selectors, maxBytes int) {
	for _, s := range from {
		if d.header == nil && *value != "" && s.usesHeaders() {
			return
		}
		if found := d.find(s); found != "" {
			*value = clip(found, maxBytes)
			return
		}
	}
	*value = ""
}

// time sets value to the first time that the selectors find, the zero time if they find none. Of a
// stored event the time that it has stands for what the headers said.
func (d *document) time(value *time.Time, from selectors) {
	for _, s := range from {
		if d.header == nil && !value.IsZero() && s.usesHeaders() {
			return
		}
		if t := parseTime(d.find(s)); !t.IsZero() {
			*value = t
			return
		}
	}
	*value = time.Time{}
}

func (s selector) usesHeaders() bool {
	return slices.ContainsFunc(s, func(p mesh.SelectorPart) bool { return p.Header != "" || p.Form == mesh.FormNonce })
}

// find is the value of a selector; "" if a part of it finds nothing.
func (d *document) find(s selector) string {
	if len(s) == 1 {
		return d.part(&s[0])
	}
	var b strings.Builder
	for i := range s {
		value := d.part(&s[i])
		if value == "" {
			return ""
		}
		b.WriteString(value)
	}
	return b.String()
}

func (d *document) part(p *mesh.SelectorPart) string {
	switch {
	case p.Form == mesh.FormNonce:
		return genesys.MessageSignatureNonce(d.header)
	case p.Form == mesh.FormNewest:
		return newestTime(d.value(p))
	case p.IsLiteral():
		return p.Literal
	}
	var value string
	if p.Header != "" {
		value = d.header.Get(p.Header)
	} else {
		value = textOf(d.value(p))
	}
	if p.Form == mesh.FormPattern {
		value = topicPattern(value)
	}
	if p.Group != nil {
		value = firstGroup(p.Group, value)
	}
	return value
}

func (d *document) value(p *mesh.SelectorPart) gjson.Result {
	in := d.body
	if p.InContent {
		in = d.content
	}
	if p.Path == "" {
		return gjson.Parse(in)
	}
	return gjson.Get(in, p.Path)
}

// textOf is a string or a number; a number keeps its digits as they were sent, so it is the same id
// as a string of these digits.
func textOf(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Number:
		return v.Raw
	}
	return ""
}

func firstGroup(expression *regexp.Regexp, value string) string {
	if match := expression.FindStringSubmatch(value); match != nil {
		return match[1]
	}
	return ""
}

// topicPattern is a Genesys Cloud topic with {id} in the place of each id. The parts of a topic's
// name are letters that begin small, or the version; whatever else stands there is an id.
func topicPattern(topic string) string {
	parts := strings.Split(topic, ".")
	for i, part := range parts {
		if !isTopicWord(part) {
			parts[i] = "{id}"
		}
	}
	return strings.Join(parts, ".")
}

func isTopicWord(s string) bool {
	version, isVersion := strings.CutPrefix(s, "v")
	if isVersion && version != "" && strings.Trim(version, "0123456789") == "" {
		return true
	}
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s == "" // an empty topic is no id
	}
	for i := 0; i < len(s); i++ {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

// maxSearched bounds the values that are searched for the newest time.
const maxSearched = 10_000

// newestTime is the newest RFC 3339 time anywhere in a value, as it was written.
func newestTime(v gjson.Result) string {
	var search func(v gjson.Result)
	var newest string
	var at time.Time
	left := maxSearched
	search = func(v gjson.Result) {
		if left--; left < 0 {
			return
		}
		if v.Type == gjson.String && looksLikeTime(v.Str) {
			if t, err := time.Parse(time.RFC3339Nano, v.Str); err == nil && t.After(at) {
				newest, at = v.Str, t
			}
			return
		}
		if v.IsObject() || v.IsArray() {
			v.ForEach(func(_, inner gjson.Result) bool {
				search(inner)
				return left >= 0
			})
		}
	}
	search(v) // no deeper than checkJSON allows
	return newest
}

// looksLikeTime keeps ordinary texts from the costly parser.
func looksLikeTime(s string) bool {
	return len(s) >= len("2006-01-02T15:04:05Z") && len(s) <= len(time.RFC3339Nano) && s[4] == '-' && s[10] == 'T'
}
