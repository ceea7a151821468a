package shape

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// A context ends a jq program between two of its instructions, but one instruction can do anything: multiply a text a billion times, or
// sort a value that holds itself a million times. So the program is rewritten before it is compiled: each place that makes a value larger hands
// it to a function of ours that weighs it, and each built-in that is worse than that has its arguments looked at first. Built-ins that are
// not in the table below can't be called, so that a newer gojq brings nothing unguarded.

// guard rewrites a program.
type guard struct {
	source   string
	mistakes Mistakes
	patterns patterns
	needsOwn bool // it calls a function of definitions
	// own are the program's own functions and parameters in scope, as name/arity. What is in here is no built-in, whatever it is called;
	// outside of its scope the same name is the built-in again, and guarded.
	own []string
}

func (g *guard) wrong(problem, hint, near string) {
	m := Mistake{Field: fieldTransform, Problem: problem, Hint: hint}
	if at := strings.Index(g.source, near); near != "" && at >= 0 {
		m.Line, m.Column = place(g.source, at)
	}
	if len(g.mistakes) < maxMistakes {
		g.mistakes = append(g.mistakes, m)
	}
}

func (g *guard) program(q *gojq.Query) {
	if q.Meta != nil || len(q.Imports) > 0 {
		g.wrong("there are no modules: a program stands by itself", "write the functions into it", "")
		return
	}
	g.query(q)
	if g.needsOwn {
		q.FuncDefs = ownFunctions() // its own are in parentheses by now
	}
}

func arity(name string, n int) string { return fmt.Sprintf("%s/%d", name, n) }

// define brings a function of the program's own into scope, or a parameter, which is called like one.
func (g *guard) define(name string, parameters int) {
	plain := strings.TrimPrefix(name, "$")
	if strings.HasPrefix(plain, "_") {
		g.wrong(fmt.Sprintf("%s has a name that is not the program's: it begins with \"_\"", name), "choose another name", name)
	}
	g.own = append(g.own, arity(plain, parameters))
}

func (g *guard) query(q *gojq.Query) {
	if q == nil {
		return
	}
	outer := len(g.own)
	for _, f := range q.FuncDefs {
		g.definition(f)
	}
	g.destructuring(q.Patterns)
	g.query(q.Left)
	g.query(q.Right)
	g.term(q.Term)
	if q.Right != nil {
		g.operator(q)
	}
	if g.own = g.own[:outer]; len(q.FuncDefs) > 0 {
		enclose(q)
	}
}

// definition takes a function, which knows itself and its parameters, and stays in scope.
func (g *guard) definition(f *gojq.FuncDef) {
	g.define(f.Name, len(f.Args))
	outer := len(g.own)
	for _, parameter := range f.Args {
		g.define(parameter, 0)
	}
	g.query(f.Body)
	g.own = g.own[:outer]
}

// enclose puts a query with its functions into parentheses. Without them the library goes on to know the functions behind the query's end,
// such as in [def f: 1; f] | f, and behind an argument that the guard moves.
func enclose(q *gojq.Query) {
	inner := *q
	*q = gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeQuery, Query: &inner}}
}

// operator guards l op r. An update l op= r is written out first: r as $x | l |= (. op $x), which is what it means.
func (g *guard) operator(q *gojq.Query) {
	if update, ok := updates[q.Op]; ok {
		inner := &gojq.Query{Left: identity(), Op: update, Right: call("$__right")}
		g.operator(inner)
		assigned := &gojq.Query{Left: q.Left, Op: gojq.OpModify, Right: inner}
		g.weigh(assigned)
		*q = gojq.Query{
			FuncDefs: q.FuncDefs, Left: q.Right, Op: gojq.OpPipe,
			Patterns: []*gojq.Pattern{{Name: "$__right"}}, Right: assigned,
		}
		return
	}
	switch q.Op {
	case gojq.OpMul, gojq.OpSub, gojq.OpDiv:
		// The operands are looked at as a pair, and then taken apart again: [l, r] | .[0] op .[1].
		pair := call(map[gojq.Operator]string{gojq.OpMul: "_factors", gojq.OpSub: "_difference", gojq.OpDiv: "_quotient"}[q.Op], q.Left, q.Right)
		*q = gojq.Query{FuncDefs: q.FuncDefs, Left: pair, Op: gojq.OpPipe, Right: &gojq.Query{Left: elementOf(0), Op: q.Op, Right: elementOf(1)}}
		g.weigh(q)
	case gojq.OpAdd, gojq.OpAssign, gojq.OpModify:
		g.weigh(q)
	}
}

var updates = map[gojq.Operator]gojq.Operator{
	gojq.OpUpdateAdd: gojq.OpAdd, gojq.OpUpdateSub: gojq.OpSub, gojq.OpUpdateMul: gojq.OpMul, gojq.OpUpdateDiv: gojq.OpDiv,
	gojq.OpUpdateMod: gojq.OpMod, gojq.OpUpdateAlt: gojq.OpAlt,
}

// weigh makes q | _weigh($__run) of q.
func (g *guard) weigh(q *gojq.Query) { g.then(q, call("_weigh", call(variableRun))) }

func (g *guard) then(q *gojq.Query, next *gojq.Query) {
	inner := *q
	inner.FuncDefs = nil
	*q = gojq.Query{FuncDefs: q.FuncDefs, Left: &inner, Op: gojq.OpPipe, Right: next}
}

func call(name string, arguments ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: arguments}}}
}

func identity() *gojq.Query { return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}} }

func elementOf(index int) *gojq.Query {
	number := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeNumber, Number: fmt.Sprint(index)}}
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIndex, Index: &gojq.Index{Start: number}}}
}

func (g *guard) term(t *gojq.Term) {
	if t == nil {
		return
	}
	g.index(t.Index)
	for _, suffix := range t.SuffixList {
		g.index(suffix.Index)
	}
	switch t.Type {
	case gojq.TermTypeFunc:
		g.function(t)
	case gojq.TermTypeObject:
		g.object(t.Object)
		g.weighTerm(t)
	case gojq.TermTypeArray:
		g.query(t.Array.Query)
		g.weighTerm(t)
	case gojq.TermTypeString, gojq.TermTypeFormat:
		g.text(t.Str)
		g.weighTerm(t)
	case gojq.TermTypeUnary:
		g.term(t.Unary.Term)
	case gojq.TermTypeIf:
		g.choice(t.If)
	case gojq.TermTypeTry:
		g.query(t.Try.Body)
		g.query(t.Try.Catch)
	case gojq.TermTypeReduce:
		g.destructuring(t.Reduce.Patterns)
		g.queries(t.Reduce.Query, t.Reduce.Start, t.Reduce.Update)
	case gojq.TermTypeForeach:
		g.destructuring(t.Foreach.Patterns)
		g.queries(t.Foreach.Query, t.Foreach.Start, t.Foreach.Update, t.Foreach.Extract)
	case gojq.TermTypeLabel:
		g.query(t.Label.Body)
	case gojq.TermTypeQuery:
		g.query(t.Query)
	}
}

func (g *guard) queries(queries ...*gojq.Query) {
	for _, q := range queries {
		g.query(q)
	}
}

// weighTerm makes (t | _weigh($__run)) of t, with the suffixes behind it.
func (g *guard) weighTerm(t *gojq.Term) {
	if t.Type == gojq.TermTypeString && (t.Str == nil || t.Str.Queries == nil) {
		return // a literal
	}
	g.around(t, func(q *gojq.Query) { g.weigh(q) })
}

// around puts a term into parentheses, without its suffixes, and changes what is in them.
func (g *guard) around(t *gojq.Term, change func(*gojq.Query)) {
	inner := *t
	inner.SuffixList = nil
	q := &gojq.Query{Term: &inner}
	change(q)
	*t = gojq.Term{Type: gojq.TermTypeQuery, Query: q, SuffixList: t.SuffixList}
}

func (g *guard) object(o *gojq.Object) {
	for _, member := range o.KeyVals {
		g.variable(member.Key)
		g.text(member.KeyString)
		g.query(member.KeyQuery)
		g.query(member.Val)
	}
}

func (g *guard) text(s *gojq.String) {
	if s != nil {
		g.queries(s.Queries...)
	}
}

func (g *guard) choice(c *gojq.If) {
	g.queries(c.Cond, c.Then, c.Else)
	for _, other := range c.Elif {
		g.queries(other.Cond, other.Then)
	}
}

// index sees to it that no list is made long by writing far behind its end.
func (g *guard) index(i *gojq.Index) {
	if i == nil {
		return
	}
	g.text(i.Str)
	for _, q := range []*gojq.Query{i.Start, i.End} {
		if q != nil && !isPlain(q) {
			g.query(q)
			g.then(q, call("_place"))
		}
	}
}

// isPlain reports whether an index is a text, or a small number, that is written out.
func isPlain(q *gojq.Query) bool {
	if _, ok := literalText(q); ok {
		return true
	}
	return q.Term != nil && q.Term.Type == gojq.TermTypeNumber && len(q.Term.Number) < 5 && len(q.Term.SuffixList) == 0
}

func (g *guard) destructuring(patterns []*gojq.Pattern) {
	for _, p := range patterns {
		g.variable(p.Name)
		g.destructuring(p.Array)
		for _, member := range p.Object {
			g.variable(member.Key)
			g.text(member.KeyString)
			g.query(member.KeyQuery)
			if member.Val != nil {
				g.destructuring([]*gojq.Pattern{member.Val})
			}
		}
	}
}

// variable refuses names that are ours.
func (g *guard) variable(name string) {
	if strings.HasPrefix(name, "$__") && name != "$__loc__" || name == "$ENV" {
		g.wrong(fmt.Sprintf("there is no variable %s", name), "choose another name", name)
	}
}

func (g *guard) function(t *gojq.Term) {
	f := t.Func
	if strings.HasPrefix(f.Name, "$") {
		g.variable(f.Name)
		return
	}
	if slices.Contains(g.own, arity(f.Name, len(f.Args))) {
		g.queries(f.Args...)
		return
	}
	c, known := careOf[f.Name]
	if f.Name == "split" && len(f.Args) == 2 { // with one argument it knows no regular expressions
		c = searched
	}
	if !known {
		g.unknown(f)
		return
	}
	g.queries(f.Args...)
	switch {
	case c == searched:
		g.expressions(f)
	case f.Name == "error" && len(f.Args) == 1:
		g.spoken(f)
	}
	g.replace(f)
	g.careful(t, c)
}

// spoken makes error("text") tell that its text is the program's own, which may be shown, and no value of an event.
func (g *guard) spoken(f *gojq.Func) {
	if _, ok := literalText(f.Args[0]); ok {
		f.Name = "_spoken"
	}
}

func (g *guard) unknown(f *gojq.Func) {
	if why, ok := refused[f.Name]; ok {
		g.wrong(fmt.Sprintf("%s is not available: %s", f.Name, why), "", f.Name)
		return
	}
	g.wrong(fmt.Sprintf("there is no function %s", arity(f.Name, len(f.Args))), suggest(f.Name, slices.Sorted(maps.Keys(careOf))), f.Name)
}

// expressions sees to it that regular expressions and their flags are written out, and compiles them.
func (g *guard) expressions(f *gojq.Func) {
	var texts []string // the expression and its flags
	for i, argument := range f.Args {
		if i == 1 && (f.Name == "sub" || f.Name == "gsub") {
			continue // the replacement
		}
		literal, ok := literalText(argument)
		if !ok {
			g.wrong(fmt.Sprintf("the regular expression or the flags of %s have to be written out as a text", f.Name), `write such as test("^[+]49")`, f.Name)
			return
		}
		texts = append(texts, literal)
	}
	if len(texts) == 0 {
		return // the compiler finds that there is no such function
	}
	if problem, hint := g.patterns.mistake(texts[0], strings.Join(texts[1:], "")); problem != "" {
		g.wrong(problem, hint, f.Name)
	}
}

func literalText(q *gojq.Query) (string, bool) {
	t := q.Term
	if t == nil || t.Type != gojq.TermTypeString || t.Str == nil || t.Str.Queries != nil || len(t.SuffixList) > 0 {
		return "", false
	}
	return t.Str.Str, true
}

// careful puts what a built-in needs around its call.
func (g *guard) careful(t *gojq.Term, c care) {
	before := "" // a function of ours that looks at the input, and the first argument if it has one
	f := t.Func
	switch c {
	case harmless:
		return
	case searched, scanned:
		before = "_subject"
	case parted:
		before = "_parts"
	case pathed:
		if len(f.Args) > 0 {
			g.then(f.Args[0], call("_path"))
		}
	case indexed:
		if len(f.Args) > 0 {
			g.then(f.Args[0], call("_place"))
		}
	case multiplied:
		before = "_product"
	case joined:
		before = "_joinable"
	case transposed:
		before = "_rectangle"
	}
	g.around(t, func(q *gojq.Query) {
		if before != "" {
			g.prepare(q, f, before)
		}
		g.weigh(q)
	})
}

// prepare makes (argument as $__argument | before($__argument) | f($__argument)) of f(argument), or before | f where only the input counts.
func (g *guard) prepare(q *gojq.Query, f *gojq.Func, before string) {
	if before != "_product" && before != "_joinable" {
		*q = gojq.Query{Left: call(before), Op: gojq.OpPipe, Right: &gojq.Query{Term: q.Term}}
		return
	}
	if len(f.Args) == 0 {
		return // the compiler finds that there is no such function
	}
	argument := f.Args[0]
	f.Args = []*gojq.Query{call("$__argument")}
	looked := &gojq.Query{Left: call(before, call("$__argument")), Op: gojq.OpPipe, Right: &gojq.Query{Term: q.Term}}
	*q = gojq.Query{Left: argument, Op: gojq.OpPipe, Patterns: []*gojq.Pattern{{Name: "$__argument"}}, Right: looked}
}
