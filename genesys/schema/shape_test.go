package schema

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
)

func TestShapesOfDocuments(t *testing.T) {
	same := [][2]string{
		{`{"a":1,"b":"x"}`, ` { "b" : "y\"}" ,` + "\n" + `"a" : -20 }`},
		{`{"a":true}`, `{"a":false}`},
		{`[1,2,3]`, `[7]`},
		{`[{"a":1},{"a":2}]`, `[{"a":3}]`},
		{`{"a":1.5}`, `{"a":2e9}`},
		{`"\\"`, `"\""`},
	}
	for _, c := range same {
		assert.Equal(t, shapeOf(c[0]).hash, shapeOf(c[1]).hash, "%s and %s", c[0], c[1])
	}
	different := []string{`{}`, `[]`, `null`, `true`, `1`, `1.5`, `""`, `{"a":1}`, `{"b":1}`, `{"a":"1"}`, `{"a":null}`, `{"a":{}}`,
		`{"a":[]}`, `{"a":1,"b":1}`, `{"a":{"b":1}}`, `[1,"a"]`, `["a",1]`, `[[]]`, `[{}]`, `[null]`, `{"a":{"x":1},"b":{"y":1}}`,
		`{"a":{"y":1},"b":{"x":1}}`}
	seen := map[uint64]string{}
	for _, text := range different {
		shape := shapeOf(text).hash
		assert.Empty(t, seen[shape], "the same as %s", text)
		seen[shape] = text
	}
	assert.True(t, shapeOf(`{"a":[{"b":1.0}]}`).fraction)
	assert.False(t, shapeOf(`{"a":"1.0e5"}`).fraction)
	for text, extreme := range map[string]bool{
		`1e400`: false, `1e401`: true, `[-2.5E-401]`: true, `1e+000400`: false, `"1e999999"`: false, `{"1e999999":12345}`: false, `1e999999999999999999999`: true,
	} {
		assert.Equal(t, extreme, shapeOf(text).extreme, text)
	}
}

// FuzzShape: any bytes have a shape, and it does not depend on white space or the order of fields.
func FuzzShape(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":null}],"c":"\u00e4"}`, `{`, `"`, `[1,`, `\`, `{"a"`, `{]}`, `nul`, "\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		shape := shapeOf(string(body)).hash
		var v any
		if json.Unmarshal(body, &v) != nil {
			return
		}
		var again bytes.Buffer
		assert.NoError(t, json.Indent(&again, body, "  ", "\t")) // MarshalIndent would write "&" in another way
		assert.Equal(t, shape, shapeOf(again.String()).hash)
	})
}

func BenchmarkShape(b *testing.B) {
	body := `{"id":"4f1c2f6e-5d0b-4a7e-9d57-0f6f3a1f7c11","timestamp":1767225600,"eventTypeId":"interaction","data":{"id":"987654321",` +
		`"contactId":"c-12345","type":"call","state":"connected","sequence":3,"queue":{"id":"q-01","name":"Queue 1"},"agent":{"id":"a-001","name":"Agent 1"}}}`
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		shapeOf(body)
	}
}

// BenchmarkObserve is what a watcher costs the request that brought an event of 1 KB: no event is let go,
// and none is looked at.
func BenchmarkObserve(b *testing.B) {
	w := NewWatcher(WatcherOptions{Source: "genesys", Logger: logrus.New()})
	body := `{"id":"1","text":"` + strings.Repeat("x", 1000) + `"}`
	b.ReportAllocs()
	for b.Loop() {
		w.Observe("interaction", body)
		e := <-w.waiting
		w.bytes.Add(-int64(len(e.content)))
	}
}
