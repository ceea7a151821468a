package shape_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func quoted(s string) string {
	literal, _ := json.Marshal(s)
	return string(literal)
}

// sameAsInJQ compares what a program makes of bodies with what gojq by itself does.
func sameAsInJQ(t *testing.T, program string, bodies ...string) {
	t.Helper()
	ours := newShape(t, mesh.Subscriber{Transform: program})
	query, err := gojq.Parse(program)
	require.NoError(t, err, program)
	theirs, err := gojq.Compile(query)
	require.NoError(t, err, program)
	for _, body := range bodies {
		got, _, err := ours.Apply(t.Context(), mesh.Event{Body: []byte(body)})
		if err != nil && strings.Contains(err.Error(), "takes more than") {
			continue // it is bounded, which gojq is not
		}
		var input any
		decoder := json.NewDecoder(strings.NewReader(body))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&input))
		result, any := theirs.Run(input).Next()
		if !any {
			require.NoError(t, err, "%s on %s", program, body)
			require.Empty(t, got.Body)
			continue
		}
		if _, failed := result.(error); failed {
			require.Error(t, err, "%s on %s", program, body)
			continue
		}
		require.NoError(t, err, "%s on %s", program, body)
		expected, err := gojq.Marshal(result)
		require.NoError(t, err)
		require.Equal(t, string(expected), string(got.Body), "%s on %s", program, body)
	}
}

// TestFunctionsOfOurOwnAreAsInJQ: what is rewritten so that it can be bounded does what it did.
func TestFunctionsOfOurOwnAreAsInJQ(t *testing.T) {
	bodies := []string{
		`null`, `1`, `true`, `""`, `"a"`, `"aaa"`, `"abcabc"`, `"über日本日本😀"`, `[]`, `[1]`, `[1,2,1,2,1]`, `["a","b","a"]`, `[[1],[1,2],[]]`, `{}`,
		`[{"a":2,"b":1},{"a":1},{"b":[]},{"a":1,"b":"x"}]`, `{"a":1,"b":{"c":[1,{"d":null}]}}`, `[{"key":"k","value":1},{"name":"n","value":null}]`,
		`[123456789012345678901234567890,1.0,1e3]`, `1700000000`, `"2026-01-02"`, `[3,"x",null,[0],{"a":0},false,true]`,
	}
	for _, program := range []string{
		`[indices("a", "aa", "", "日", "日本", "z", 1, [1], [1, 2], [], null)?]`, `[(index("a", "bc", "", "日", 1, [1, 2], []), rindex("a", "bc", "", "日", 1, [1], []))?]`,
		`indices(1)`, `index("a")`, `rindex([])`, `[.. | indices("a")?]`, `"\(@base64d? // "")" | indices("�")`,
		`add(.[]?)`, `add(.[])`, `add(.[]? | tojson)`, `add(empty)`, `[add(.[]?, .[]?)]`,
		`sort_by(.a)`, `sort_by(.a?, .b?)`, `group_by(.a?)`, `unique_by(length)`, `min_by(.a?)`, `max_by(.a?)`, `[min_by(tojson), max_by(tojson)]`, `sort_by(empty)`,
		`with_entries(.value |= tojson)`, `with_entries(select(.value != 1))`, `with_entries(empty)`, `with_entries(.key |= "x\(.)")`,
		`walk(.)`, `walk(if type == "number" then . + 1 else . end)`, `walk(if type == "object" then to_entries else . end)`, `[walk(numbers, 1)]`, `walk(empty)`,
		`todate`, `strftime("%Y-%m-%dT%H")`, `strptime("%Y-%m-%d")`, `strptime("%Y-%m-%d") | mktime`, `strftime(1)`, `strflocaltime("%Y")`,
		`path(.[0]?)`, `[.[]? as $x | add($x, 1)?]`, `def map(f): 1; sort_by(.)`, `def f(g): [add(.[]? | g)]; f(tojson)`,
		`[limit(3; .. | test("a")?)]`, `try test("a") catch "no text"`, `[.. | strings | gsub("(?<x>.)"; .x + "-", "b")]`, `[path(splits("a")?)]`, `[.. | strings | sub("a"; 1)?]`, `gsub("a"; null)`,
	} {
		sameAsInJQ(t, program, bodies...)
	}
}

// TestNoInstructionOutlastsTheTimeLimit: each of these took a second and more in one instruction of gojq's.
func TestNoInstructionOutlastsTheTimeLimit(t *testing.T) {
	event := mesh.Event{Body: []byte(`{"text":"` + strings.Repeat("a", 500_000) + `","digits":"` + strings.Repeat("9", 900_000) + `"}`)}
	for transform, says := range map[string]string{
		`("a" * 2000 + "b") as $part | .text | indices($part)`:           "",
		`("a" * 2000 + "b") as $part | .text | index($part)`:             "",
		`("a" * 2000 + "b") as $part | .text | rindex($part)`:            "",
		`("a" * 1000) as $part | "a" * 200000 | indices($part) | length`: "",
		`.text | indices("a") | length`:                                  "makes values that are too large",
		`.digits | fromjson | . + 1`:                                     "makes values that are too large",
		`0 | strftime("%c" * 2000000) | length`:                          "too long for this",
		`"a" | strptime("%c" * 2000000) | length`:                        "too long for this",
	} {
		_ = endsInTime(t, transform, event)
		_, _, err := newShape(t, mesh.Subscriber{Transform: transform}).Apply(t.Context(), event)
		if says == "" {
			assert.NoError(t, err, transform)
		} else {
			assert.ErrorContains(t, err, says, transform)
		}
	}
}

// TestNoFunctionMultipliesASharedText: a text that is weighed once can stand in a list a thousand times, and be written out from there.
func TestNoFunctionMultipliesASharedText(t *testing.T) {
	for _, transform := range []string{
		`("a" * 1000000) as $x | add(range(300) | $x) | length`,
		`("a" * 4000000) as $x | ("a" * 4000000) as $y | [range(4000)] | sort_by(if . % 2 == 0 then $x else $y end) | length`,
		`("a" * 1000000) as $x | [range(300)] | [group_by($x), unique_by($x), min_by($x), max_by($x)] | length`,
		`("a" * 1000000) as $x | {key: $x, value: 1} as $entry | [range(300)] | with_entries($entry) | length`,
		`("a" * 1000000) as $x | ("x" * 8000) | [gsub("x"; $x)] | length`,
		`("a" * 1000000) as $x | [range(300)] | walk(if type == "array" then tojson else $x end) | length`,
	} {
		s := newShape(t, mesh.Subscriber{Transform: transform})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := s.Apply(t.Context(), mesh.Event{Body: []byte(`1`)})
		runtime.ReadMemStats(&after)
		require.ErrorContains(t, err, "makes values that are too large", transform)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(160<<20), transform)
	}
}
