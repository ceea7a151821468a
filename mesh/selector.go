package mesh

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Selectors are looked at in order; the first that finds something counts. In streams.json a
// single one may stand without a list.
type Selectors []Selector

// Selector names a value of a delivery:
//
//	data.id                        a path into the body: names and list indexes with "." between
//	@.conversationId               a path into the content; see Identity.Content
//	header:X-Event-Type            a header; few senders sign theirs
//	{channel.id}:{channel.to.id}   text around selectors; nothing if one of them finds nothing
//	source ~ cloud/([^/]+)/        what the group of a regular expression (RE2) finds in a value
//	pattern:topicName              a topic with {id} in the place of each id
//	newest:@                       the newest RFC 3339 time anywhere in a value
//	nonce:                         the nonce of an HTTP message signature
//	=interaction                   always this text
type Selector string

// SelectorPart is a piece of a parsed selector: a literal text, or a value and where it is.
type SelectorPart struct {
	Literal string
	// Header, where set, names the header that has the value; in canonical form.
	Header string
	// Path leads to the value in the body, or in the content if InContent is set; "" is all of it.
	Path      string
	InContent bool
	// Form says what is made of the value.
	Form SelectorForm
	// Group, where set, is a regular expression whose first group is what counts of the value.
	Group *regexp.Regexp
}

// SelectorForm is what is made of a selected value.
type SelectorForm int

// The values of SelectorForm.
const (
	FormText    SelectorForm = iota // a string or number as it is
	FormPattern                     // a topic with {id} in the place of each id
	FormNewest                      // the newest time anywhere in the value
	FormNonce                       // the nonce of the message signature
)

// IsLiteral reports whether the part is a text of its own.
func (p SelectorPart) IsLiteral() bool {
	return p.Form == FormText && p.Header == "" && p.Path == "" && !p.InContent
}

const (
	maxSelectorBytes = 256
	maxSelectorParts = 16
)

// Parse cuts a selector into its parts. Its value is their values, one after another, and nothing
// if a part that is no literal finds nothing.
func (s Selector) Parse() ([]SelectorPart, error) {
	text := string(s)
	switch {
	case text == "":
		return nil, errors.New("a selector is empty")
	case len(text) > maxSelectorBytes:
		return nil, fmt.Errorf("a selector has %d bytes; at most %d are allowed", len(text), maxSelectorBytes)
	case text[0] == '=':
		return []SelectorPart{{Literal: text[1:]}}, nil
	case isComposite(text):
		return parseComposite(text)
	}
	part, err := parseSelectorPart(text)
	if err != nil {
		return nil, err
	}
	return []SelectorPart{part}, nil
}

// isComposite reports whether text has selectors in braces. Those of a regular expression are none.
func isComposite(text string) bool {
	value, _, _ := strings.Cut(text, " ~ ")
	return strings.Contains(value, "{")
}

func parseComposite(text string) ([]SelectorPart, error) {
	var parts []SelectorPart
	for text != "" {
		literal, rest, found := strings.Cut(text, "{")
		if literal != "" {
			parts = append(parts, SelectorPart{Literal: literal})
		}
		if !found {
			break
		}
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, errors.New(`"{" without "}"`)
		}
		part, err := parseSelectorPart(inner)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
		text = after
	}
	if len(parts) > maxSelectorParts {
		return nil, fmt.Errorf("a selector has %d parts; at most %d are allowed", len(parts), maxSelectorParts)
	}
	return parts, nil
}

func parseSelectorPart(text string) (SelectorPart, error) {
	var part SelectorPart
	value, expression, hasGroup := strings.Cut(text, " ~ ")
	if hasGroup {
		group, err := regexp.Compile(expression)
		if err != nil || group.NumSubexp() != 1 {
			return part, fmt.Errorf("%q is no regular expression (RE2) with exactly one group", expression)
		}
		part.Group = group
	}
	if name, ok := strings.CutPrefix(value, "header:"); ok {
		if !isHeaderName(name) {
			return part, fmt.Errorf("%q is not the name of an HTTP header", name)
		}
		part.Header = name
		return part, nil
	}
	if value == "nonce:" {
		part.Form = FormNonce
		return part, nil
	}
	if path, ok := strings.CutPrefix(value, "pattern:"); ok {
		part.Form, value = FormPattern, path
	} else if path, ok := strings.CutPrefix(value, "newest:"); ok {
		part.Form, value = FormNewest, path
	}
	return part, part.parsePath(value)
}

func (p *SelectorPart) parsePath(path string) error {
	switch inner, inContent := strings.CutPrefix(path, "@."); {
	case path == "@" && p.Form == FormNewest:
		p.InContent = true
	case inContent && isPlainPath(inner):
		p.InContent, p.Path = true, inner
	case isPlainPath(path):
		p.Path = path
	default:
		return fmt.Errorf(`%q is not a plain path into the body: names of letters, digits, - and _ with "." between them, at most %d deep`, path, maxIdentityDepth)
	}
	return nil
}

// isPlainPath allows plain names and list indexes: nothing that a JSON query language reads as
// more.
func isPlainPath(p string) bool {
	parts := strings.Split(p, ".")
	for _, part := range parts {
		if part == "" || !isSafe(part) {
			return false
		}
	}
	return len(p) <= maxIdentityBytes && len(parts) <= maxIdentityDepth
}

// isHeaderName reports whether name is a token as RFC 9110 has it.
func isHeaderName(name string) bool {
	const marks = "!#$%&'*+-.^_`|~"
	for _, r := range name {
		if r >= 0x80 || !isSafeByte(byte(r)) && !strings.ContainsRune(marks, r) {
			return false
		}
	}
	return name != ""
}

// MatchesType reports whether an event type is as pattern says, in which "*" stands for any text. It takes
// time in proportion to both lengths.
func MatchesType(pattern, text string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	for ok {
		var middle string
		if middle, rest, wild = strings.Cut(rest, "*"); !wild {
			return strings.HasSuffix(text, middle)
		}
		_, text, ok = strings.Cut(text, middle)
	}
	return false
}
