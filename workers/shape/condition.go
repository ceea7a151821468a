package shape

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"github.com/genmesh/genmesh/mesh"
)

const (
	maxConditionBytes = 4 << 10
	maxConditionNodes = 1000
	maxPatternSize    = 1000 // instructions of a compiled regular expression
	maxMistakes       = 20
	fieldWhen         = "when"
)

// condition is a compiled When. The library parses it; evaluation is our own, because the library's knows neither a third truth value nor a
// bound on its time.
type condition struct {
	expression expression
	variables  int
}

// expression is a compiled part of a condition.
type expression func(*evaluation) value

// part is an expression with what is known of it at load.
type part struct {
	of   expression
	kind kind
	size int // how many parts it has: what one evaluation costs at least
}

func compileCondition(source string) (*condition, Mistakes) {
	c := compiler{source: source}
	if len(source) > maxConditionBytes {
		c.wrong(-1, fmt.Sprintf("it has %d bytes; at most %d are allowed", len(source), maxConditionBytes),
			"let a program that serves the subscriber choose")
		return nil, c.mistakes
	}
	if !utf8.ValidString(source) {
		c.wrong(-1, "it is not valid UTF-8", "")
		return nil, c.mistakes
	}
	config := conf.CreateNew()
	config.MaxNodes = maxConditionNodes
	tree, err := parser.ParseWithConfig(source, config)
	if err != nil {
		c.unparsed(err)
		return nil, c.mistakes
	}
	root := c.condition(tree.Node)
	return &condition{expression: root.of, variables: c.most}, c.mistakes
}

type compiler struct {
	source   string
	mistakes Mistakes
	scopes   int        // how many predicates are around
	locals   []variable // the variables in scope
	most     int        // of variables at once
}

type variable struct {
	name string
	kind kind
}

func (c *compiler) unparsed(err error) {
	var syntaxError *file.Error
	if !errors.As(err, &syntaxError) {
		c.wrong(-1, "it can't be parsed", "")
		return
	}
	problem, _, _ := strings.Cut(syntaxError.Message, "\n")
	hint := ""
	switch {
	case strings.Contains(problem, `"="`):
		hint = `to compare, write "=="`
	case strings.Contains(problem, `"#"`), strings.Contains(problem, `Operator(".")`):
		hint = `"#" and names that begin with "." stand for an element, inside of any(…) and its like`
	case strings.Contains(problem, "maximum allowed nodes"):
		problem = fmt.Sprintf("it has more than %d parts", maxConditionNodes)
	}
	c.wrong(syntaxError.From, problem, hint)
}

// wrong notes a mistake at a place that counts characters, -1 for the whole.
func (c *compiler) wrong(at int, problem, hint string) part {
	m := Mistake{Field: fieldWhen, Problem: problem, Hint: hint}
	if at >= 0 {
		m.Line, m.Column = place(c.source, byteOffset(c.source, at))
	}
	if len(c.mistakes) < maxMistakes {
		c.mistakes = append(c.mistakes, m)
	}
	return part{of: func(*evaluation) value { return value{} }, kind: anything, size: 1}
}

func byteOffset(s string, characters int) int {
	for offset := range s {
		if characters == 0 {
			return offset
		}
		characters--
	}
	return len(s)
}

func (c *compiler) wrongAt(n ast.Node, problem, hint string) part {
	return c.wrong(n.Location().From, problem, hint)
}

// condition compiles what has to be true or false.
func (c *compiler) condition(n ast.Node) part {
	p := c.part(n)
	if p.kind != boolean && p.kind != anything {
		c.wrongAt(n, fmt.Sprintf("%s is %s, not a condition", shown(n), p.kind), `compare it with something, such as == "call"`)
	}
	return p
}

// shown is a piece of the condition for messages.
func shown(n ast.Node) string {
	const most = 60
	s := n.String()
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func (c *compiler) part(n ast.Node) part {
	switch n := n.(type) {
	case *ast.NilNode:
		return constant(value{kind: null})
	case *ast.BoolNode:
		return constant(value{kind: boolean, truth: n.Value})
	case *ast.IntegerNode:
		return constant(value{kind: numeric, number: number{whole: int64(n.Value)}})
	case *ast.FloatNode:
		return c.decimal(n)
	case *ast.StringNode:
		return constant(textValue(n.Value))
	case *ast.IdentifierNode:
		return c.identifier(n)
	case *ast.ChainNode:
		return c.part(n.Node)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.choice(n)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.BuiltinNode:
		return c.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return c.call(n, callee.Value, n.Arguments)
		}
		return c.wrongAt(n, "values have no methods", "known are the functions "+strings.Join(functionNames(), ", "))
	case *ast.SliceNode:
		return c.wrongAt(n, "slices such as [1:3] are not available", "use startsWith, endsWith, first or last")
	case *ast.SequenceNode:
		return c.wrongAt(n, `";" divides nothing here`, `write "and" or "or"`)
	case *ast.MapNode:
		return c.wrongAt(n, "an object can't be made here", "compare its members one by one")
	default:
		return c.wrongAt(n, "this is not available in a condition", "")
	}
}

func constant(v value) part {
	return part{of: func(*evaluation) value { return v }, kind: v.kind, size: 1}
}

// decimal takes a literal for the decimal that it is written as, not for the nearest float64.
func (c *compiler) decimal(n *ast.FloatNode) part {
	number, ok := parseNumber(strconv.FormatFloat(n.Value, 'g', -1, 64))
	if !ok {
		return c.wrongAt(n, "the number is out of range", "")
	}
	return constant(value{kind: numeric, number: number})
}

func (c *compiler) identifier(n *ast.IdentifierNode) part {
	for i, local := range slices.Backward(c.locals) {
		if local.name == n.Value {
			return part{of: func(e *evaluation) value { return e.variables[i] }, kind: local.kind, size: 1}
		}
	}
	switch n.Value {
	case "body":
		return part{of: (*evaluation).body, kind: anything, size: 1}
	case "data":
		return part{of: func(e *evaluation) value { return e.member(e.body(), "data", "data") }, kind: anything, size: 2}
	case "event":
		return c.wrongAt(n, "event by itself is no value", "write such as event.type")
	}
	return c.wrongAt(n, fmt.Sprintf("there is no %q", n.Value), suggest(n.Value, []string{"event", "body", "data"})+
		`; a text stands in quotes, a field of the body after "data."`)
}

// envelopeValues are the members of event.
var envelopeValues = map[string]struct {
	kind kind
	of   func(*mesh.Event) value
}{
	"source":       {text, func(e *mesh.Event) value { return optionalText(e.Source) }},
	"organization": {text, func(e *mesh.Event) value { return optionalText(e.Organization) }},
	"interaction":  {text, func(e *mesh.Event) value { return optionalText(e.Interaction) }},
	"id":           {text, func(e *mesh.Event) value { return optionalText(e.ID) }},
	"type":         {text, func(e *mesh.Event) value { return optionalText(e.Type) }},
	"media":        {text, func(e *mesh.Event) value { return optionalText(e.Media) }},
	"subject":      {text, func(e *mesh.Event) value { return optionalText(e.Subject) }},
	"stream":       {text, func(e *mesh.Event) value { return optionalText(e.Stream) }},
	"sequence":     {numeric, sequenceValue},
	"occurred":     {instant, func(e *mesh.Event) value { return timeValue(e.Occurred) }},
	"received":     {instant, func(e *mesh.Event) value { return timeValue(e.Received) }},
}

func sequenceValue(e *mesh.Event) value {
	if e.Sequence == 0 {
		return value{}
	}
	n, _ := parseNumber(strconv.FormatUint(e.Sequence, 10))
	return value{kind: numeric, number: n}
}

func (c *compiler) member(n *ast.MemberNode) part {
	name, named := n.Property.(*ast.StringNode)
	if of, ok := n.Node.(*ast.IdentifierNode); ok && of.Value == "event" && !c.isLocal("event") {
		if !named {
			return c.wrongAt(n, "event has no elements", "write such as event.type")
		}
		return c.envelope(n, name.Value)
	}
	of, key, what := c.part(n.Node), c.part(n.Property), shown(n)
	if of.kind != anything && of.kind != list && of.kind != object {
		c.wrongAt(n, fmt.Sprintf("%s is %s and has no members", shown(n.Node), of.kind), "")
	}
	size := of.size + key.size + 1
	if named {
		return part{of: func(e *evaluation) value { return e.member(of.of(e), name.Value, what) }, kind: anything, size: size}
	}
	return part{of: func(e *evaluation) value { return e.at(of.of(e), key.of(e), what) }, kind: anything, size: size}
}

func (c *compiler) isLocal(name string) bool {
	return slices.ContainsFunc(c.locals, func(v variable) bool { return v.name == name })
}

func (c *compiler) envelope(n *ast.MemberNode, name string) part {
	known, ok := envelopeValues[name]
	if !ok {
		return c.wrongAt(n, fmt.Sprintf("an event has no %q", name), suggest(name, slices.Sorted(maps.Keys(envelopeValues))))
	}
	return part{kind: known.kind, size: 1, of: func(e *evaluation) value {
		v := known.of(&e.event)
		if v.kind == missing {
			e.note("event.%s is missing", name)
		}
		return v
	}}
}

func (c *compiler) pointer(n *ast.PointerNode) part {
	switch {
	case c.scopes == 0: // the parser lets none through
		return c.wrongAt(n, "there is no element here", "")
	case n.Name == "index":
		return part{of: (*evaluation).position, kind: numeric, size: 1}
	case n.Name != "":
		return c.wrongAt(n, fmt.Sprintf("there is no #%s", n.Name), "known are # and #index")
	}
	return part{of: (*evaluation).element, kind: anything, size: 1}
}

func (c *compiler) array(n *ast.ArrayNode) part {
	elements, size := make([]part, len(n.Nodes)), 1
	for i, node := range n.Nodes {
		elements[i] = c.part(node)
		size += elements[i].size
	}
	return part{kind: list, size: size, of: func(e *evaluation) value {
		if !e.pay(keepCost * len(elements)) {
			return value{}
		}
		values := make([]value, len(elements))
		for i, element := range elements {
			values[i] = element.of(e)
		}
		return value{kind: list, made: true, values: values}
	}}
}

func (c *compiler) let(n *ast.VariableDeclaratorNode) part {
	if c.scopes > 0 {
		return c.wrongAt(n, "let stands outside of any(…) and its like", "")
	}
	v := c.part(n.Value)
	slot := len(c.locals)
	c.locals = append(c.locals, variable{n.Name, v.kind})
	c.most = max(c.most, len(c.locals))
	in := c.part(n.Expr)
	c.locals = c.locals[:slot]
	return part{kind: in.kind, size: v.size + in.size + 1, of: func(e *evaluation) value {
		before := e.noted()
		e.variables[slot] = v.of(e)
		after := e.noted()
		result := in.of(e)
		if result.kind != missing {
			e.forget(before, after)
		}
		return result
	}}
}
