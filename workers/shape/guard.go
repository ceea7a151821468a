package shape

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// A context ends a jq program between two of its instructions, but one instruction can do anything: multiply a text a billion times, or
// sort a value that holds itself a million times. So the program is rewritten before it is compiled: each place that makes a value larger hands
// it to a function of ours that weighs it, and each built-in that is worse than that has its arguments looked at first. Built-ins that are
// not in the table below can't be called, so that a newer gojq brings nothing unguarded.

const (
	// maxWeight bounds each value that a program makes, counted as if it were written out: bytes of texts, and valueWeight for each value.
	maxWeight   = 4 << 20
	valueWeight = 16
	// maxMemory bounds all values that one run makes, in about bytes.
	maxMemory = 64 << 20
	// maxDepth bounds how deep values are nested.
	maxDepth = 512
	// maxProduct bounds the work of built-ins that compare everything with everything.
	maxProduct = 4 << 20
	// maxPlace bounds the index of a list that a program may write to, and maxPathLength the steps of a path.
	maxPlace      = 1 << 16
	maxPathLength = 64
	// maxSubjectBytes bounds the text that a regular expression, or the reading of a number, goes over.
	maxSubjectBytes = 8 << 10
	// maxPartedBytes bounds the text that is cut into its characters or parts.
	maxPartedBytes = 256 << 10
	maxNumberWidth = 8 << 10 // bits
)

// care is what has to be done about a built-in function.
type care int

const (
	harmless   care = iota // its result is no larger than what goes in
	weighed                // its result is weighed
	searched               // its first argument is a regular expression; the input is short; its result is weighed
	scanned                // the input is short; its result is weighed
	parted                 // the input is not too long to be cut into its characters; its result is weighed
	pathed                 // its first argument is a path
	indexed                // its first argument is an index
	multiplied             // its work is that of the input times the argument
	joined                 // the argument stands between all elements of the input
	transposed
)

func names(c care, list string) map[string]care {
	named := map[string]care{}
	for name := range strings.FieldsSeq(list) {
		named[name] = c
	}
	return named
}

// careOf are the functions that a program may call.
var careOf = merged(
	names(harmless, `empty error not length utf8bytelength has in type startswith endswith select recurse first last isempty all any limit skip
		until while repeat range min max min_by max_by arrays objects iterables booleans numbers finites normals strings nulls values scalars
		floor round ceil trunc sqrt cbrt pow exp exp2 exp10 log log2 log10 fabs abs significand logb fmin fmax fmod ldexp infinite nan isinfinite
		isfinite isnan isnormal now mktime gmtime localtime todate fromdate fromdateiso8601 todateiso8601 IN bsearch path toboolean`),
	names(weighed, `keys add tostring tojson fromjson reverse ltrimstr rtrimstr trimstr ltrim rtrim trim implode ascii_downcase ascii_upcase
		flatten sort sort_by group_by unique unique_by del delpaths to_entries from_entries with_entries map map_values walk paths pick combinations
		INDEX strftime strflocaltime strptime`),
	names(searched, `test match capture scan splits sub gsub`),
	names(scanned, `tonumber`),
	names(parted, `explode split`),
	names(pathed, `getpath setpath`),
	names(indexed, `nth`),
	names(multiplied, `contains inside indices index rindex`),
	names(joined, `join`),
	names(transposed, `transpose`),
)

func merged(tables ...map[string]care) map[string]care {
	all := map[string]care{}
	for _, table := range tables {
		maps.Copy(all, table)
	}
	return all
}

// refused are functions that exist in jq, with the reason why not here.
var refused = map[string]string{
	"env": "a program can't read the environment", "$ENV": "a program can't read the environment",
	"input": "there is one event and no other input", "inputs": "there is one event and no other input",
	"debug": "there is nobody to read it", "stderr": "there is nobody to read it",
	"halt": "end with empty, or with error(…)", "halt_error": "end with empty, or with error(…)",
	"input_filename": "events have no file name", "modulemeta": "there are no modules",
	"get_search_list": "there are no modules", "builtins": "it is not available",
}

// guard rewrites a program.
type guard struct {
	source   string
	mistakes Mistakes
	own      map[string]bool // the functions that the program defines, as name/arity
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
	g.own = map[string]bool{}
	g.query(q)
}

func arity(name string, n int) string { return fmt.Sprintf("%s/%d", name, n) }

// define notes a function of the program's own, or a parameter, which is called like one.
func (g *guard) define(name string, parameters int) {
	plain := strings.TrimPrefix(name, "$")
	if _, known := careOf[plain]; known || strings.HasPrefix(plain, "_") || refused[plain] != "" {
		g.wrong(fmt.Sprintf("%s has the name of something that exists already", name), "choose another name", name)
	}
	g.own[arity(plain, parameters)] = true
	g.own[arity(name, parameters)] = true
}

func (g *guard) query(q *gojq.Query) {
	if q == nil {
		return
	}
	for _, f := range q.FuncDefs {
		g.define(f.Name, len(f.Args))
		for _, parameter := range f.Args {
			g.define(parameter, 0)
		}
		g.query(f.Body)
	}
	g.patterns(q.Patterns)
	g.query(q.Left)
	g.query(q.Right)
	g.term(q.Term)
	if q.Right != nil {
		g.operator(q)
	}
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
		g.patterns(t.Reduce.Patterns)
		g.queries(t.Reduce.Query, t.Reduce.Start, t.Reduce.Update)
	case gojq.TermTypeForeach:
		g.patterns(t.Foreach.Patterns)
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

func (g *guard) patterns(patterns []*gojq.Pattern) {
	for _, p := range patterns {
		g.variable(p.Name)
		g.patterns(p.Array)
		for _, member := range p.Object {
			g.variable(member.Key)
			g.text(member.KeyString)
			g.query(member.KeyQuery)
			if member.Val != nil {
				g.patterns([]*gojq.Pattern{member.Val})
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
	if g.own[arity(f.Name, len(f.Args))] {
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
	if c == searched {
		g.expressions(f)
	}
	g.careful(t, c)
}

func (g *guard) unknown(f *gojq.Func) {
	if why, ok := refused[f.Name]; ok {
		g.wrong(fmt.Sprintf("%s is not available: %s", f.Name, why), "", f.Name)
		return
	}
	g.wrong(fmt.Sprintf("there is no function %s", arity(f.Name, len(f.Args))), suggest(f.Name, slices.Sorted(maps.Keys(careOf))), f.Name)
}

// expressions sees to it that regular expressions and their flags are written out: others would be compiled again and again, and never be forgotten.
func (g *guard) expressions(f *gojq.Func) {
	for i, argument := range f.Args {
		if i == 1 && (f.Name == "sub" || f.Name == "gsub") {
			continue // the replacement
		}
		literal, ok := literalText(argument)
		if !ok {
			g.wrong(fmt.Sprintf("the regular expression or the flags of %s have to be written out as a text", f.Name), `write such as test("^[+]49")`, f.Name)
			continue
		}
		if i > 0 {
			continue
		}
		if _, err := regexp.Compile(literal); err != nil {
			g.wrong("a regular expression is wrong: "+bounded(err.Error()), "the syntax is RE2, without look-around and back references", f.Name)
		} else if patternSize(literal) > maxPatternSize {
			g.wrong("a regular expression is too large", "repeat less often than such as {1000}", f.Name)
		}
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

func guardOptions() []gojq.CompilerOption {
	return []gojq.CompilerOption{
		gojq.WithVariables([]string{variableEvent, variableRun}),
		gojq.WithFunction("_weigh", 1, 1, weighValue),
		gojq.WithFunction("_factors", 2, 2, factors),
		gojq.WithFunction("_difference", 2, 2, difference),
		gojq.WithFunction("_quotient", 2, 2, quotient),
		gojq.WithFunction("_parts", 0, 0, checkParts),
		gojq.WithFunction("_place", 0, 0, checkPlace),
		gojq.WithFunction("_path", 0, 0, checkPath),
		gojq.WithFunction("_subject", 0, 0, checkSubject),
		gojq.WithFunction("_product", 1, 1, checkProduct),
		gojq.WithFunction("_joinable", 1, 1, checkJoin),
		gojq.WithFunction("_rectangle", 0, 0, checkRectangle),
	}
}

// weighValue ends the run if a value is too large, or all together are; else the value goes on as it is.
func weighValue(v any, arguments []any) any {
	m, ok := arguments[0].(*meter)
	if !ok {
		return errMemory
	}
	w := weight(v, min(maxWeight, m.memory))
	if m.memory -= w; w > maxWeight || m.memory < 0 {
		m.exceeded = errMemory
		return errMemory
	}
	return v
}

// weight is what v weighs written out, or more than limit if that, or its depth, is too much.
func weight(v any, limit int) int {
	s := scale{left: limit}
	s.put(v, 0)
	return limit - s.left
}

type scale struct{ left int }

func (s *scale) put(v any, depth int) {
	if depth > maxDepth {
		s.left = -1
	}
	if s.left -= valueWeight; s.left < 0 {
		return
	}
	switch v := v.(type) {
	case string:
		s.left -= len(v)
	case json.Number:
		s.left -= len(v)
	case *big.Int:
		if s.left -= v.BitLen() / 3; v.BitLen() > maxNumberWidth {
			s.left = -1
		}
	case []any:
		for _, element := range v {
			if s.put(element, depth+1); s.left < 0 {
				return
			}
		}
	case map[string]any:
		for name, member := range v {
			s.left -= len(name)
			if s.put(member, depth+1); s.left < 0 {
				return
			}
		}
	}
}

var (
	errProduct = errors.New("a built-in would compare too much with too much")
	errPlace   = fmt.Errorf("an index is above %d", maxPlace)
	errPath    = fmt.Errorf("a path has more than %d steps or an index above %d", maxPathLength, maxPlace)
	errParts   = fmt.Errorf("a text of more than %d bytes is too long to be taken apart", maxPartedBytes)
	errSubject = fmt.Errorf("a text of more than %d bytes is too long for this", maxSubjectBytes)
)

// factors is the operands of a product as a pair, unless they would make something huge.
func factors(_ any, operands []any) any {
	for i, v := range operands {
		s, isText := v.(string)
		if n, isNumber := gojq.ToFloat64(operands[1-i]); isText && isNumber && n*float64(len(s)) > maxWeight {
			return errMemory
		}
		if w := weight(v, maxWeight); w > maxWeight {
			return errMemory
		}
	}
	return []any{operands[0], operands[1]}
}

// difference is the operands as a pair, unless they are lists that are too long to be compared element by element.
func difference(_ any, operands []any) any {
	a, aIsList := operands[0].([]any)
	b, bIsList := operands[1].([]any)
	if aIsList && bIsList && tooMuch(a, b) {
		return errProduct
	}
	return []any{operands[0], operands[1]}
}

// tooMuch reports whether comparing each part of a with each of b is too much.
func tooMuch(a, b any) bool {
	return weight(a, maxWeight)/valueWeight*(weight(b, maxWeight)/valueWeight) > maxProduct
}

// quotient is the operands as a pair. A text divided by a text is cut into pieces.
func quotient(_ any, operands []any) any {
	if err, wrong := checkParts(operands[0], nil).(error); wrong {
		return err
	}
	return []any{operands[0], operands[1]}
}

func checkPlace(v any, _ []any) any {
	if n, ok := gojq.ToFloat64(v); ok && n > maxPlace {
		return errPlace
	}
	return v
}

func checkPath(v any, _ []any) any {
	path, ok := v.([]any)
	if !ok {
		return v // the built-in says what is wrong
	}
	if len(path) > maxPathLength {
		return errPath
	}
	for _, step := range path {
		if n, ok := gojq.ToFloat64(step); ok && n > maxPlace {
			return errPath
		}
	}
	return v
}

func checkSubject(v any, _ []any) any {
	if s, ok := v.(string); ok && len(s) > maxSubjectBytes {
		return errSubject
	}
	return v
}

func checkParts(v any, _ []any) any {
	if s, ok := v.(string); ok && len(s) > maxPartedBytes {
		return errParts
	}
	return v
}

func checkProduct(v any, arguments []any) any {
	if tooMuch(v, arguments[0]) {
		return errProduct
	}
	return v
}

func checkJoin(v any, arguments []any) any {
	elements, isList := v.([]any)
	if separator, ok := arguments[0].(string); ok && isList && len(elements)*len(separator) > maxWeight {
		return errMemory
	}
	return v
}

func checkRectangle(v any, _ []any) any {
	rows, _ := v.([]any)
	longest := 0
	for _, row := range rows {
		if row, ok := row.([]any); ok {
			longest = max(longest, len(row))
		}
	}
	if longest*len(rows) > maxWeight/valueWeight {
		return errMemory
	}
	return v
}
