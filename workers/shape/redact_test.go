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

func TestRedactionHidesAPathAndLeavesEveryOtherByte(t *testing.T) {
	mask, hash, drop := mesh.RedactMask, mesh.RedactHash, mesh.RedactDrop
	for _, c := range []struct {
		about      string
		redact     []mesh.Redaction
		body, want string
	}{
		{"a text", []mesh.Redaction{{Path: "a.b"}}, ` {"a" : {"b":"x", "c":1.0}} `, ` {"a" : {"b":"***", "c":1.0}} `},
		{"whatever it was", []mesh.Redaction{{Path: "*"}}, `{"a":1,"b":null,"c":[1,{"d":2}],"e":{}}`, `{"a":"***","b":"***","c":"***","e":"***"}`},
		{"a name with escapes", []mesh.Redaction{{Path: "data.phone"}}, `{"d\u0061ta":{"ph\u006fne":"x"}}`, `{"d\u0061ta":{"ph\u006fne":"***"}}`},
		{"a name that comes twice", []mesh.Redaction{{Path: "a.b"}}, `{"a":{"b":"x"},"a":{"b":"y","b":"z"}}`, `{"a":{"b":"***"},"a":{"b":"***","b":"***"}}`},
		{"every element", []mesh.Redaction{{Path: "l.*.p"}}, `{"l":[{"p":1},{"q":2},3,{"p":4}]}`, `{"l":[{"p":"***"},{"q":2},3,{"p":"***"}]}`},
		{"every member", []mesh.Redaction{{Path: "o.*.p"}}, `{"o":{"x":{"p":1},"y":{"p":2}}}`, `{"o":{"x":{"p":"***"},"y":{"p":"***"}}}`},
		{"one element", []mesh.Redaction{{Path: "l.1"}}, `{"l":[1,2,3]}`, `{"l":[1,"***",3]}`},
		{"a member with a number for a name", []mesh.Redaction{{Path: "o.1"}}, `{"o":{"1":"x","01":"y"}}`, `{"o":{"1":"***","01":"y"}}`},
		{"a body that is a list", []mesh.Redaction{{Path: "0.p"}}, `[{"p":1},{"p":2}]`, `[{"p":"***"},{"p":2}]`},
		{"a path that leads nowhere", []mesh.Redaction{{Path: "a.b.c"}, {Path: "x"}}, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
		{"a scalar body", []mesh.Redaction{{Path: "a"}}, ` "a" `, ` "a" `},
		{"the only member dropped", []mesh.Redaction{{Path: "a", With: drop}}, `{ "a" : 1 }`, `{ }`},
		{"the first dropped", []mesh.Redaction{{Path: "a", With: drop}}, `{"a":1,"b":2,"c":3}`, `{"b":2,"c":3}`},
		{"the middle dropped", []mesh.Redaction{{Path: "b", With: drop}}, `{"a":1, "b":2, "c":3}`, `{"a":1, "c":3}`},
		{"the last dropped", []mesh.Redaction{{Path: "c", With: drop}}, `{"a":1,"b":2,"c":3}`, `{"a":1,"b":2}`},
		{"two dropped", []mesh.Redaction{{Path: "a", With: drop}, {Path: "b", With: drop}}, `{"a":1,"b":2,"c":3}`, `{"c":3}`},
		{"all dropped", []mesh.Redaction{{Path: "*", With: drop}}, `{"a":1,"b":[1,2],"c":3}`, `{}`},
		{"a dropped element", []mesh.Redaction{{Path: "l.0", With: drop}}, `{"l":[1,2]}`, `{"l":[null,2]}`},
		{"inside of what is hidden", []mesh.Redaction{{Path: "a.b", With: drop}, {Path: "a"}}, `{"a":{"b":1,"c":2}}`, `{"a":"***"}`},
		{"drop over mask over hash", []mesh.Redaction{{Path: "a", With: hash}, {Path: "a", With: mask}, {Path: "b"}, {Path: "b", With: drop}}, `{"a":1,"b":2}`, `{"a":"***"}`},
		{"a name of any kind", []mesh.Redaction{{Path: "grüße.a b.%"}}, `{"grüße":{"a b":{"%":1}}}`, `{"grüße":{"a b":{"%":"***"}}}`},
		{"an empty name below a star", []mesh.Redaction{{Path: "*.x"}}, `{"":{"x":1}}`, `{"":{"x":"***"}}`},
	} {
		t.Run(c.about, func(t *testing.T) {
			s := mesh.Subscriber{Redact: c.redact}
			for _, r := range c.redact {
				if r.With == hash {
					s.RedactKey = "${REDACT_KEY}"
				}
			}
			got, delivered, err := newShape(t, s).Apply(t.Context(), mesh.Event{Body: []byte(c.body)})
			require.NoError(t, err)
			assert.True(t, delivered)
			assert.Equal(t, c.want, string(got.Body))
		})
	}
}

func TestAHashIsTheSameForTheSameValue(t *testing.T) {
	s := newShape(t, mesh.Subscriber{RedactKey: "${REDACT_KEY}", Redact: []mesh.Redaction{{Path: "*", With: mesh.RedactHash}}})
	hashOf := func(value string) string {
		got, _, err := s.Apply(t.Context(), mesh.Event{Body: []byte(`[` + value + `]`)})
		require.NoError(t, err)
		hash := strings.ReplaceAll(string(got.Body), " ", "")
		require.Regexp(t, `^\["hmac:[0-9a-f]{32}"\]$`, hash)
		return hash
	}
	for _, same := range [][2]string{
		{`"+4930"`, `"\u002b4930"`}, {`1`, `1.0`}, {`100`, `1e2`}, {`0.10`, `1E-1`}, {`0`, `-0.0`}, {`{"a":1,"b":[2]}`, ` { "b" : [ 2.0 ], "\u0061" : 1 } `},
	} {
		assert.Equal(t, hashOf(same[0]), hashOf(same[1]), same)
	}
	for _, differ := range [][2]string{
		{`"1"`, `1`}, {`9007199254740993`, `9007199254740992`}, {`null`, `"null"`}, {`[1,2]`, `[2,1]`}, {`[1,2]`, `[[1],2]`}, {`{"a":1}`, `{"a":"1"}`},
		{`""`, `null`}, {`1e999999999999`, `1e999999999998`}, {`-1`, `1`}, {`12`, `1.2`},
	} {
		assert.NotEqual(t, hashOf(differ[0]), hashOf(differ[1]), differ)
	}
	other, err := shape.New(mesh.Subscriber{RedactKey: "${K}", Redact: []mesh.Redaction{{Path: "*", With: mesh.RedactHash}}},
		func(string) (string, bool) { return "another key of sufficient length", true })
	require.NoError(t, err)
	got, _, err := other.Apply(t.Context(), mesh.Event{Body: []byte(`[1]`)})
	require.NoError(t, err)
	assert.NotEqual(t, hashOf(`1`), string(got.Body), "another key, another hash")
}

func TestAWrongRedactionIsRefused(t *testing.T) {
	for path, says := range map[string]string{
		"": "a path has 1 to 512 bytes", "a..b": "empty part", ".a": "empty part", "$.a": "brackets", "a[0]": "brackets",
	} {
		err := shape.Check(mesh.Subscriber{Redact: []mesh.Redaction{{Path: path}}})
		require.Error(t, err, path)
		assert.Contains(t, err.Error(), says)
	}
	assert.ErrorContains(t, shape.Check(mesh.Subscriber{Redact: make([]mesh.Redaction, 65)}), "at most 64")
	assert.ErrorContains(t, shape.Check(mesh.Subscriber{RedactKey: "${KEY}"}), "no value is to be hashed")
}

// A source without a place for the time takes the newest one that it finds, which may be one that a subscriber must not see.
func TestATimeThatIsHiddenDoesNotTravelBesideTheBody(t *testing.T) {
	birth := time.Date(1999, 12, 31, 10, 0, 0, 123000000, time.UTC)
	body := []byte(`{"data":{"people":[{"birth":"1999-12-31T11:00:00.123+01:00"}],"ended":"1998-01-01T00:00:00Z"}}`)
	for path, want := range map[string]time.Time{"data.people.*.birth": {}, "data.people": {}, "data.ended": birth, "data.other": birth} {
		got, _, err := newShape(t, mesh.Subscriber{Redact: []mesh.Redaction{{Path: path}}}).Apply(t.Context(), mesh.Event{Body: body, Occurred: birth})
		require.NoError(t, err)
		assert.Equal(t, want, got.Occurred, path)
	}
}
