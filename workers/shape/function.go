package shape

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
)

// function is what a condition can call by name.
type function struct {
	least, most int // how many arguments
	kind        kind
	call        func(e *evaluation, arguments []value) value
}

// functions that depend on the clock or on chance are left out: an event has to get the same answer at each attempt and replay.
var functions = map[string]function{
	"has":      {1, 1, boolean, func(_ *evaluation, a []value) value { return answerOf(a[0].isThere()).value() }},
	"len":      {1, 1, numeric, (*evaluation).length},
	"lower":    {1, 1, text, ofText(strings.ToLower)},
	"upper":    {1, 1, text, ofText(strings.ToUpper)},
	"trim":     {1, 1, text, ofText(strings.TrimSpace)},
	"split":    {2, 2, list, (*evaluation).split},
	"abs":      {1, 1, numeric, (*evaluation).absolute},
	"int":      {1, 1, numeric, toNumber(number.truncate)},
	"float":    {1, 1, numeric, toNumber(func(n number) number { return n })},
	"string":   {1, 1, text, toText},
	"type":     {1, 1, text, kindName},
	"first":    {1, 1, anything, func(e *evaluation, a []value) value { return e.index(a[0], 0) }},
	"last":     {1, 1, anything, func(e *evaluation, a []value) value { return e.index(a[0], -1) }},
	"keys":     {1, 1, list, (*evaluation).keys},
	"date":     {1, 1, instant, toTime},
	"duration": {1, 1, span, toDuration},
}

// predicates are called with a list and what is asked of each element.
var predicates = map[string]struct {
	kind     kind
	optional bool // it may go without the question
	isAsked  bool // the answer is true, false or unknown
	ask      func(e *evaluation, of value, question part) value
}{
	"all":    {boolean, false, true, (*evaluation).all},
	"any":    {boolean, false, true, (*evaluation).any},
	"none":   {boolean, false, true, func(e *evaluation, of value, q part) value { return (-e.any(of, q).answer()).value() }},
	"one":    {boolean, false, true, (*evaluation).one},
	"filter": {list, false, true, (*evaluation).filter},
	"count":  {numeric, true, true, (*evaluation).count},
	"find":   {anything, false, true, (*evaluation).find},
	"map":    {list, false, false, (*evaluation).mapped},
	"sum":    {numeric, true, false, (*evaluation).sum},
}

func functionNames() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range maps.Keys(functions) {
			if !yield(name) {
				return
			}
		}
		for name := range maps.Keys(predicates) {
			if !yield(name) {
				return
			}
		}
	})
}

func (c *compiler) call(n ast.Node, name string, arguments []ast.Node) part {
	if _, ok := predicates[name]; ok {
		return c.predicate(n, name, arguments)
	}
	f, ok := functions[name]
	switch {
	case name == "now":
		return c.wrongAt(n, "now() is not available: an event would get another answer at its next attempt",
			"compare event.occurred with a date, or with event.received")
	case !ok:
		return c.wrongAt(n, fmt.Sprintf("there is no function %q in a condition", name), suggest(name, functionNames()))
	case len(arguments) < f.least || len(arguments) > f.most:
		return c.wrongAt(n, fmt.Sprintf("%s takes %d arguments, not %d", name, f.least, len(arguments)), "")
	}
	parts, size := make([]part, len(arguments)), 2
	for i, argument := range arguments {
		parts[i] = c.part(argument)
		size += parts[i].size
	}
	c.literal(name, arguments)
	of := func(e *evaluation) value {
		values := make([]value, len(parts))
		for i, p := range parts {
			values[i] = p.of(e)
		}
		return f.call(e, values)
	}
	if name == "has" { // the one that has an answer for what is missing
		of = decided(of)
	}
	return part{kind: f.kind, size: size, of: of}
}

// literal finds mistakes in dates and durations that are written out.
func (c *compiler) literal(name string, arguments []ast.Node) {
	literal, ok := arguments[0].(*ast.StringNode)
	if !ok {
		return
	}
	switch name {
	case "date":
		if _, ok := parseTime(literal.Value); !ok {
			c.wrongAt(literal, fmt.Sprintf("%q is no date", literal.Value), `write such as "2026-01-31" or "2026-01-31T08:00:00Z"`)
		}
	case "duration":
		if _, err := time.ParseDuration(literal.Value); err != nil {
			c.wrongAt(literal, fmt.Sprintf("%q is no duration", literal.Value), `write such as "90s" or "1h30m"`)
		}
	}
}

func (c *compiler) predicate(n ast.Node, name string, arguments []ast.Node) part {
	p := predicates[name]
	if len(arguments) == 0 || len(arguments) > 2 || len(arguments) == 1 && !p.optional {
		return c.wrongAt(n, fmt.Sprintf("%s takes a list and what is asked of each element", name),
			fmt.Sprintf("write such as %s(data.list, .id == 1)", name))
	}
	of := c.oneOf(arguments[0], list)
	question := part{of: (*evaluation).element, kind: anything, size: 1}
	if len(arguments) == 2 {
		question = c.question(arguments[1], p.isAsked)
	}
	ask := func(e *evaluation) value {
		v := of.of(e)
		if v.kind != list {
			return e.unfit(name+"(…)", v)
		}
		return p.ask(e, v, question)
	}
	if p.kind == boolean { // others pass by the elements that have no answer, which is worth telling
		ask = decided(ask)
	}
	return part{kind: p.kind, size: of.size + question.size + 1, of: ask}
}

func (c *compiler) question(n ast.Node, isAsked bool) part {
	if wrapped, ok := n.(*ast.PredicateNode); ok {
		n = wrapped.Node
	}
	c.scopes++
	defer func() { c.scopes-- }()
	if isAsked {
		return c.condition(n)
	}
	return c.part(n)
}

func ofText(change func(string) string) func(*evaluation, []value) value {
	return func(e *evaluation, a []value) value {
		if a[0].kind != text || !e.pay(len(a[0].text)/4) {
			return value{}
		}
		return textValue(change(a[0].text))
	}
}

func toNumber(change func(number) number) func(*evaluation, []value) value {
	return func(_ *evaluation, a []value) value {
		n := a[0].number
		if a[0].kind == text {
			parsed, ok := parseNumber(a[0].text)
			if !ok {
				return value{}
			}
			n = parsed
		} else if a[0].kind != numeric {
			return value{}
		}
		return value{kind: numeric, number: change(n)}
	}
}

func toText(e *evaluation, a []value) value {
	switch v := a[0]; v.kind {
	case text:
		return v
	case boolean:
		return textValue(v.answer().String())
	case numeric:
		if v.number.exact != nil && !e.pay(maxNumberBytes) {
			return value{}
		}
		return textValue(v.number.String())
	case instant:
		return textValue(v.at.UTC().Format(time.RFC3339Nano))
	}
	return value{}
}

// kindName has the names of JSON.
func kindName(_ *evaluation, a []value) value {
	names := map[kind]string{
		null: "null", boolean: "boolean", numeric: "number", text: "string",
		instant: "time", span: "duration", list: "array", object: "object",
	}
	return optionalText(names[a[0].kind])
}

func toTime(e *evaluation, a []value) value {
	if a[0].kind == instant || !e.pay(len(a[0].text)/16) {
		return a[0]
	}
	t, ok := parseTime(a[0].text)
	if a[0].kind != text || !ok {
		return value{}
	}
	return value{kind: instant, at: t}
}

func toDuration(e *evaluation, a []value) value {
	if !e.pay(len(a[0].text) / 16) {
		return value{}
	}
	d, err := time.ParseDuration(a[0].text)
	if a[0].kind != text || err != nil {
		return value{}
	}
	return value{kind: span, span: d}
}
