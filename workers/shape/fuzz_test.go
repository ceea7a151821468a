package shape_test

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/shape"
)

// FuzzCheck: whatever stands in streams.json, it is compiled or refused, and what is compiled can be applied. No error of that shows a value of
// the body.
func FuzzCheck(f *testing.F) {
	f.Add(`data.a == 1 and not any(data.parts, .purpose in ["agent"])`, `{id: .data.id} | del(.x[0]) | . * {}`, "data.*.x")
	f.Add(`let x = data.a ?? 1; x matches "^a" ? true : has(event.id)`, `def f(g): g | f(g); reduce .[] as [$a] (0; . + $a) | test("x")`, "a.0")
	f.Add(`((((`, `"\(.a)" | @json`, "..")
	f.Add(`data.ani + data.name`, `.data | .ani |= (.[0] // error("\(.name)")) | def tostring: error; tostring`, "data.ani")
	f.Fuzz(func(t *testing.T, when, transform, path string) {
		began := time.Now()
		for _, s := range []mesh.Subscriber{{When: when}, {Transform: transform}, {Redact: []mesh.Redaction{{Path: path}}}} {
			if shape.Check(s) != nil {
				continue
			}
			_, _, _ = newTimedShape(t, s).Apply(t.Context(), call) // an error is as good as an answer
			if _, _, err := newTimedShape(t, s).Apply(t.Context(), personal); err != nil {
				require.NotContains(t, err.Error(), "CANARY", transform)
			}
		}
		require.Less(t, time.Since(began), 20*time.Second)
	})
}

// FuzzApply: any body is an answer or an error, and an event with an error is not handed on.
func FuzzApply(f *testing.F) {
	f.Add([]byte(`{"data":{"a":1,"list":[{"p":"x"},null,1e9],"text":"call"}}`))
	f.Add([]byte(`{"d\u0061ta":{"a":1,"a":2},"data":[]}`))
	f.Add([]byte(`[1,`))
	f.Add([]byte("\xff"))
	s := newTimedShape(f, mesh.Subscriber{
		When:      `data.a != 1 or any(data.list, .p == "x") or data.text matches "^c" or data.a + data.b > 0.5 or not has(data.z)`,
		Redact:    []mesh.Redaction{{Path: "data.list.*.p", With: mesh.RedactHash}, {Path: "data.text"}, {Path: "*.a", With: mesh.RedactDrop}},
		RedactKey: "${REDACT_KEY}",
		Transform: `{all: ., n: [..] | length, k: (.data? | objects | keys)}`,
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		got, delivered, err := s.Apply(t.Context(), mesh.Event{Body: body})
		require.Equal(t, before, body)
		if err != nil {
			require.False(t, delivered)
			require.Empty(t, got.Body)
		}
		if delivered {
			require.True(t, json.Valid(got.Body), "%s", got.Body)
		}
	})
}

// FuzzRedact: what is at the path is gone, and everything else is as it was. The other way to redact is in the test: it decodes
// everything, which the package doesn't.
func FuzzRedact(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,{"c":"x"}]},"d":null}`), "a.b.*.c", byte(0))
	f.Add([]byte(`{ "\u0061" : { "b" : 1.50 , "c" : [ ] } , "z" : {} }`), "a.*", byte(1))
	f.Add([]byte(`[[1,2],[3]]`), "*.0", byte(1))
	f.Add([]byte(`{"a":1,"b":2,"c":3}`), "a", byte(1))
	const marker = "MARKER-of-what-is-secret"
	f.Fuzz(func(t *testing.T, body []byte, path string, with byte) {
		if !jsontext.Value(body).IsValid() || strings.Contains(string(body), marker) {
			return // duplicate names have a test of their own
		}
		how := []mesh.RedactWith{mesh.RedactMask, mesh.RedactDrop}[with%2]
		subscriber := mesh.Subscriber{Redact: []mesh.Redaction{{Path: path, With: how}}}
		if shape.Check(subscriber) != nil {
			return
		}
		parts := strings.Split(path, ".")
		planted, err := json.Marshal(replace(decode(t, body), parts, marker))
		require.NoError(t, err)
		got, delivered, err := newShape(t, subscriber).Apply(t.Context(), mesh.Event{Body: planted})
		require.NoError(t, err)
		require.True(t, delivered)
		require.NotContains(t, string(got.Body), marker)
		var put any = "***"
		if how == mesh.RedactDrop {
			put = dropped{}
		}
		require.Equal(t, replace(decode(t, body), parts, put), decode(t, got.Body))
	})
}

type dropped struct{}

func decode(t *testing.T, body []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	require.NoError(t, decoder.Decode(&v))
	return v
}

// replace puts something in the place of what is at a path.
func replace(v any, path []string, put any) any {
	if len(path) == 0 {
		return put
	}
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if path[0] != "*" && path[0] != name {
				continue
			}
			if v[name] = replace(member, path[1:], put); v[name] == (dropped{}) {
				delete(v, name)
			}
		}
	case []any:
		for i, element := range v {
			index, err := strconv.Atoi(path[0])
			if path[0] != "*" && (err != nil || index != i) {
				continue
			}
			if v[i] = replace(element, path[1:], put); v[i] == (dropped{}) {
				v[i] = nil
			}
		}
	}
	return v
}
