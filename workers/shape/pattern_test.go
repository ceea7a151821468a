package shape_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/shape"
)

// searched asks everything of an expression that a program can ask.
const searched = `[[match(RE; FLAGS)], [match(RE; FLAGS + "g")], test(RE; FLAGS), [capture(RE; FLAGS + "g")], [scan(RE; FLAGS)], [splits(RE; FLAGS)],
	split(RE; FLAGS), sub(RE; "<\(.)>"; FLAGS), gsub(RE; "<\(.)>"; FLAGS), [gsub(RE; "a", "b"; FLAGS)]]`

// searchProgram writes an expression and its flags into searched. Those of shape have to be written out, + and all.
func searchProgram(expression, flags string) string {
	return strings.NewReplacer(
		`FLAGS + "g"`, quoted(flags+"g"), "FLAGS", quoted(flags), "RE", quoted(expression),
	).Replace(searched)
}

// TestSearchingIsAsInJQ: the functions that search are not gojq's, but nobody can tell.
func TestSearchingIsAsInJQ(t *testing.T) {
	var bodies []string
	for _, text := range []string{
		"", "a", "aa", "ab", "abcd", "aaabaa", "b", "a\nb\n", "\n\n", "über日本語", "日本", "jane@example.org", "+49 89 (123) / 45-6", "K k K a.a",
		"😀 a😀", `a\ba\`, strings.Repeat("ab ", 20),
	} {
		bodies = append(bodies, quoted(text))
	}
	for _, expression := range []string{
		"a", "", "a*", "a*?", "x?", "^", "$", `\b`, `\B`, "^a", "a$", "(?m)^", "(?m)$", "(?m)^.*$", `\Aa`, `a\z`, ".", "(?s).", "(?i)B", "(?U)a+",
		"a|ab", "(a|ab)(c|bcd)(d*)", "(?<x>a)|(?<y>b)", "(?P<x>a)(?<y>z)?", "(?<x>a)(?<x>b)?", "((a)|(b))*", "()", "(|a)*", "(a*)*", "(a*)+", "(?:a?)*?b?",
		"[^b]", "ü", "日.", "[日本]+", `\s+`, `(\w+)@(\w+)\.`, `[+]?[0-9][0-9 ()/-]*`, `\Qa.`, `\Qa\`, "(?i:k)", `\x{1F600}`, "nothing", `\pL+`,
	} {
		for _, flags := range []string{"", "g", "i", "m", "gim"} {
			sameAsInJQ(t, searchProgram(expression, flags), bodies...)
		}
	}
}

// TestALongTextIsSearchedAlike: from some length on, the text is read character by character.
func TestALongTextIsSearchedAlike(t *testing.T) {
	long := strings.Repeat("ab日 c😀\n", 30)
	for _, expression := range []string{
		`(a)?(?<x>b|日)*\s?`, `(?:[^a]{1,40}?){2}(c)`, `(?m)^(.{1,20})$`, `\b(\w{1,30}|日){1,9}\b`, "(|a)*(b{0,30})", `(?:c😀\n){0,20}$`,
	} {
		sameAsInJQ(t, searchProgram(expression+"|(q{200})(z{200})", ""), quoted(long))
	}
}

// FuzzSearch: whatever the expression, the flags and the text are.
func FuzzSearch(f *testing.F) {
	f.Add("(a|ab)(?<x>c|bcd)*", "i", "abcd")
	f.Add(`\b(?m)^|日*`, "m", "日本\n a")
	f.Add(`(?:\w+\W*?){1,9}:|\d`, "", strings.Repeat("ab 1: ", 99))
	f.Fuzz(func(t *testing.T, expression, flags, text string) {
		_, err := regexp.Compile(expression)
		if err != nil || len(expression) > 40 || len(text) > 600 || strings.Trim(flags, "gim") != "" || len(flags) > 3 {
			return
		}
		// gojq forgets empty matches where the expression ends within \Q.
		if strings.Contains(expression, `\Q`) || shape.Check(mesh.Subscriber{Transform: searchProgram(expression, flags)}) != nil {
			return
		}
		sameAsInJQ(t, searchProgram(expression, flags), quoted(strings.ToValidUTF8(text, "�")))
	})
}

// outlasts is when a program has outlasted its time limit of 250 ms. It ends some 10 ms later; the rest is for a machine that is busy with
// other tests.
const outlasts = 500 * time.Millisecond

// endsInTime applies a transform until a run does not outlast the time limit, ten times at most: the machine may be busy with other tests.
func endsInTime(t *testing.T, transform string, event mesh.Event) (err error) {
	t.Helper()
	s := newTimedShape(t, mesh.Subscriber{Transform: transform})
	took := outlasts
	for try := 0; try < 10 && took >= outlasts; try++ {
		began := time.Now()
		_, _, err = s.Apply(t.Context(), event)
		took = time.Since(began)
	}
	assert.Less(t, took, outlasts, transform)
	return err
}

// TestNoSearchOutlastsTheTimeLimit: each of these took from 0.7 s to more than 90 s in one instruction of gojq's.
func TestNoSearchOutlastsTheTimeLimit(t *testing.T) {
	phones := mesh.Event{Body: []byte(`{"data":{"x":"` + strings.Repeat("x", 8000) + `","words":"` + strings.Repeat("ab c ", 1600) + `"}}`)}
	for _, expression := range []string{
		`x.*y|x`, `[+]?[0-9x][0-9x ()/-]*(ext)[.]? ?[0-9]+|[0-9x]`, `(?:x.*){8}y|x`, `(?:x*){90}y|x`, `(\w+\W*){1,90}:|\d`, `(x*){90}y|x`,
		strings.Repeat("(x*)", 240) + "y",
	} {
		for _, call := range []string{`.data.x |= gsub(RE; "#")`, `[.data.words | splits(RE; "i")] | length`, `.data.x | test(RE)`} {
			transform := strings.ReplaceAll(call, "RE", quoted(expression))
			if err := endsInTime(t, transform, phones); err != nil {
				assert.Regexp(t, "time limit|too large|instructions", err.Error(), transform)
			}
		}
	}
}

// TestASearchEndsWithItsRun: who stops genmesh waits for no regular expression. One search of this one takes some 200 ms; the quickest of several
// runs counts, for the machine may be busy.
func TestASearchEndsWithItsRun(t *testing.T) {
	s := newShape(t, mesh.Subscriber{Transform: `try gsub("` + strings.Repeat("(x*)", 240) + `y"; "#") catch "caught"`})
	event := mesh.Event{Body: []byte(quoted(strings.Repeat("x", 8000)))}
	quickest := time.Hour
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		began := time.Now()
		_, delivered, err := s.Apply(ctx, event)
		quickest = min(quickest, time.Since(began))
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.False(t, delivered)
	}
	assert.Less(t, quickest, 100*time.Millisecond)
}

// TestMatchesAreWeighed: a match with its groups and their names is much larger than its text, and there may be thousands, whichever the program looks at.
func TestMatchesAreWeighed(t *testing.T) {
	expression := ""
	for i := range 10 {
		expression += fmt.Sprintf("(?<%s%d>x?)", strings.Repeat("name", 195), i)
	}
	transform := `first(match("` + expression + `"; "g")) | .offset`
	_, _, err := newShape(t, mesh.Subscriber{Transform: transform}).Apply(t.Context(), mesh.Event{Body: []byte(quoted(strings.Repeat("y", 8000)))})
	require.Error(t, err)
	assert.ErrorContains(t, err, "makes values that are too large")
}

// TestWhatCannotBeSearchedForIsFoundAtLoad, and not by each event.
func TestWhatCannotBeSearchedForIsFoundAtLoad(t *testing.T) {
	for transform, says := range map[string]string{
		`test("a"; "x")`:                  `a regular expression can't be used: its flags are none of g, i and m`,
		`gsub("a"; "b"; "gx")`:            `its flags are none of g, i and m`,
		`test("a{1000}{2}")`:              `a regular expression is wrong`,
		`test("(?:a{100}b?){10}")`:        `a regular expression is too large`,
		`.data | sub("a"; "b"; .x)`:       `have to be written out as a text`,
		`test`:                            `function not defined: test/0`,
		`match("a"; "g"; "i")`:            `function not defined: match/3`,
		`sub("a")`:                        `function not defined: sub/1`,
		`split("a"; "z")`:                 `its flags are none of g, i and m`,
		`_own_match("a")`:                 `there is no function _own_match/1`,
		`def _own_match(x): 1; test("a")`: `_own_match has a name that is not the program's`,
	} {
		assert.ErrorContains(t, shape.Check(mesh.Subscriber{Transform: transform}), says, transform)
	}
}
