package shape

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// kind is what a condition can tell apart.
type kind uint8

const (
	missing kind = iota // there is no such value, or no answer
	null
	boolean
	numeric
	text
	instant
	span
	list
	object
	anything // only at load: it depends on the event
)

func (k kind) String() string {
	return [...]string{"missing", "null", "a truth value", "a number", "a text", "a time", "a duration", "a list", "an object", "anything"}[k]
}

// value is a value of a condition. The zero value is missing.
type value struct {
	kind   kind
	truth  bool
	number number
	text   string
	at     time.Time
	span   time.Duration
	node   int     // of the document, for an object, and for a list if it is one of the body's
	values []value // of a list that the condition made
	made   bool
}

func textValue(s string) value { return value{kind: text, text: s} }

// optionalText is missing if s is "": the envelope has no empty values.
func optionalText(s string) value {
	if s == "" {
		return value{}
	}
	return textValue(s)
}

func timeValue(t time.Time) value {
	if t.IsZero() {
		return value{}
	}
	return value{kind: instant, at: t}
}

// isThere reports whether v is a value that isn't null.
func (v value) isThere() bool { return v.kind != missing && v.kind != null }

// answer is v as a condition: what isn't true or false is unknown.
func (v value) answer() answer {
	if v.kind != boolean {
		return unknown
	}
	return answerOf(v.truth)
}

// nodeValue is a value of the body. Numbers that are out of any range are missing.
func (d *document) nodeValue(i int) value {
	switch d.nodes[i].kind {
	case kindNull:
		return value{kind: null}
	case kindTrue, kindFalse:
		return value{kind: boolean, truth: d.nodes[i].kind == kindTrue}
	case kindNumber:
		n, ok := parseNumber(d.raw(i))
		if !ok {
			return value{}
		}
		return value{kind: numeric, number: n}
	case kindString:
		return textValue(unquote(d.raw(i)))
	case kindArray:
		return value{kind: list, node: i}
	default:
		return value{kind: object, node: i}
	}
}

// order compares two values of one kind that has an order. A text compares with a time if it is one.
func order(a, b value) (int, bool) {
	switch {
	case a.kind == instant && b.kind == text:
		t, ok := parseTime(b.text)
		return a.at.Compare(t), ok
	case a.kind == text && b.kind == instant:
		t, ok := parseTime(a.text)
		return t.Compare(b.at), ok
	case a.kind != b.kind:
		return 0, false
	}
	switch a.kind {
	case numeric:
		return a.number.compare(b.number), true
	case text:
		return strings.Compare(a.text, b.text), true
	case instant:
		return a.at.Compare(b.at), true
	case span:
		return cmp.Compare(a.span, b.span), true
	}
	return 0, false
}

func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// value is the document as a program takes it, with what is marked replaced. Numbers stay as they are written.
func (d *document) value(marks []mark, key []byte) (any, error) {
	v := valuer{document: d, marks: marks, key: key}
	result := v.value(0, 0)
	return result, v.err
}

type valuer struct {
	*document
	marks []mark
	key   []byte
	err   error
}

func (v *valuer) value(i, depth int) any {
	if depth > maxDepth {
		v.err = fmt.Errorf("the body is nested deeper than %d levels, which no program is given", maxDepth)
		return nil
	}
	if v.marks != nil && v.marks[i] != keep {
		return v.substituted(i)
	}
	switch v.nodes[i].kind {
	case kindObject:
		members := make(map[string]any)
		for child := range v.children(i) {
			if v.marks != nil && v.marks[child] == drop {
				continue
			}
			members[v.nodes[child].name] = v.value(child, depth+1)
		}
		return members
	case kindArray:
		elements := []any{}
		for child := range v.children(i) {
			elements = append(elements, v.value(child, depth+1))
		}
		return elements
	case kindString:
		return unquote(v.raw(i))
	case kindNumber:
		if len(v.raw(i)) > maxNumberBytes {
			v.err = errors.New("the body has a number of more than 400 digits, which no program is given")
		}
		return json.Number(v.raw(i))
	case kindTrue, kindFalse:
		return v.nodes[i].kind == kindTrue
	default:
		return nil
	}
}

func (v *valuer) substituted(i int) any {
	switch v.marks[i] {
	case drop:
		return nil
	case hash:
		return v.hash(i, v.key)
	default:
		return masked
	}
}
