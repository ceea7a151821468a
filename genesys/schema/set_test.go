package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/genmesh/genmesh/genesys/schema"
)

const interactionSchema = `{
	"type": "object", "required": ["data"],
	"properties": {
		"data": {
			"type": "object", "required": ["id", "type"],
			"properties": {
				"id": {"type": "string"}, "type": {"type": "string"}, "agent": {"type": "string"},
				"tags": {"type": "array", "items": {"type": "string"}}, "held": {"type": "integer"}, "gone": {"type": "null"}
			}
		}
	}
}`

func compile(t testing.TB, text string) *schema.Set {
	t.Helper()
	set, err := schema.Compile(map[string]string{"interaction": "file.json", "free": "none"}, func(name string) ([]byte, error) {
		require.Equal(t, "file.json", name)
		return []byte(text), nil
	})
	require.NoError(t, err)
	return set
}

func TestEventsThatBreakTheirSchemaAreToldWhereAndWhy(t *testing.T) {
	set := compile(t, interactionSchema)
	for content, problem := range map[string]string{
		`{"data":{"id":"1","type":"call"}}`:                                      "",
		`{"data":{"id":"1","type":"call","new":{"field":1}},"more":true}`:        "",
		`{"data":{"id":"1","type":"call","agent":null}}`:                         "",
		`{"data":{"id":"1","type":"call","gone":null}}`:                          "",
		`{"data":{"id":"1","type":"call","held":3}}`:                             "",
		`{"data":{"id":"1","type":"call","held":3.0}}`:                           "",
		`{"data":{"id":"1","type":"call","held":3.5}}`:                           "/data/held: is number, not integer",
		`{"data":{"id":"1","type":"call","tags":["a",7]}}`:                       "/data/tags/1: is number, not string",
		`{"data":{"id":"+1 555 0100","type":null}}`:                              "/data: lacks type",
		`{"data":{"id":"1"}}`:                                                    "/data: lacks type",
		`{"dat":{}}`:                                                             "lacks data",
		`[]`:                                                                     "is array, not object",
		`{"data":{"id":"1","type":"call","agent":{"name":"Jane Roe, private"}}}`: "/data/agent: is object, not string",
	} {
		for range 3 { // known shapes are judged as unknown ones
			err := set.Check("interaction", content)
			if problem == "" {
				assert.NoError(t, err, content)
				continue
			}
			require.EqualError(t, err, problem, content)
			_, ok := errors.AsType[*schema.Violation](err)
			assert.True(t, ok)
		}
	}
	assert.NoError(t, set.Check("free", `[]`))
	assert.NoError(t, set.Check("unknown", `[]`))
}

func TestNullStandsForAMissingField(t *testing.T) {
	for text, verdicts := range map[string]map[string]bool{
		// A schema may refer to its own properties.
		`{"properties":{"foo":{"type":"object","properties":{"bar":{"type":"string"}}},"baz":{"$ref":"#/properties/foo/properties/bar"}}}`: {
			`{"foo":null,"baz":null}`: true, `{"foo":{"bar":null},"baz":"x"}`: true, `{"baz":1}`: false,
		},
		`{"not":{"required":["b"],"properties":{"b":{"const":"deleted"}}}}`: {`{"b":null}`: true, `{"b":"deleted"}`: false},
		`{"required":["a"],"properties":{"a":{"type":["string","null"]}}}`:  {`{"a":null}`: true, `{}`: false},
		`{"required":["a"],"properties":{"a":{"type":"string"}}}`:           {`{"a":null}`: false},
		`{"properties":{"a":{"enum":["x"]},"b":{"minLength":2,"type":"string"}}}`: {
			`{"a":null,"b":null}`: true, `{"a":"y","b":null}`: false, `{"a":null,"b":"c"}`: false,
		},
		`{"properties":{"a":{"items":{"type":"string"}}}}`:                                          {`{"a":["x",null]}`: false, `{"a":null}`: true},
		`{"properties":{"a":{"items":{"properties":{"b":{"type":"string"}}}}}}`:                     {`{"a":[{"b":null},{"b":"x"}]}`: true, `{"a":[{"b":null},{"b":1}]}`: false},
		`{"anyOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"a":{"type":"number"}}}]}`: {`{"a":null}`: true, `{"a":true}`: false},
	} {
		set := compile(t, text)
		for content, good := range verdicts {
			for range 2 {
				assert.Equal(t, good, set.Check("interaction", content) == nil, "%s of %s", content, text)
			}
		}
	}
}

// TestNumbersThatWouldTakeForever: a few bytes can stand for a million digits.
func TestNumbersThatWouldTakeForever(t *testing.T) {
	for _, text := range []string{
		`{"properties":{"a":{"type":"number","minimum":0}}}`, `{"properties":{"a":{"multipleOf":2}}}`, `{"properties":{"a":{"items":{"type":"integer"}}}}`,
		`{"properties":{"a":{"maximum":1}}}`, `{"properties":{"a":{"type":["number","array"]}}}`,
	} {
		set := compile(t, text)
		for _, content := range []string{`{"a":1e1000001}`, `{"a":1e-1000001}`, `{"a":[` + strings.Repeat("1e999999,", 50_000) + `1]}`} {
			err := set.Check("interaction", content)
			require.Error(t, err, text)
			_, isViolation := errors.AsType[*schema.Violation](err)
			assert.True(t, isViolation)
			assert.ErrorContains(t, err, "number")
		}
		assert.NotPanics(t, func() { _ = set.Check("interaction", `{"a":`+strings.Repeat("9", 400_000)+`}`) })
	}
}

// TestBodiesThatAreWrongEverywhere cost time and memory in proportion to their size.
func TestBodiesThatAreWrongEverywhere(t *testing.T) {
	set := compile(t, `{"properties":{"a":{"items":{"type":"object"}}}}`)
	body := `{"a":[` + strings.Repeat("1,", 260_000) + `1]}`
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.EqualError(t, set.Check("interaction", body), "/a/0: is number, not object")
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(400<<20), "of a body of 512 KiB")
}

func TestViolationsTellNoValues(t *testing.T) {
	set := compile(t, `{"properties": {"a": {"pattern": "^x"}, "b": {"enum": ["x"]}, "c": {"maxLength": 1}, "d": {"const": 1}, "e": {"format": "uuid"}, "f": {"maximum": 1}}}`)
	for _, name := range []string{"a", "b", "c", "d", "f"} {
		value := `"secret-value"`
		if name == "f" {
			value = "4711"
		}
		err := set.Check("interaction", `{"`+name+`":`+value+`}`)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "secret-value")
		assert.NotContains(t, err.Error(), "4711")
	}
}

func TestViolationsTellNoNamesThatAreData(t *testing.T) {
	const byNumber = `{"properties": {"calls": {
		"additionalProperties": {"type": "array", "items": {"properties": {"seconds": {"type": "integer"}}}},
		"propertyNames": {"maxLength": 20}}}}`
	for _, c := range []struct{ content, want string }{
		{`{"calls": {"+44 7700 900123": 5}}`, `/calls/*: is number, not array`},
		{`{"calls": {"447700900123": [{"seconds": 1}, {"seconds": "x"}]}}`, `/calls/*/1/seconds: is string, not integer`},
		{`{"calls": {"a name that is longer than twenty": []}}`, `violates maxLength`},
	} {
		err := compile(t, byNumber).Check("interaction", c.content)
		require.Error(t, err, c.content)
		assert.Equal(t, c.want, err.Error())
	}
}

func TestSchemasThatLookAtValuesLookAtEachOne(t *testing.T) {
	for _, rule := range []string{`{"enum": ["good"]}`, `{"const": "good"}`, `{"pattern": "^good$"}`, `{"maxLength": 4}`,
		`{"allOf": [{"enum": ["good"]}]}`, `{"$ref": "#/$defs/x"}`, `{"$ref": "#/examples/0"}`, `{"$ref": "#/$defs/y/examples/0"}`} {
		set := compile(t, `{"$defs": {"x": {"const": "good"}, "y": {"examples": [{"const": "good"}]}}, "examples": [{"const": "good"}], "properties": {"a": `+rule+`}}`)
		for range 2 {
			assert.NoError(t, set.Check("interaction", `{"a":"good"}`), rule)
			assert.Error(t, set.Check("interaction", `{"a":"wrong"}`), rule)
		}
	}
	whole := compile(t, `{"properties": {"a": {"type": "\u0069nteger"}}}`)
	assert.NoError(t, whole.Check("interaction", `{"a":1.0}`))
	assert.Error(t, whole.Check("interaction", `{"a":1.5}`))
	lists := compile(t, `{"properties": {"a": {"minItems": 2, "uniqueItems": true}}}`)
	assert.NoError(t, lists.Check("interaction", `{"a":[1,2]}`))
	assert.Error(t, lists.Check("interaction", `{"a":[1]}`))
	assert.Error(t, lists.Check("interaction", `{"a":[2,2]}`))
}

func TestSchemasThatAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":            `{`,
		"no schema":          `{"type": 7}`,
		"a file":             `{"$ref": "file:///etc/passwd"}`,
		"the network":        `{"$ref": "https://example.com/schema.json"}`,
		"a neighbour":        `{"$ref": "other.json"}`,
		"too large":          `{"title": "` + strings.Repeat("x", 1<<20) + `"}`,
		"a wrong expression": `{"pattern": "("}`,
	} {
		_, err := schema.Compile(map[string]string{"*": "file.json"}, func(string) ([]byte, error) { return []byte(text), nil })
		assert.ErrorContains(t, err, "file.json", name)
	}
	_, err := schema.Compile(map[string]string{"*": "builtin:nothing"}, nil)
	assert.ErrorContains(t, err, "genesys-interaction")
	_, err = schema.Compile(map[string]string{"*": "gone.json"}, func(string) ([]byte, error) { return nil, errors.New("gone") })
	assert.ErrorContains(t, err, "gone")
}

func TestBuiltinsAreSchemas(t *testing.T) {
	require.NotEmpty(t, schema.Builtins())
	for _, name := range schema.Builtins() {
		_, err := schema.Compile(map[string]string{"*": "builtin:" + name}, nil)
		assert.NoError(t, err, name)
	}
}

// document draws JSON of few names and values, so that shapes meet again.
func document() *rapid.Generator[any] {
	leaf := rapid.OneOf(rapid.Just[any](nil), rapid.Just[any](true), rapid.Just[any]("x"), rapid.Just[any](json.Number("1")),
		rapid.Just[any](json.Number("1.0")), rapid.Just[any](json.Number("1.5")))
	return rapid.Custom(func(t *rapid.T) any {
		inner := map[string]any{}
		for _, name := range []string{"id", "type", "agent", "held"} {
			if rapid.Bool().Draw(t, "has "+name) {
				inner[name] = leaf.Draw(t, name)
			}
		}
		if rapid.Bool().Draw(t, "has tags") {
			inner["tags"] = rapid.SliceOfN(leaf, 0, 4).Draw(t, "tags")
		}
		return map[string]any{"data": inner}
	})
}

func TestKnownShapesAreJudgedLikeUnknownOnes(t *testing.T) {
	warm := compile(t, interactionSchema)
	rapid.Check(t, func(t *rapid.T) {
		body, err := json.Marshal(document().Draw(t, "document"))
		require.NoError(t, err)
		cold, err := schema.Compile(map[string]string{"interaction": "x"}, func(string) ([]byte, error) { return []byte(interactionSchema), nil })
		require.NoError(t, err)
		assert.Equal(t, cold.Check("interaction", string(body)), warm.Check("interaction", string(body)), string(body))
	})
}

// BenchmarkCheck is what the check of 1 KB costs: with a shape that is known, and without.
func BenchmarkCheck(b *testing.B) {
	fields := make([]string, 30)
	for i := range fields {
		fields[i] = fmt.Sprintf(`"field%02d": "value %02d of some length"`, i, i)
	}
	body := `{"data": {"id": "1", "type": "call", ` + strings.Join(fields, ", ") + `}}`
	for name, text := range map[string]string{
		"known shape": interactionSchema,
		"every value": strings.Replace(interactionSchema, `"tags": {`, `"x": {"minLength": 1}, "tags": {`, 1),
	} {
		set := compile(b, text)
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := set.Check("interaction", body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
