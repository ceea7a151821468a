package shape_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/shape"
)

var order = mesh.Event{Source: "genesys", Type: "interaction", Sequence: 17, Body: []byte(
	`{"data":{"id":"x","n":3,"list":[1,2,3],"s":"aab","big":9007199254740993,"vast":123456789012345678901234567890,"f":1.50}}`)}

func TestAProgramMakesTheBody(t *testing.T) {
	for _, c := range [][2]string{
		{`.data.id`, `"x"`},
		{`{z: .data.id, a: $event.type, m: $event.media, n: $event.sequence}`, `{"a":"interaction","m":null,"n":17,"z":"x"}`},
		{`.data | {big, vast, f}`, `{"big":9007199254740993,"f":1.50,"vast":123456789012345678901234567890}`},
		{`.data.big + 1`, `9007199254740994`},
		{`.data.vast + 1`, `123456789012345678901234567891`},
		{`.data.list |= map(select(. > 1)) | .data.list`, `[2,3]`},
		{`.data.n += 5 | .data.n`, `8`},
		{`.data.n -= 1 | .data.n *= 4 | .data.n /= 2 | .data.n %= 3 | .data.n`, `1`},
		{`.data.x //= 1 | .data.x`, `1`},
		{`.data.n * 3 - 1 / 2`, `8.5`},
		{`"ab" * 3`, `"ababab"`},
		{`"a/b" / "/"`, `["a","b"]`},
		{`.data.list - [2]`, `[1,3]`},
		{`{a: {b: 1}} * {a: {c: 2}}`, `{"a":{"b":1,"c":2}}`},
		{`(1, 2) as $x | $x * 2 | select(. > 2)`, `4`},
		{`[(1, 2) * (3, 4)]`, `[3,6,4,8]`},
		{`def twice(f): f | f; .data.n | twice(. + 1)`, `5`},
		{`def add2($x): . + $x; .data.n | add2(4)`, `7`},
		{`[.data.list[] as $x | $x * 2] | join("-")`, `"2-4-6"`},
		{`"\(.data.s)-\(.data.n)"`, `"aab-3"`},
		{`@base64 "\(.data.s)"`, `"YWFi"`},
		{`.data.s | gsub("a"; "b")`, `"bbb"`},
		{`.data.s | capture("(?<x>b)")`, `{"x":"b"}`},
		{`.data.s | split("a"), [] | select(length > 0)`, `["","","b"]`},
		{`.data.list | contains([1])`, `true`},
		{`.data.s | index("b")`, `2`},
		{`[[1, 2], [3]] | transpose`, `[[1,3],[2,null]]`},
		{`del(.data.list, .data.big, .data.vast, .data.f) | with_entries(.value |= tostring)`, `{"data":"{\"id\":\"x\",\"n\":3,\"s\":\"aab\"}"}`},
		{`.data.list[.data.list[0]] = 7 | .data.list`, `[1,7,3]`},
		{`.data.list[1:] = ["x"] | .data.list`, `[1,"x"]`},
		{`getpath(["data", "n"]) |= . + 1 | .data.n`, `4`},
		{`[paths(type == "string")]`, `[["data","id"],["data","s"]]`},
		{`try error("x") catch .`, `"x"`},
		{`reduce .data.list[] as $x ({}; .["k\($x)"] += $x)`, `{"k1":1,"k2":2,"k3":3}`},
		{`first(.data.list[] | select(. > 1))`, `2`},
		{`.data as {n: $a, list: [$b]} | [$a, $b]`, `[3,1]`},
		{`if .data.n > 2 then "many" elif .data.n == 2 then "two" else "few" end`, `"many"`},
		{`label $out | foreach .data.list[] as $x (0; . + $x; if . > 2 then ., break $out else empty end)`, `3`},
	} {
		got, delivered, err := newShape(t, mesh.Subscriber{Transform: c[0]}).Apply(t.Context(), order)
		require.NoError(t, err, c[0])
		assert.True(t, delivered)
		assert.Equal(t, c[1], string(got.Body), c[0])
	}
}

func TestAProgramWithoutAResultPassesTheEventBy(t *testing.T) {
	for _, transform := range []string{`empty`, `select(.data.n > 9)`, `.data.nothing[]?`} {
		_, delivered, err := newShape(t, mesh.Subscriber{Transform: transform}).Apply(t.Context(), order)
		require.NoError(t, err)
		assert.False(t, delivered)
	}
}

func TestAProgramThatFailsSaysWhy(t *testing.T) {
	for transform, says := range map[string]string{
		`.data.list[]`:                    `transform: the program has more than one result`,
		`error("no customer")`:            `transform: error: no customer`,
		`error`:                           `transform: error: {"data":`,
		`.data.id.x`:                      `transform: expected an object but got: string ("x")`,
		`.data.id | fromjson`:             `transform: `,
		`error("long" * 10000)`:           `…`,
		`., error("after the first one")`: `after the first one`,
	} {
		_, delivered, err := newShape(t, mesh.Subscriber{Transform: transform}).Apply(t.Context(), order)
		require.ErrorContains(t, err, says, transform)
		assert.False(t, delivered)
		assert.Less(t, len(err.Error()), 300)
	}
}

func TestAProgramReachesNothingButItsEvent(t *testing.T) {
	t.Setenv("GENMESH_TEST_SECRET", "never")
	for transform, says := range map[string]string{
		`env.GENMESH_TEST_SECRET`:            `env is not available: a program can't read the environment`,
		`$ENV.GENMESH_TEST_SECRET`:           `there is no variable $ENV`,
		`{$ENV}`:                             `there is no variable $ENV`,
		`{$__run}`:                           `there is no variable $__run`,
		`. as $__run | 1`:                    `there is no variable $__run`,
		`. as {$__right} | 1`:                `there is no variable $__right`,
		`input`:                              `input is not available`,
		`[inputs]`:                           `inputs is not available`,
		`debug`:                              `debug is not available`,
		`halt_error`:                         `halt_error is not available`,
		`input_filename`:                     `input_filename is not available`,
		`import "a" as a; a::b`:              `there are no modules`,
		`include "a"; b`:                     `there are no modules`,
		`_weigh(1)`:                          `there is no function _weigh/1`,
		`def select(f): f; select(.a)`:       `select has the name of something that exists already`,
		`def f(_path): _path; f(1)`:          `_path has the name`,
		`test(.pattern)`:                     `have to be written out as a text`,
		`sub("a"; "b"; .flags)`:              `have to be written out as a text`,
		`test("(")`:                          `a regular expression is wrong`,
		`.data.id | joim(",")`:               `there is no function joim/1; did you mean "join"?`,
		`{id: .data.id`:                      `transform (column 14): unexpected EOF`,
		"{\n  id: .data.id,\n  x: nosuch\n}": `transform (line 3, column 6): there is no function nosuch/0`,
		`$nothing`:                           `variable not defined: $nothing`,
		`select(.a; .b; .c)`:                 `function not defined: select/3`,
		`nth`:                                `function not defined: nth/0`,
		`contains`:                           `function not defined: contains/0`,
		strings.Repeat("x", 9000):            `at most 8192 are allowed`,
		"\"\xff\"":                           `not valid UTF-8`,
	} {
		err := shape.Check(mesh.Subscriber{Transform: transform})
		require.Error(t, err, transform)
		assert.Contains(t, err.Error(), says)
		assert.NotContains(t, err.Error(), "never")
	}
}

func TestAProgramEndsWhateverItDoes(t *testing.T) {
	event := mesh.Event{Body: []byte(`{"data":"` + strings.Repeat("a", 300_000) + `","list":[` + strings.Repeat("1,", 20_000) + `1]}`)}
	for _, transform := range []string{
		`[range(1e9)]`, `[repeat("a")]`, `def f: 1 + f; f`, `def f: f; f`, `def f: [f, f]; f`, `0 | until(false; .)`, `last(repeat(1))`,
		`"a" * 1e9`, `reduce range(100) as $i ("a"; . + .)`, `reduce range(100) as $i ([1]; . + .)`, `reduce range(100) as $i ("a"; . * 9)`,
		`reduce range(100) as $i ("a"; "\(.)\(.)")`, `reduce range(40) as $i (1; [., .]) | tojson`, `reduce range(40) as $i (1; {a: ., b: .}) == 1`,
		`reduce range(40) as $i ({}; .a = . | .b = .a)`, `reduce range(40) as $i (1; [., .]) | sort`, `reduce range(9999) as $i (1; [.])`,
		`reduce range(30) as $i (10; . * .)`, `reduce range(30) as $i (10; . *= .)`, `reduce range(30) as $i ({a: "a"}; .a += .a)`,
		`.x[1e8 | floor] = 1`, `.x[536870911] = 1`, `setpath([1e8]; 1)`, `getpath(["x", 1e8]) = 1`, `getpath([range(100000)]) = 1`, `[] | nth(1e8) = 1`,
		`.list - .list`, `[.list[:5000][] | tojson] | . - .`, `.list as $l | .list | indices($l)`, `.list as $l | .list | contains($l)`,
		`[.list, .list[]] | map([.]) | transpose | tojson`, `.data as $d | .list | join($d)`, `.data | [match("a"; "g")]`, `.data | explode | implode`,
		`.data / ""`, `[.list | combinations]`, `[range(1e6) | ("a" * 1000000)]`, `try (reduce range(100) as $i ("a"; . + .)) catch "caught"`,
		`[limit(1e9; repeat(.data))]`, `.list | [.[] as $a | .[] as $b | $a]`, `try (def f: 1 + f; f) catch 1`,
	} {
		_, delivered, err := newShape(t, mesh.Subscriber{Transform: transform}).Apply(t.Context(), event)
		require.Error(t, err, transform)
		assert.False(t, delivered)
	}
}

func TestAProgramThatIsSlowMayBeTriedAgain(t *testing.T) {
	slow := `[range(4000)] | map("aaa" * 2600 | test("(a|aa|aaa)*b"))`
	_, delivered, err := newShape(t, mesh.Subscriber{Transform: slow}).Apply(t.Context(), order)
	require.ErrorIs(t, err, shape.ErrTimeLimit)
	assert.False(t, delivered)
}

func TestAResultIsBounded(t *testing.T) {
	event := mesh.Event{Body: []byte(`"` + strings.Repeat("a", 400_000) + `"`)}
	_, _, err := newShape(t, mesh.Subscriber{Transform: `[., ., .]`}).Apply(t.Context(), event)
	assert.ErrorContains(t, err, "the result has more than 1048576 bytes")
}

func TestAProgramCannotSeeWhatIsRedacted(t *testing.T) {
	s := newShape(t, mesh.Subscriber{
		RedactKey: "${REDACT_KEY}",
		Redact:    []mesh.Redaction{{Path: "data.id", With: mesh.RedactDrop}, {Path: "data.s"}, {Path: "data.list.1", With: mesh.RedactDrop}, {Path: "data.n", With: mesh.RedactHash}},
		Transform: `{body: ., event: $event}`,
	})
	got, _, err := s.Apply(t.Context(), order)
	require.NoError(t, err)
	assert.NotContains(t, string(got.Body), `"id":"x"`)
	assert.NotContains(t, string(got.Body), "aab")
	assert.Contains(t, string(got.Body), `"list":[1,null,3],"n":"hmac:`)
	_, _, err = newShape(t, mesh.Subscriber{Redact: []mesh.Redaction{{Path: "data.s"}}, Transform: `error(.data.s)`}).Apply(t.Context(), order)
	assert.EqualError(t, err, "transform: error: ***")
}
