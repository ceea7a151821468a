package shape

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
	"unicode/utf8"
)

// gojq searches a text with a regular expression in one instruction, in which no context ends it: minutes for an expression such as
// (?:x*){90}y|x, which looks at the whole rest of the text at each match. So the functions that search are ours, and what they find they find by
// a pattern, which looks at the meter between any two characters.

// patterns are the regular expressions of a program. They are only read once it is compiled, and so are safe for concurrent use.
type patterns map[patternKey]*pattern

type patternKey struct{ expression, modes string }

// add compiles what a program names; more than once is as good as once.
func (p patterns) add(expression, flags string) error {
	modes, _, err := parseFlags(flags)
	if err != nil {
		return err
	}
	key := patternKey{expression, modes}
	if p[key] != nil {
		return nil
	}
	made, err := newPattern(modes + expression)
	if err == nil {
		p[key] = made
	}
	return err
}

// find is the pattern of a call's arguments, and whether all of its matches count. The arguments were added when the program was compiled.
func (p patterns) find(arguments []any) (found *pattern, all bool, err error) {
	expression, _ := arguments[0].(string)
	flags, _ := arguments[1].(string) // null has none
	modes, all, err := parseFlags(flags)
	if err != nil {
		return nil, false, err
	}
	if found = p[patternKey{expression, modes}]; found == nil {
		return nil, false, errPattern
	}
	return found, all, nil
}

// parseFlags makes of jq's flags those of a Go expression. They are gojq's: g is all matches, i is any case, and m lets "." match a line's end, too.
func parseFlags(flags string) (modes string, all bool, err error) {
	if strings.Trim(flags, "gim") != "" {
		return "", false, errors.New("its flags are none of g, i and m")
	}
	for _, flag := range []struct{ name, mode string }{{"m", "(?s)"}, {"i", "(?i)"}} {
		if strings.Contains(flags, flag.name) {
			modes += flag.mode
		}
	}
	return modes, strings.Contains(flags, "g"), nil
}

// pattern is a regular expression whose search a meter ends.
type pattern struct {
	first *regexp.Regexp // searches a text from its beginning
	// next goes on behind the first character of a text, which it doesn't match but takes for what stands before: ^ and \b look at that. Its
	// first group is the match; those of the expression follow.
	next *regexp.Regexp
	// cost is about what a byte of the text takes, in steps of some 10 ns.
	cost int
}

func newPattern(expression string) (*pattern, error) {
	first, err := regexp.Compile(expression)
	if err != nil {
		return nil, err
	}
	const before, behind = `\A(?s:.)(?s:.*?)(`, `)`
	next, err := regexp.Compile(before + expression + behind)
	if err != nil || next.NumSubexp() != first.NumSubexp()+1 {
		next, err = regexp.Compile(before + expression + `\E` + behind) // it ends within \Q
	}
	if err != nil {
		return nil, err
	}
	return &pattern{first, next, patternSize(expression) * (1 + first.NumSubexp())}, nil
}

// matches yields the matches of a text as FindStringSubmatchIndex has them, in gojq's order: an empty one counts behind another, too, unless that
// is empty as well. It ends early when the run does.
func (p *pattern) matches(m *meter, s string) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		for from := 0; from <= len(s); {
			match := p.search(m, s, from)
			if m.Err() != nil || match == nil || !yield(match) {
				return
			}
			if from = match[1]; match[0] == match[1] {
				_, width := utf8.DecodeRuneInString(s[from:])
				from += max(width, 1)
			}
		}
	}
}

// search is the first match from a place on, or nil.
func (p *pattern) search(m *meter, s string, from int) []int {
	if from == 0 {
		return p.run(p.first, m, s)
	}
	_, width := utf8.DecodeLastRuneInString(s[:from])
	from -= width
	match := p.run(p.next, m, s[from:])
	if match == nil {
		return nil
	}
	match = match[2:]
	for i := range match {
		if match[i] >= 0 {
			match[i] += from
		}
	}
	return match
}

// cheapSearch bounds a search that no meter looks at: below, it takes at most some milliseconds.
const cheapSearch = 1 << 18

// run searches a text. Of a string Go's search is faster, of a reader it can be ended.
func (p *pattern) run(expression *regexp.Regexp, m *meter, s string) []int {
	if len(s)*p.cost <= cheapSearch {
		return expression.FindStringSubmatchIndex(s)
	}
	return expression.FindReaderSubmatchIndex(&meteredText{strings.NewReader(s), m})
}

func (p *pattern) test(m *meter, s string) bool {
	if len(s)*p.cost <= cheapSearch {
		return p.first.MatchString(s)
	}
	return p.first.MatchReader(&meteredText{strings.NewReader(s), m})
}

// meteredText is a text that ends when the run does.
type meteredText struct {
	text  *strings.Reader
	meter *meter
}

func (t *meteredText) ReadRune() (rune, int, error) {
	if t.meter.Err() != nil {
		return 0, 0, io.EOF
	}
	return t.text.ReadRune()
}

// matching is the function _matching(expression; flags; run): whether a text has a match.
func (p patterns) matching(v any, arguments []any) any {
	s, m, ok := searchArguments(v, arguments)
	if !ok {
		return errPattern
	}
	pattern, _, err := p.find(arguments)
	if err != nil {
		return err
	}
	matches := pattern.test(m, s)
	if err := m.Err(); err != nil {
		return err
	}
	return matches
}

// matches is the function _matches(expression; flags; run): a text's matches as match has them. They are weighed one by one, for they can be much
// larger than the text.
func (p patterns) matches(v any, arguments []any) any {
	s, m, ok := searchArguments(v, arguments)
	if !ok {
		return errPattern
	}
	pattern, all, err := p.find(arguments)
	if err != nil {
		return err
	}
	found := []any{}
	place := position{text: s}
	for match := range pattern.matches(m, s) {
		made := weighValue(place.describe(match, pattern.first.SubexpNames()), arguments[2:])
		if err, failed := made.(error); failed {
			return err
		}
		if found = append(found, made); !all {
			break
		}
	}
	if err := m.Err(); err != nil {
		return err
	}
	return found
}

func searchArguments(v any, arguments []any) (string, *meter, bool) {
	s, isText := v.(string)
	m, isMeter := arguments[2].(*meter)
	return s, m, isText && isMeter
}

// position counts the characters of a text up to a byte, which only grows: gojq counts in characters, Go in bytes.
type position struct {
	text              string
	bytes, characters int
}

func (p *position) at(offset int) int {
	p.characters += utf8.RuneCountInString(p.text[p.bytes:offset])
	p.bytes = offset
	return p.characters
}

// describe is a match as jq has it.
func (p *position) describe(match []int, names []string) map[string]any {
	start := p.at(match[0])
	within := *p
	captures := make([]any, len(match)/2-1)
	for i := range captures {
		from := within // a group may begin before the one before it
		captures[i] = from.capture(match[2*i+2], match[2*i+3], names[i+1])
	}
	return map[string]any{
		"offset": start, "length": p.at(match[1]) - start, "string": p.text[match[0]:match[1]], "captures": captures,
	}
}

func (p *position) capture(from, to int, name string) map[string]any {
	capture := map[string]any{"name": nil, "offset": -1, "length": 0, "string": nil}
	if name != "" {
		capture["name"] = name
	}
	if from >= 0 {
		start := p.at(from)
		capture["offset"], capture["length"], capture["string"] = start, p.at(to)-start, p.text[from:to]
	}
	return capture
}

// mistake adds an expression, or is what is wrong with it and what to do about that.
func (p patterns) mistake(expression, flags string) (problem, hint string) {
	if _, err := regexp.Compile(expression); err != nil {
		return "a regular expression is wrong: " + bounded(err.Error()), "the syntax is RE2, without look-around and back references"
	}
	if patternSize(expression) > maxPatternSize {
		return "a regular expression is too large", "repeat less often than such as {1000}"
	}
	if err := p.add(expression, flags); err != nil {
		return fmt.Sprintf("a regular expression can't be used: %s", bounded(err.Error())), `write such as gsub("a"; "b"; "i")`
	}
	return "", ""
}
