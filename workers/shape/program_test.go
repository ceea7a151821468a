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
		`.data.list[]`:         `transform: the program has more than one result`,
		`error("no customer")`: `transform: error: no customer`,
		`error("long` + strings.Repeat("g", 999) + `")`: `…`,
		`., error("after the first one")`:               `transform: error: after the first one`,
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
		`def f(_path): _path; f(1)`:          `_path has a name that is not the program's`,
		`def _weigh($run): .; .`:             `_weigh has a name that is not the program's`,
		`def f($__run): .; f(1)`:             `$__run has a name that is not the program's`,
		`test(.pattern)`:                     `have to be written out as a text`,
		`sub("a"; "b"; .flags)`:              `have to be written out as a text`,
		`test("(")`:                          `a regular expression is wrong`,
		`.data.id | joim(",")`:               `there is no function joim/1; did you mean "join"?`,
		`ENV.HOME`:                           `there is no function ENV/0; see "when" and "transform" in docs/delivery.md`,
		`.data.id | asci_lowercase`:          `there is no function asci_lowercase/0; the nearest are ascii_downcase`,
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
	_, delivered, err := newTimedShape(t, mesh.Subscriber{Transform: slow}).Apply(t.Context(), order)
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
	x := explain(t, mesh.Subscriber{Redact: []mesh.Redaction{{Path: "data.s"}}, Transform: `error(.data.s)`}, order)
	assert.Equal(t, "error: ***", x.Whole, "not even who has the body is shown what the program did not see")
}

// personal is an event in which every value is one that nobody may read in a log.
var personal = mesh.Event{Interaction: "CANARY-i", Body: []byte(`{"data":{"ani":"+1555CANARY","name":"CANARY","nine":91919191,"big":919191919191919191919191,"zero":0,
	"list":["CANARY",["CANARY"],9191],"object":{"CANARY":"CANARY"},"json":"{\"CANARY\":}","base64":"CANARY!!","yes":true,"nothing":null,
	"points":[9191,-9191],"date":"CANARY-01-01","key":"CANARY","negative":-91919191,"vast":91919191e300}}`)}

// TestNoErrorOfAProgramShowsAValueOfTheBody: errors go to logs and dead letters. What is left names the operation and the types.
func TestNoErrorOfAProgramShowsAValueOfTheBody(t *testing.T) {
	const called = `which may hold values of the event`
	for transform, says := range map[string]string{
		`.data.ani[]`:                                     `cannot iterate over: string`,
		`.data.nine[]`:                                    `cannot iterate over: number`,
		`.data.name.first`:                                `expected an object but got: string`,
		`.data.list.first`:                                `expected an object but got: array`,
		`.data.object[0]`:                                 `expected an array but got: object`,
		`.data.list[.data.key]`:                           `expected an object but got: array`,
		`.data.name[.data.list]`:                          `expected an array but got: string`,
		`.data.name[.data.key:]`:                          `expected a number for indexing a string but got: string`,
		`.data.list[.data.key:]`:                          `expected a number for indexing an array but got: string`,
		`.data.object[.data.list[0]] | .x`:                `expected an object but got: string`,
		`{(.data.list): 1}`:                               `expected a string for object key but got: array`,
		`.data.name | tonumber`:                           `tonumber cannot be applied to this string`,
		`.data.object | tonumber`:                         `tonumber cannot be applied to: object`,
		`.data.name | toboolean`:                          `toboolean cannot be applied to this string`,
		`error(.data.ani)`:                                `error was called with a string, ` + called,
		`error("caller \(.data.ani) is unknown")`:         `error was called with a string, ` + called,
		`error("caller " + .data.ani)`:                    `error was called with a string, ` + called,
		`error({ani: .data.ani})`:                         `error was called with an object, ` + called,
		`.data.list | error`:                              `error was called with an array, ` + called,
		`error(null)`:                                     `error was called with null, ` + called,
		`.data.ani as $x | try error($x) catch error(.)`:  `error was called with a string, ` + called,
		`try .data.ani[] catch error`:                     `error was called with a string, ` + called,
		`def error(x): .data.ani | error; error("no")`:    `error was called with a string, ` + called,
		`def fail(x): error(x); fail(.data.ani)`:          `error was called with a string, ` + called,
		`$event.interaction | error`:                      `error was called with a string, ` + called,
		`.data.json | fromjson`:                           `fromjson cannot be applied to this string`,
		`.data.nine | fromjson`:                           `fromjson cannot be applied to: number`,
		`.data.nine | test("x")`:                          `test(string; null) cannot be applied to: number`,
		`.data.list | splits("x")`:                        `match(string; string) cannot be applied to: array`,
		`.data.name | split(1)`:                           `split(number) cannot be applied to: string`,
		`.data.nine | gsub("9"; "x")`:                     `match(string; string) cannot be applied to: number`,
		`.data.nine + .data.name`:                         `cannot add: number and string`,
		`.data.object - .data.list`:                       `cannot subtract: object and array`,
		`.data.object * .data.list`:                       `cannot multiply: object and array`,
		`.data.nine / .data.zero`:                         `cannot divide number by: number, which is zero`,
		`.data.nine % .data.zero`:                         `cannot modulo number by: number, which is zero`,
		`-.data.name`:                                     `cannot negate: string`,
		`.data.date | strptime("%Y-%m-%d")`:               `strptime(string) cannot be applied to this string`,
		`.data.list | strftime("%Y")`:                     `strftime(string) cannot be applied to`,
		`.data.name | fromdateiso8601`:                    `strptime(string) cannot be applied to this string`,
		`.data.vast | todate`:                             `strftime(string) cannot be applied to this number: number of seconds is out of range`,
		`.data.name | mktime`:                             `mktime cannot be applied to: string`,
		`.data.base64 | @base64d`:                         `@base64d cannot be applied to this string`,
		`[.data.object] | @csv`:                           `@csv cannot format an array including: object`,
		`.data.list | @tsv`:                               `@tsv cannot format an array including: array`,
		`.data.list | has("CANARY")`:                      `has(string) cannot be applied to: array`,
		`.data.object | has(0)`:                           `has(number) cannot be applied to: object`,
		`.data.name | keys`:                               `keys cannot be applied to: string`,
		`.data.list | add`:                                `cannot add: string and array`,
		`limit(.data.negative; .data.list[])`:             `error was called with a string, ` + called,
		`(.data.list | map(.)) = 1`:                       `invalid path`,
		`.data.ani |= .x`:                                 `expected an object but got: string`,
		`setpath([.data.list]; 1)`:                        `setpath(array; number) cannot be applied to this object: expected a string for object key but got: array`,
		`.data.list[.data.negative] = 1`:                  `setpath(array; number) cannot be applied to this object: array index should not be negative`,
		`.data.list[.data.nine] = 1`:                      `an index is above`,
		`del(.data.name.x)`:                               `expected an object but got: string`,
		`.data.list | join(.data.object)`:                 `expected an object but got: array`,
		`.data.object | min`:                              `min cannot be applied to: object`,
		`.data.name | to_entries`:                         `keys cannot be applied to: string`,
		`.data.list | from_entries`:                       `expected an object but got: string`,
		`.data.nine | ascii_downcase`:                     `ascii_downcase cannot be applied to: number`,
		`.data.nine | explode`:                            `explode cannot be applied to: number`,
		`.data.name | contains(1)`:                        `contains(number) cannot be applied to: string`,
		`.data.list | group_by(.x)`:                       `expected an object but got: string`,
		`.data.name | range(.; 5)`:                        `range cannot be applied to: string`,
		`.data.object | transpose`:                        `transpose cannot be applied to: object`,
		`.data.list | tojson | fromjson | .x`:             `expected an object but got: array`,
		`.data.name as [$x] | $x`:                         `expected an array but got: string`,
		`.data.list as {$x} | $x`:                         `expected an object but got: array`,
		`.data.nine | ltrimstr(1) | .x`:                   `ltrimstr(number) cannot be applied to: number`,
		`[limit(50000; repeat(.data.ani))] | tojson * 99`: `the program takes more than`,
		`[.data.ani * 60000, .data.ani * 60000] | add`:    `the result has more than`,
	} {
		_, delivered, err := newShape(t, mesh.Subscriber{Transform: transform}).Apply(t.Context(), personal)
		require.Error(t, err, transform)
		assert.False(t, delivered)
		assert.ErrorContains(t, err, "transform: "+says, transform)
		assert.NotContains(t, err.Error(), "with these values", "%s: the error is one that has no phrase", transform)
		assert.NotContains(t, err.Error(), "CANARY", transform)
		assert.NotContains(t, err.Error(), "9191", transform)
	}
}

func TestWhoHasTheBodyIsShownTheWholeError(t *testing.T) {
	for transform, whole := range map[string]string{
		`.data.id | tonumber`:              `tonumber cannot be applied to "x": invalid number`,
		`error("no customer \(.data.id)")`: `error: no customer x`,
		`error("no customer")`:             "", // which says it all
		`.data.id`:                         "",
	} {
		x := explain(t, mesh.Subscriber{Transform: transform}, order)
		assert.Equal(t, whole, x.Whole, transform)
	}
}

// TestAProgramsOwnFunctionsKeepTheirMeaning: whatever they are called, and only where they are in scope.
func TestAProgramsOwnFunctionsKeepTheirMeaning(t *testing.T) {
	for _, c := range [][2]string{
		{`def tostring: "mine"; .data.n | tostring`, `"mine"`},
		{`def map(f): "mine"; .data.list | map(. + 1)`, `"mine"`},
		{`def map(f): [.[] | f | f]; .data.list | map(. + 1)`, `[3,4,5]`},
		{`def map: "mine"; .data.list | map(. + 1) | [., map]`, `[[2,3,4],"mine"]`},
		{`def f: def tostring: "inner"; tostring; .data.n | [f, tostring]`, `["inner","3"]`},
		{`[def tostring: "inner"; tostring], (.data.n | tostring) | tostring | select(startswith("["))`, `"[\"inner\"]"`},
		{`.data.n | (def tostring: "inner"; tostring) + tostring`, `"inner3"`},
		{`.data.list | contains(def contains(x): "mine"; [1])`, `true`},
		{`.data.n += (def tostring: 4; tostring) | .data.n | tostring`, `"7"`},
		{`def f: tostring; def tostring: "later"; .data.n | f`, `"3"`},
		{`def f(tostring): tostring; .data.n | f(. + 1)`, `4`},
		{`def f($length): [$length, length]; .data.s | f(7)`, `[7,7]`},
		{`def fac: if . > 1 then . * (. - 1 | fac) else 1 end; .data.n | fac`, `6`},
		{`def env: "mine"; def input: env; input`, `"mine"`},
		{`def error(x): "mine"; error("no")`, `"mine"`},
		{`def test(x): x; .data.s | test(.)`, `"aab"`},
		{`def weigh: 1; def f: def weigh: 2; weigh; [weigh, f]`, `[1,2]`},
	} {
		got, _, err := newShape(t, mesh.Subscriber{Transform: c[0]}).Apply(t.Context(), order)
		require.NoError(t, err, c[0])
		assert.Equal(t, c[1], string(got.Body), c[0])
	}
}

// TestNoFunctionIsAWayAroundTheBounds: a name that was the program's own somewhere is not so everywhere.
func TestNoFunctionIsAWayAroundTheBounds(t *testing.T) {
	for transform, says := range map[string]string{
		`def f: def tostream: 1; .; [tostream]`:               `there is no function tostream/0`,
		`def f(tostream): .; [tostream]`:                      `there is no function tostream/0`,
		`[def ascii: 1; .] | ascii`:                           `there is no function ascii/0`,
		`(def env: 1; env), env`:                              `env is not available`,
		`def f: def input: 1; input; f, input`:                `input is not available`,
		`def f: tostream; def tostream: 1; f`:                 `there is no function tostream/0`,
		`def f: def test(x): 1; test(.); .a as $x | test($x)`: `have to be written out as a text`,
	} {
		assert.ErrorContains(t, shape.Check(mesh.Subscriber{Transform: transform}), says, transform)
	}
	long := mesh.Event{Body: []byte(`"` + strings.Repeat("a", 9000) + `"`)}
	for transform, says := range map[string]string{
		`def tostring: "a" * 1e9; tostring`:                                         `too large`,
		`def map(f): reduce range(100) as $i ("a"; . + .); map(1)`:                  `too large`,
		`def f: def test(x): true; test("a"); [f, test("a")]`:                       `too long for this`,
		`def f(explode): explode; [range(99)] | map("a" * 4000) | add | f(explode)`: `too long to be taken apart`,
		`def repeat(f): def repeat: f | repeat; repeat; repeat(.)`:                  `instructions`,
		`def add(f): reduce f as $x (.; . + $x); add(range(30) | "a" * 1000000)`:    `too large`,
	} {
		_, delivered, err := newShape(t, mesh.Subscriber{Transform: transform}).Apply(t.Context(), long)
		assert.ErrorContains(t, err, says, transform)
		assert.False(t, delivered)
	}
}
