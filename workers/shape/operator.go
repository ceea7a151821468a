package shape

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

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
	return part{kind: boolean, size: left.size + right.size + 1, of: decided(func(e *evaluation) value {
		a := left.of(e).answer()
		if a == settles || e.err != nil {
			return a.value()
		}
		if b := right.of(e).answer(); b == settles || a == -settles {
			return b.value()
		}
		return value{}
	})}
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
	return part{kind: boolean, size: left.size + right.size + 1, of: decided(func(e *evaluation) value {
		return e.in(left.of(e), right.of(e), what).value()
	})}
}

// otherwise is a ?? b. That a is missing is told only if b is so, too.
func (c *compiler) otherwise(n *ast.BinaryNode) part {
	left, right := c.part(n.Left), c.part(n.Right)
	return part{kind: common(left.kind, right.kind), size: left.size + right.size + 1, of: func(e *evaluation) value {
		before := e.noted()
		v := left.of(e)
		if v.isThere() || e.err != nil {
			return v
		}
		after := e.noted()
		if v = right.of(e); v.kind != missing {
			e.forget(before, after)
		}
		return v
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
