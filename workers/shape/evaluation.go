package shape

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxSteps is the budget of one evaluation. A step is a part of the condition, a member that is looked at, or some bytes of a text.
const maxSteps = 1_000_000

var errSteps = errors.New("the condition takes too many steps for this event: it goes through long lists inside one another, or searches long texts")

// evaluation is one run of a condition.
type evaluation struct {
	*run
	variables []value
	elements  []element // of the predicates around, innermost last
	steps     int
	err       error // ends it: too many steps, or the body is not JSON
	notes     *Explanation
}

type element struct {
	value value
	index int
}

func (c *condition) evaluate(r *run, x *Explanation) (answer, error) {
	e := evaluation{run: r, steps: maxSteps, notes: x}
	if c.variables > 0 {
		e.variables = make([]value, c.variables)
	}
	v := c.expression(&e)
	if e.err != nil {
		return unknown, e.err
	}
	if v.isThere() && v.kind != boolean {
		return unknown, fmt.Errorf("the condition comes to %s, which is neither true nor false", v.kind)
	}
	return v.answer(), nil
}

// pay takes steps off the budget; false means that they are used up.
func (e *evaluation) pay(steps int) bool {
	if e.steps -= steps; e.steps < 0 && e.err == nil {
		e.err = errSteps
	}
	return e.err == nil
}

const maxNotes = 16

// note tells an explanation why something is unknown.
func (e *evaluation) note(format string, arguments ...any) {
	if e.notes == nil || len(e.notes.Unknown) == maxNotes {
		return
	}
	e.notes.Unknown = append(e.notes.Unknown, fmt.Sprintf(format, arguments...))
}

// noted is how much was noted, for forget.
func (e *evaluation) noted() int {
	if e.notes == nil {
		return 0
	}
	return len(e.notes.Unknown)
}

// forget takes back what was noted from one count to another, by parts that had no answer and needed none.
func (e *evaluation) forget(from, to int) {
	if to > from {
		e.notes.Unknown = slices.Delete(e.notes.Unknown, from, to)
	}
}

// decided makes an expression forget why parts of it had no answer, once it has one itself.
func decided(of expression) expression {
	return func(e *evaluation) value {
		before := e.noted()
		v := of(e)
		if v.kind != missing {
			e.forget(before, e.noted())
		}
		return v
	}
}

// unfit is the unknown that comes of values that an operator has no answer for.
func (e *evaluation) unfit(what string, values ...value) value {
	if e.notes == nil {
		return value{}
	}
	for _, v := range values {
		if v.kind == missing { // it was noted where it was missed
			return value{}
		}
	}
	kinds := make([]string, len(values))
	for i, v := range values {
		kinds[i] = v.kind.String()
	}
	e.note("%s has no answer for %s", what, strings.Join(kinds, " and "))
	return value{}
}

func (e *evaluation) body() value {
	if e.err != nil {
		return value{}
	}
	_, err := e.read()
	if err != nil {
		e.err = err
		return value{}
	}
	return e.nodeValue(0)
}

// nodeValue reads a value of the body. Each reading is paid for: texts are decoded and numbers computed anew each time.
func (e *evaluation) nodeValue(i int) value {
	switch raw := e.document.raw(i); e.document.nodes[i].kind {
	case kindString:
		if e.pay(len(raw)/256) && strings.IndexByte(raw, '\\') >= 0 {
			e.pay(len(raw) / 8)
		}
	case kindNumber:
		if len(raw) > 18 {
			e.pay(32)
		}
	}
	if e.err != nil {
		return value{}
	}
	return e.document.nodeValue(i)
}

func (e *evaluation) member(of value, name, what string) value {
	switch of.kind {
	case missing:
		return value{}
	case object:
		found, ok := 0, false
		for child := range e.document.children(of.node) {
			e.steps--
			if e.document.nodes[child].name == name {
				found, ok = child, true
			}
		}
		if !e.pay(0) {
			return value{}
		}
		if ok {
			return e.nodeValue(found)
		}
	}
	e.note("%s is missing", what)
	return value{}
}

func (e *evaluation) at(of, key value, what string) value {
	switch {
	case of.kind == missing || key.kind == missing:
		return value{}
	case of.kind == object && key.kind == text:
		return e.member(of, key.text, what)
	case of.kind == list && key.kind == numeric && key.number.exact == nil:
		if v := e.index(of, key.number.whole); v.kind != missing {
			return v
		}
	}
	e.note("%s is missing", what)
	return value{}
}

// index is an element of a list; a negative index counts from the end.
func (e *evaluation) index(of value, index int64) value {
	if of.kind != list {
		return value{}
	}
	n := int64(e.size(of))
	if index < 0 {
		index += n
	}
	if index < 0 || index >= n {
		return value{}
	}
	if of.made {
		return of.values[index]
	}
	child, _ := e.document.element(of.node, int(index))
	return e.nodeValue(child)
}

// size is the length of a list or object.
func (e *evaluation) size(of value) int {
	if of.made {
		return len(of.values)
	}
	n := e.document.length(of.node)
	e.pay(n)
	return n
}

// each yields the elements of a list, as far as the budget goes.
func (e *evaluation) each(of value, cost int) iter.Seq[value] {
	return func(yield func(value) bool) {
		if of.made {
			for _, v := range of.values {
				if !e.pay(cost) || !yield(v) {
					return
				}
			}
			return
		}
		for child := range e.document.children(of.node) {
			if !e.pay(cost) || !yield(e.nodeValue(child)) {
				return
			}
		}
	}
}

func (e *evaluation) equal(a, b value, what string) answer {
	if !a.isThere() || !b.isThere() {
		e.unfit(what, a, b)
		return unknown
	}
	if a.kind == text && b.kind == text {
		e.pay(min(len(a.text), len(b.text)) / 64)
		return answerOf(a.text == b.text)
	}
	if a.kind == boolean && b.kind == boolean {
		return answerOf(a.truth == b.truth)
	}
	if a.kind == list && b.kind == list {
		return e.equalLists(a, b, what)
	}
	e.payTime(a, b)
	order, ok := order(a, b)
	if !ok {
		e.unfit(what, a, b)
		return unknown
	}
	return answerOf(order == 0)
}

// payTime pays for reading a text as a time.
func (e *evaluation) payTime(a, b value) {
	if a.kind == instant || b.kind == instant {
		e.pay((len(a.text) + len(b.text)) / 16)
	}
}

// equalLists: lists are equal if their elements are, one by one. Objects don't compare.
func (e *evaluation) equalLists(a, b value, what string) answer {
	if e.size(a) != e.size(b) {
		return no
	}
	next, stop := iter.Pull(e.each(b, 1))
	defer stop()
	all := yes
	for v := range e.each(a, 1) {
		other, _ := next()
		if all = min(all, e.equal(v, other, what)); all == no {
			return no
		}
	}
	return all
}

func (e *evaluation) ordered(operator string, a, b value, what string) answer {
	e.payTime(a, b)
	order, ok := order(a, b)
	if !ok {
		e.unfit(what, a, b)
		return unknown
	}
	e.pay(min(len(a.text), len(b.text)) / 64)
	switch operator {
	case "<":
		return answerOf(order < 0)
	case "<=":
		return answerOf(order <= 0)
	case ">":
		return answerOf(order > 0)
	default:
		return answerOf(order >= 0)
	}
}

// in: a value among the elements of a list, or a name among the members of an object. What is missing is in no list, and in none it isn't in.
func (e *evaluation) in(v, of value, what string) answer {
	switch {
	case !v.isThere() || !of.isThere():
		e.unfit(what, v, of)
		return unknown
	case of.kind == object && v.kind == text:
		e.pay(e.size(of))
		_, ok := e.document.member(of.node, v.text)
		return answerOf(ok)
	case of.kind != list:
		e.unfit(what, v, of)
		return unknown
	}
	found := no
	for element := range e.each(of, 1) {
		if found = max(found, e.equal(v, element, what)); found == yes {
			return yes
		}
	}
	return found
}

// keepCost is what an element of a list that a condition makes costs: memory, about 100 bytes.
const keepCost = 8

const maxTextBytes = 1 << 20 // of a text that a condition makes

func (e *evaluation) calculate(operator string, a, b value) value {
	switch {
	case a.kind == numeric && b.kind == numeric:
		if a.number.exact != nil || b.number.exact != nil {
			e.pay(64)
		}
		if n, ok := a.number.calculate(operator, b.number); ok {
			return value{kind: numeric, number: n}
		}
	case a.kind == text && b.kind == text && operator == "+" && len(a.text)+len(b.text) <= maxTextBytes:
		if e.pay((len(a.text) + len(b.text)) / 16) {
			return textValue(a.text + b.text)
		}
	case a.kind == instant && b.kind == instant && operator == "-":
		return value{kind: span, span: a.at.Sub(b.at)}
	case a.kind == instant && b.kind == span && operator == "+":
		return timeValue(a.at.Add(b.span))
	case a.kind == instant && b.kind == span && operator == "-":
		return timeValue(a.at.Add(-b.span))
	}
	return e.unfit(operator, a, b)
}

// length is of a text in characters, of a list in elements, of an object in members.
func (e *evaluation) length(a []value) value {
	n := 0
	switch v := a[0]; v.kind {
	case text:
		e.pay(len(v.text) / 16)
		n = utf8.RuneCountInString(v.text)
	case list, object:
		n = e.size(v)
	default:
		return e.unfit("len", v)
	}
	return value{kind: numeric, number: number{whole: int64(n)}}
}

func (e *evaluation) split(a []value) value {
	if a[0].kind != text || a[1].kind != text {
		return e.unfit("split", a...)
	}
	if !e.pay(len(a[0].text)/16 + keepCost*(2+strings.Count(a[0].text, a[1].text))) {
		return value{}
	}
	parts := value{kind: list, made: true}
	for _, part := range strings.Split(a[0].text, a[1].text) {
		parts.values = append(parts.values, textValue(part))
	}
	return parts
}

func (e *evaluation) absolute(a []value) value {
	if a[0].kind != numeric {
		return e.unfit("abs", a...)
	}
	if a[0].number.compare(number{}) < 0 {
		return e.calculate("-", value{kind: numeric}, a[0])
	}
	return a[0]
}

func (e *evaluation) keys(a []value) value {
	if a[0].kind != object {
		return e.unfit("keys", a...)
	}
	names := value{kind: list, made: true}
	for child := range e.document.children(a[0].node) {
		if !e.pay(keepCost) {
			break
		}
		names.values = append(names.values, textValue(e.document.nodes[child].name))
	}
	return names
}
