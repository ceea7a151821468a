package shape

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"regexp/syntax"
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

func (c *compiler) unary(n *ast.UnaryNode) part {
	switch n.Operator {
	case "!", "not":
		p := c.condition(n.Node)
		return part{of: func(e *evaluation) value { return (-p.of(e).answer()).value() }, kind: boolean, size: p.size + 1}
	case "-":
		p := c.oneOf(n.Node, numeric)
		minus := number{whole: 0}
		return part{of: func(e *evaluation) value {
			return e.calculate("-", value{kind: numeric, number: minus}, p.of(e))
		}, kind: numeric, size: p.size + 1}
	}
	return c.oneOf(n.Node, numeric)
}

// oneOf compiles what has to be of one of the kinds.
func (c *compiler) oneOf(n ast.Node, kinds ...kind) part {
	p := c.part(n)
	if p.kind == anything || slices.Contains(kinds, p.kind) {
		return p
	}
	wanted := make([]string, len(kinds))
	for i, k := range kinds {
		wanted[i] = k.String()
	}
	c.wrongAt(n, fmt.Sprintf("%s is %s, where %s is needed", shown(n), p.kind, strings.Join(wanted, " or ")), "")
	return p
}

func (c *compiler) binary(n *ast.BinaryNode) part {
	switch n.Operator {
	case "and", "&&", "or", "||":
		return c.logic(n)
	case "==", "!=", "<", "<=", ">", ">=":
		return c.comparison(n)
	case "matches":
		return c.pattern(n)
	case "contains", "startsWith", "endsWith":
		return c.textOperator(n)
	case "in":
		return c.membership(n)
	case "??":
		return c.otherwise(n)
	case "+", "-", "*", "/", "%":
		return c.arithmetic(n)
	}
	return c.wrongAt(n, fmt.Sprintf("the operator %q is not available in a condition", n.Operator), "")
}

func (c *compiler) logic(n *ast.BinaryNode) part {
	left, right := c.condition(n.Left), c.condition(n.Right)
	settles := no // what the right side can't change any more
	if n.Operator == "or" || n.Operator == "||" {
		settles = yes
	}
	return part{kind: boolean, size: left.size + right.size + 1, of: func(e *evaluation) value {
		a := left.of(e).answer()
		if a == settles || e.err != nil {
			return a.value()
		}
		if b := right.of(e).answer(); b == settles || a == -settles {
			return b.value()
		}
		return value{}
	}}
}

func (c *compiler) comparison(n *ast.BinaryNode) part {
	left, right, what := c.part(n.Left), c.part(n.Right), shown(n)
	operator := n.Operator
	size := left.size + right.size + 1
	_, leftNil := n.Left.(*ast.NilNode)
	_, rightNil := n.Right.(*ast.NilNode)
	if leftNil || rightNil {
		if operator != "==" && operator != "!=" {
			return c.wrongAt(n, "nil has no order", "")
		}
		return part{kind: boolean, size: size, of: func(e *evaluation) value { return isNull(operator, left.of(e), right.of(e)) }}
	}
	if !comparable(left.kind, right.kind) {
		return c.wrongAt(n, fmt.Sprintf("%s compares %s with %s, which is never true", what, left.kind, right.kind), "")
	}
	if operator == "==" || operator == "!=" {
		return part{kind: boolean, size: size, of: func(e *evaluation) value {
			a := e.equal(left.of(e), right.of(e), what)
			if operator == "!=" {
				a = -a
			}
			return a.value()
		}}
	}
	return part{kind: boolean, size: size, of: func(e *evaluation) value {
		return e.ordered(operator, left.of(e), right.of(e), what).value()
	}}
}

func comparable(a, b kind) bool {
	times := (a == instant || a == text) && (b == instant || b == text)
	return a == b || a == anything || b == anything || times
}

func isNull(operator string, a, b value) value {
	if a.kind == missing || b.kind == missing {
		return value{}
	}
	return value{kind: boolean, truth: (a.kind == null && b.kind == null) == (operator == "==")}
}

func (c *compiler) pattern(n *ast.BinaryNode) part {
	left, what := c.oneOf(n.Left, text), shown(n)
	literal, ok := n.Right.(*ast.StringNode)
	if !ok {
		return c.wrongAt(n.Right, "a regular expression has to be written out as a text", `write such as matches "^[+]49"`)
	}
	expression, err := regexp.Compile(literal.Value)
	if err != nil {
		return c.wrongAt(n.Right, "the regular expression is wrong: "+bounded(err.Error()), "the syntax is RE2, without look-around and back references")
	}
	weight := patternSize(literal.Value)
	if weight > maxPatternSize {
		return c.wrongAt(n.Right, "the regular expression is too large", "repeat less often than such as {1000}")
	}
	return part{kind: boolean, size: left.size + 1, of: func(e *evaluation) value {
		v := left.of(e)
		if v.kind != text {
			return e.unfit(what, v)
		}
		if !e.pay(1 + len(v.text)*weight/8) {
			return value{}
		}
		return value{kind: boolean, truth: expression.MatchString(v.text)}
	}}
}

// patternSize is how many instructions a regular expression has: matching costs at most so many steps for a byte.
func patternSize(expression string) int {
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return maxPatternSize + 1
	}
	compiled, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return maxPatternSize + 1
	}
	return len(compiled.Inst)
}

func (c *compiler) textOperator(n *ast.BinaryNode) part {
	left, right, what := c.oneOf(n.Left, text), c.oneOf(n.Right, text), shown(n)
	test := map[string]func(string, string) bool{
		"contains": strings.Contains, "startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix,
	}[n.Operator]
	return part{kind: boolean, size: left.size + right.size + 1, of: func(e *evaluation) value {
		a, b := left.of(e), right.of(e)
		if a.kind != text || b.kind != text {
			return e.unfit(what, a, b)
		}
		if !e.pay(1 + (len(a.text)+len(b.text))/16) {
			return value{}
		}
		return value{kind: boolean, truth: test(a.text, b.text)}
	}}
}

func (c *compiler) membership(n *ast.BinaryNode) part {
	left, right, what := c.part(n.Left), c.oneOf(n.Right, list, object), shown(n)
	return part{kind: boolean, size: left.size + right.size + 1, of: func(e *evaluation) value {
		return e.in(left.of(e), right.of(e), what).value()
	}}
}

func (c *compiler) otherwise(n *ast.BinaryNode) part {
	left, right := c.part(n.Left), c.part(n.Right)
	return part{kind: common(left.kind, right.kind), size: left.size + right.size + 1, of: func(e *evaluation) value {
		if v := left.of(e); v.isThere() || e.err != nil {
			return v
		}
		return right.of(e)
	}}
}

func common(a, b kind) kind {
	if a != b {
		return anything
	}
	return a
}

func (c *compiler) arithmetic(n *ast.BinaryNode) part {
	left, right := c.oneOf(n.Left, numeric, text, instant, span), c.oneOf(n.Right, numeric, text, instant, span)
	kind := anything
	switch {
	case left.kind == numeric || right.kind == numeric:
		kind = numeric
	case left.kind == text || right.kind == text:
		kind = text
	}
	operator := n.Operator
	return part{kind: kind, size: left.size + right.size + 2, of: func(e *evaluation) value {
		return e.calculate(operator, left.of(e), right.of(e))
	}}
}

// choice is a ? b : c. An unknown condition chooses neither.
func (c *compiler) choice(n *ast.ConditionalNode) part {
	condition, then, otherwise := c.condition(n.Cond), c.part(n.Exp1), c.part(n.Exp2)
	size := condition.size + then.size + otherwise.size + 1
	return part{kind: common(then.kind, otherwise.kind), size: size, of: func(e *evaluation) value {
		switch condition.of(e).answer() {
		case yes:
			return then.of(e)
		case no:
			return otherwise.of(e)
		}
		return value{}
	}}
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
		e.variables[slot] = v.of(e)
		return in.of(e)
	}}
}
