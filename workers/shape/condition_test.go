package shape_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/shape"
)

// call is an event as the tables ask about.
var call = mesh.Event{
	Source: "genesys", Interaction: "987654321", ID: "4f1c2f6e", Type: "interaction", Media: "call",
	Stream: "INTERACTIONS", Sequence: 17, Subject: "genesys.3.interaction.call.987654321",
	Occurred: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), Received: time.Date(2026, 11, 22, 8, 0, 3, 0, time.UTC),
	Body: []byte(`{"id":"4f1c2f6e","data":{
		"a":1,"text":"call","number":5,"digits":"5","yes":true,"no":false,"nothing":null,"precise":9007199254740993,"tenth":0.1,"tiny":1e-300,
		"vast":1e99999,"at":"2026-11-22T08:00:00Z","tags":["vip","gold"],"empty":[],"object":{"b":{"c":7}},"e\u0073caped":"yes",
		"parts":[{"purpose":"agent","seconds":10},{"purpose":"customer"},{"seconds":5,"purpose":null}]}}`),
}

const (
	yes     = "true"
	no      = "false"
	unknown = "unknown"
)

// TestAConditionIsTrueFalseOrUnknown is what the three-valued logic means, case by case. Only true delivers.
func TestAConditionIsTrueFalseOrUnknown(t *testing.T) {
	for _, group := range []struct {
		about string
		cases [][2]string
	}{
		{"a filter on a missing field is never true", [][2]string{
			{`data.missing == "x"`, unknown},
			{`data.missing != "x"`, unknown},
			{`not (data.missing == "x")`, unknown},
			{`not not (data.missing == "x")`, unknown},
			{`!data.missing`, unknown},
			{`data.missing`, unknown},
			{`data.missing == nil`, unknown},
			{`data.missing != nil`, unknown},
			{`nil == data.missing`, unknown},
			{`data.missing == data.missing`, unknown},
			{`data.missing == data.other`, unknown},
			{`data.a.b.c > 3`, unknown},
			{`data.object.x.y > 3`, unknown},
			{`data?.missing?.deeper == 1`, unknown},
			{`data.missing > 3`, unknown},
			{`not (data.missing > 3)`, unknown},
			{`data.missing + 1 > 0`, unknown},
			{`data.missing in ["x"]`, unknown},
			{`data.missing not in ["x"]`, unknown},
			{`data.missing not in []`, unknown},
			{`"x" in data.missing`, unknown},
			{`"x" not in data.missing`, unknown},
			{`data.missing contains "x"`, unknown},
			{`data.missing not contains "x"`, unknown},
			{`data.missing startsWith "x"`, unknown},
			{`data.missing not endsWith "x"`, unknown},
			{`data.missing matches "x"`, unknown},
			{`data.missing not matches "x"`, unknown},
			{`len(data.missing) == 0`, unknown},
			{`lower(data.missing) != "x"`, unknown},
			{`any(data.missing, # == 1)`, unknown},
			{`not any(data.missing, # == 1)`, unknown},
			{`all(data.missing, # == 1)`, unknown},
			{`none(data.missing, # == 1)`, unknown},
			{`count(data.missing, # == 1) == 0`, unknown},
			{`data.tags[9] != "x"`, unknown},
			{`data.tags[data.missing] != "x"`, unknown},
			{`event.organization != "x"`, unknown},
			{`data.missing ? true : true`, unknown},
			{`let x = data.missing; x != 1`, unknown},
		}},
		{"but what decides otherwise decides", [][2]string{
			{`data.a == 1 or data.missing == 2`, yes},
			{`data.missing == 2 or data.a == 1`, yes},
			{`data.a == 2 or data.missing == 2`, unknown},
			{`data.a == 2 and data.missing == 2`, no},
			{`data.missing == 2 && data.a == 2`, no},
			{`data.a == 1 and data.missing == 2`, unknown},
			{`not (data.a == 2 and data.missing == 2)`, yes},
			{`not (data.a == 1 or data.missing == 2)`, no},
			{`data.yes ? data.a == 1 : data.missing`, yes},
		}},
		{"presence can be asked for", [][2]string{
			{`has(data.a)`, yes},
			{`has(data.missing)`, no},
			{`has(data.nothing)`, no},
			{`has(data.no)`, yes},
			{`not has(data.a.b.c)`, yes},
			{`has(data.object.b.c)`, yes},
			{`has(event.organization)`, no},
			{`not has(data.missing) or data.missing == 1`, yes},
			{`(data.missing ?? "none") == "none"`, yes},
			{`(data.nothing ?? "none") == "none"`, yes},
			{`(data.no ?? true) == false`, yes},
			{`data.missing ?? false`, no},
			{`(data.missing == 1) ?? true`, yes},
			{`"a" in data`, yes},
			{`"missing" in data`, no},
			{`"missing" not in data`, yes},
		}},
		{"null is as good as missing, but for nil", [][2]string{
			{`data.nothing == nil`, yes},
			{`data.nothing != nil`, no},
			{`data.a == nil`, no},
			{`data.a != nil`, yes},
			{`data.nothing == "x"`, unknown},
			{`data.nothing != "x"`, unknown},
			{`!data.nothing`, unknown},
			{`data.nothing.deeper == 1`, unknown},
			{`data.nothing not in ["x"]`, unknown},
			{`data.nothing == data.nothing`, unknown},
		}},
		{"kinds that differ don't compare", [][2]string{
			{`data.number == 5`, yes},
			{`data.digits == 5`, unknown},
			{`data.digits != 5`, unknown},
			{`not (data.digits == 5)`, unknown},
			{`data.number == data.digits`, unknown},
			{`data.number > "4" or data.digits > 4`, unknown},
			{`data.digits > 4`, unknown},
			{`data.yes == 1`, unknown},
			{`data.text and true`, unknown},
			{`data.number contains "5"`, unknown},
			{`data.number matches "5"`, unknown},
			{`data.object == data.object`, unknown},
			{`data.tags == "vip"`, unknown},
			{`data.number not in ["5"]`, unknown},
			{`int(data.digits) == 5`, yes},
			{`string(data.number) == "5"`, yes},
			{`int(data.text) != 5`, unknown},
			{`type(data.number) == "number"`, yes},
		}},
		{"numbers are decimals", [][2]string{
			{`data.precise == 9007199254740993`, yes},
			{`data.precise == 9007199254740992`, no},
			{`data.precise > 9007199254740992`, yes},
			{`data.tenth == 0.1`, yes},
			{`data.tenth + 0.2 == 0.3`, yes},
			{`data.a == 1.0`, yes},
			{`data.number / 2 == 2.5`, yes},
			{`data.number % 2 == 1`, yes},
			{`data.number / 0 == 1`, unknown},
			{`-data.number < -4.5`, yes},
			{`data.tiny > 0`, yes},
			{`data.vast > 0`, unknown},
			{`1 < data.number < 9`, yes},
			{`abs(-data.number) == 5`, yes},
		}},
		{"texts, lists and times", [][2]string{
			{`data.text == "call"`, yes},
			{`data.text matches "^ca"`, yes},
			{`data.text in ["chat", "call"]`, yes},
			{`data.text not in ["chat"]`, yes},
			{`data.text + "s" == "calls"`, yes},
			{`upper(data.text) startsWith "CA"`, yes},
			{`"vip" in data.tags`, yes},
			{`data.tags == ["vip", "gold"]`, yes},
			{`data.tags != ["vip"]`, yes},
			{`data.tags[-1] == "gold"`, yes},
			{`first(data.tags) == "vip" and last(data.tags) == "gold"`, yes},
			{`data["text"] == "call"`, yes},
			{`data.escaped == "yes"`, yes},
			{`body.id == event.id`, yes},
			{`event.type == "interaction" and event.media != "chat"`, yes},
			{`event.sequence >= 17`, yes},
			{`event.occurred >= "2026-11-22T00:00:00Z"`, yes},
			{`event.occurred < date("2026-11-22")`, no},
			{`event.received - event.occurred > duration("2s")`, yes},
			{`event.occurred == data.at`, yes},
			{`event.occurred != "yesterday"`, unknown},
			{`data.at | date() == event.occurred`, yes},
			{`let p = data.parts; len(p) == 3 and p[0].purpose == "agent"`, yes},
			{`if data.yes { data.a == 1 } else { false }`, yes},
		}},
		{"elements without an answer", [][2]string{
			{`any(data.parts, .purpose == "agent")`, yes},
			{`any(data.parts, .purpose == "robot")`, unknown},
			{`not any(data.parts, .purpose == "robot")`, unknown},
			{`none(data.parts, .purpose == "robot")`, unknown},
			{`none(data.parts, .purpose == "agent")`, no},
			{`all(data.parts, .seconds > 1)`, unknown},
			{`all(data.parts, .seconds > 7)`, no},
			{`one(data.parts, .purpose == "agent")`, unknown},
			{`one(filter(data.parts, has(.purpose)), .purpose == "agent")`, yes},
			{`count(data.parts, .purpose == "agent") == 1`, yes},
			{`len(filter(data.parts, .purpose != "agent")) == 1`, yes},
			{`sum(data.parts, .seconds) == 15`, yes},
			{`find(data.parts, .purpose == "customer").seconds > 1`, unknown},
			{`any(data.parts, #index == 2 and .seconds == 5)`, yes},
			{`all(data.empty, # == 1)`, yes},
			{`any(data.empty, # == 1)`, no},
			{`any(data.tags, any(data.parts, # == 1) or # == "vip")`, yes},
			{`"vip" in map(data.tags, #)`, yes},
		}},
	} {
		t.Run(group.about, func(t *testing.T) {
			for _, c := range group.cases {
				s := mesh.Subscriber{Name: "crm", When: c[0]}
				explained := explain(t, s, call)
				assert.NoError(t, explained.Err, c[0])
				assert.Equal(t, c[1], explained.Answer, c[0])
				assert.Equal(t, c[1] == yes, explained.Delivered, c[0])
			}
		})
	}
}

func TestAWrongConditionIsRefusedWithItsPlaceAndAHint(t *testing.T) {
	for when, says := range map[string]string{
		`data.type = "call"`:                 `when (column 11): unexpected token Operator("="); to compare, write "=="`,
		`data.type ==`:                       `when (column 12): unexpected token EOF`,
		"data.a == 1 and\n  evnt.type == 1":  `when (line 2, column 3): there is no "evnt"; did you mean "event"?`,
		`event.typ == "call"`:                `when (column 7): an event has no "typ"; did you mean "type"?`,
		`event == 1`:                         `event by itself is no value`,
		`data.type == call`:                  `there is no "call"`,
		`"é" == data.a and tipe == 1`:        `when (column 20): there is no "tipe"`,
		`data.a + 1`:                         `data.a + 1 is`,
		`len(data.a)`:                        `len(data.a) is a number, not a condition; compare it`,
		`"call"`:                             `"call" is a text, not a condition`,
		`1 == "1"`:                           `compares a number with a text, which is never true`,
		`any(data.list)`:                     `expected at least`,
		`lenn(data.a) == 1`:                  `there is no function "lenn" in a condition; did you mean "len"?`,
		`now() > event.occurred`:             `now() is not available`,
		`data.a matches data.b`:              `a regular expression has to be written out`,
		`data.a matches "("`:                 `the regular expression is wrong`,
		`data.a matches "(a{1000}){9}"`:      `the regular expression`,
		`# == 1`:                             `stand for an element`,
		`data.a[1:2] == "x"`:                 `slices such as [1:3] are not available`,
		`data.a ** 2 == 4`:                   `the operator "**" is not available`,
		`len(1..1000000000) > 1`:             `the operator ".." is not available`,
		`repeat("a", 1000000000) == "a"`:     `there is no function "repeat"`,
		`reduce(data.a, #acc + #) == 1`:      `there is no function "reduce"`,
		`{"a": 1} == data`:                   `an object can't be made here`,
		`date("tomorrow") > event.occurred`:  `"tomorrow" is no date; write such as "2026-01-31"`,
		`data.a.len() == 1`:                  `values have no methods`,
		`event.type.x == 1`:                  `is a text and has no members`,
		"data.a == '\xff'":                   `not valid UTF-8`,
		strings.Repeat("a", 5000):            `at most 4096 are allowed`,
		strings.Repeat("!", 2000) + "data.a": `more than 1000 parts`,
	} {
		err := shape.Check(mesh.Subscriber{Name: "crm", When: when})
		require.Error(t, err, when)
		assert.Contains(t, err.Error(), says)
	}
}

func TestAllMistakesAreReportedAtOnce(t *testing.T) {
	err := shape.Check(mesh.Subscriber{
		Name: "crm", When: `event.typ == "call" and dta.x == 1`, Transform: ".a |",
		Redact: []mesh.Redaction{{Path: "data..x"}, {Path: "data.x", With: "hash"}, {Path: "a", With: "blur"}},
	})
	var mistakes shape.Mistakes
	require.ErrorAs(t, err, &mistakes)
	fields := make([]string, len(mistakes))
	for i, m := range mistakes {
		fields[i] = m.Field
	}
	assert.Equal(t, []string{"when", "when", "redact[0].path", "redact[2].with", "redact_key", "transform"}, fields)
	assert.Equal(t, 7, mistakes[0].Column)
	assert.Equal(t, 25, mistakes[1].Column)
}

func TestAConditionEndsWhateverTheEvent(t *testing.T) {
	long := strings.Repeat("1,", 50_000) + "1"
	event := mesh.Event{Body: []byte(`{"data":{"list":[` + long + `],"text":"` + strings.Repeat("a", 200_000) + `"}}`)}
	for _, when := range []string{
		`any(data.list, any(data.list, # == 2))`,
		`any(data.list, any(data.list, any(data.list, # == 2)))`,
		`len(map(data.list, map(data.list, #))) == 1`,
		`any(data.list, data.text contains "b")`,
		`any(data.list, data.text matches "b")`,
		`data.text matches "a{900}b"`,
		`len(split(data.text, "a")) > 1 and len(split(data.text, "a")) > 1`,
		`len(map(data.list, lower(data.text))) == 5`,
		`any(data.list, data.list[#index] == 5)`,
	} {
		explained := explain(t, mesh.Subscriber{Name: "crm", When: when}, event)
		require.Error(t, explained.Err, when)
		assert.Contains(t, explained.Err.Error(), "too many steps", when)
		assert.False(t, explained.Delivered)
	}
}

func TestOnlyAConditionThatAsksForTheBodyNeedsOne(t *testing.T) {
	event := call
	event.Body = []byte(`no JSON`)
	assert.True(t, explain(t, mesh.Subscriber{When: `event.media == "call"`}, event).Delivered)
	explained := explain(t, mesh.Subscriber{When: `event.media == "call" and data.a == 1`}, event)
	require.Error(t, explained.Err)
	assert.NotContains(t, explained.Err.Error(), "no JSON", "the body is not quoted")
	assert.Equal(t, shape.StepWhen, explained.Decided)
}

// TestOnlyWhatLeavesAConditionOpenIsToldAsMissing is about the reasons that "genmesh try" shows for an unknown condition.
func TestOnlyWhatLeavesAConditionOpenIsToldAsMissing(t *testing.T) {
	for _, c := range []struct {
		when, answer string
		unknown      []string
	}{
		{`(data.missing ?? "a") == "a"`, yes, nil},
		{`(data.missing ?? "a") == "b"`, no, nil},
		{`(data.missing ?? data.other ?? "a") == "a"`, yes, nil},
		{`(data.nothing ?? data.missing ?? "a") == "a"`, yes, nil},
		{`(data.text ?? data.missing) == "call"`, yes, nil},
		{`(data.missing ?? data.other) == "a"`, unknown, []string{"data.missing is missing", "data.other is missing"}},
		{`(data.missing ?? "a") == data.other`, unknown, []string{"data.other is missing"}},
		{`data.other == (data.missing ?? "a")`, unknown, []string{"data.other is missing"}},
		{`data.missing ?? false`, no, nil},
		{`(data.missing == 1) ?? true`, yes, nil},
		{`(data?.missing?.deeper ?? "a") == "a"`, yes, nil},
		{`data?.missing?.deeper == 1`, unknown, []string{"data?.missing is missing"}},
		{`data?.object?.b?.c == 7`, yes, nil},
		{`has(data?.missing?.deeper)`, no, nil},
		{`has(data.missing) or data.a == 1`, yes, nil},
		{`not has(data.missing) or data.missing == 1`, yes, nil},
		{`data.missing == 2 or data.a == 1`, yes, nil},
		{`data.missing == 2 and data.a == 2`, no, nil},
		{`data.missing == 2 or data.a == 2`, unknown, []string{"data.missing is missing"}},
		{`data.a in [data.missing, 1]`, yes, nil},
		{`data.a in [data.missing, 2]`, unknown, []string{"data.missing is missing"}},
		{`data.missing in ["x"]`, unknown, []string{"data.missing is missing"}},
		{`"missing" in data`, no, nil},
		{`(data.missing ?? "x") in ["x"]`, yes, nil},
		{`data.missing ? true : true`, unknown, []string{"data.missing is missing"}},
		{`has(data.missing) ? data.missing == 1 : data.a == 1`, yes, nil},
		{`data.yes ? data.a == 1 : data.missing`, yes, nil},
		{`data.yes ? data.missing == 1 : true`, unknown, []string{"data.missing is missing"}},
		{`(data.missing ?? false) ? false : true`, yes, nil},
		{`let x = data.missing; has(x) or data.a == 1`, yes, nil},
		{`let x = data.missing ?? 1; x == 1`, yes, nil},
		{`let x = data.missing; x == 1`, unknown, []string{"data.missing is missing"}},
		{`any(data.parts, .seconds == 10)`, yes, nil},
		{`any(data.parts, .seconds == 5)`, yes, nil},
		{`any(data.parts, .seconds == 4)`, unknown, []string{".seconds is missing"}},
		{`count(data.parts, .seconds > 1) == 2`, yes, []string{".seconds is missing"}}, // it passes one by, which may be a surprise
	} {
		x := explain(t, mesh.Subscriber{When: c.when}, call)
		require.NoError(t, x.Err, c.when)
		assert.Equal(t, c.answer, x.Answer, c.when)
		assert.Equal(t, len(c.unknown), len(x.Unknown), "%s: %q", c.when, x.Unknown)
		for i := range min(len(c.unknown), len(x.Unknown)) {
			assert.Contains(t, x.Unknown[i], c.unknown[i], c.when)
		}
	}
}

// TestNoErrorOfAConditionShowsAValueOfTheBody: nor do the reasons of an explanation, which name the condition's parts and the kinds.
func TestNoErrorOfAConditionShowsAValueOfTheBody(t *testing.T) {
	for when, says := range map[string]string{
		`data.ani`:                              "the condition comes to a text, which is neither true nor false",
		`data.list`:                             "the condition comes to a list",
		`data.ani + data.name`:                  "the condition comes to a text",
		`data.object ?? true`:                   "the condition comes to an object",
		`find(data.list, # == data.name) ?? ""`: "the condition comes to a text",
		`data.list + 1 == 2`:                    "+ has no answer for a list and a number",
		`data.ani > 3`:                          "data.ani > 3 has no answer for a text and a number",
		`data.ani[data.name] == 1`:              "is missing",
		`data.object[data.ani] == 1`:            "is missing",
		`data.name matches "x" and date(data.date) > event.occurred`: "",
		`date(data.date) > date("2026-01-01")`:                       "",
		`duration(data.ani) > duration("1s")`:                        "",
		`data.nine in data.ani`:                                      "has no answer for a number and a text",
		`data.object == data.object`:                                 "has no answer for an object and an object",
		`len(data.nine) > 1`:                                         "len has no answer for a number",
		`data.vast / data.zero > 1`:                                  "/ has no answer",
	} {
		x := explain(t, mesh.Subscriber{When: when}, personal)
		assert.NotEqual(t, yes, x.Answer, when)
		told := strings.Join(x.Unknown, "\n")
		if x.Err != nil {
			told += x.Err.Error()
		}
		assert.Contains(t, told, says, when)
		assert.NotContains(t, told, "CANARY", when)
		assert.NotContains(t, told, "9191", when)
	}
	for _, body := range []string{`{"data":"CANARY`, `{"data":"CANARY"} CANARY`, `{"CANARY":CANARY}`, `{"CANARY":1,}`, "CANARY", `["CANARY":1]`} {
		for _, s := range []mesh.Subscriber{{When: `data == "x"`}, {Redact: []mesh.Redaction{{Path: "data"}}}, {Transform: "."}} {
			_, delivered, err := newShape(t, s).Apply(t.Context(), mesh.Event{Body: []byte(body)})
			assert.False(t, delivered)
			assert.ErrorContains(t, err, "the body is not JSON", body)
			assert.NotContains(t, err.Error(), "CANARY")
		}
	}
}
