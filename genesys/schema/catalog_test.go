package schema_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/genmesh/genmesh/genesys/schema"
)

const interaction = "interaction"

// catalog has an event every ten seconds.
type catalog struct {
	*schema.Catalog
	at time.Time
}

func newCatalog() *catalog { return &catalog{schema.NewCatalog(), time.Unix(1767225600, 0)} }

func (c *catalog) Look(eventType, content string) []schema.Change {
	c.at = c.at.Add(10 * time.Second)
	return c.Catalog.Look(eventType, content, c.at)
}

// feed lets a catalog look at n events of one type and tells what it noticed.
func feed(c *catalog, n int, body func(i int) string) []schema.Change {
	var changes []schema.Change
	for i := range n {
		changes = append(changes, c.Look(interaction, body(i))...)
	}
	return changes
}

// call is an event as it is on an ordinary day; one in ten is a wrap-up with a field of its own.
func call(more string) func(i int) string {
	return func(i int) string {
		if i%10 == 9 {
			return fmt.Sprintf(`{"id":"%d","state":"wrapup","code":"resolved","agent":{"id":"a","name":"b"}%s}`, i, more)
		}
		return fmt.Sprintf(`{"id":"%d","state":"connected","agent":{"id":"a","name":"b"},"held":null%s}`, i, more)
	}
}

func settled(t testing.TB) *catalog {
	t.Helper()
	c := newCatalog()
	require.Empty(t, feed(c, 300, call("")), "nothing is new while it is learned")
	return c
}

func TestNewFieldsAreToldOnce(t *testing.T) {
	c := settled(t)
	assert.Empty(t, feed(c, 100, call("")))
	assert.Equal(t, []schema.Change{{EventType: interaction, Kind: schema.New, Pointer: "/mood", Is: "object"}},
		feed(c, 50, call(`,"mood":{"score":1,"words":["a"]}`)), "without what is in it, which is as new")
	assert.Equal(t, []schema.Change{{EventType: interaction, Kind: schema.New, Pointer: "/mood/source", Is: "string"}},
		feed(c, 50, call(`,"mood":{"score":1,"source":"x"}`)))
}

func TestRetypedFieldsAreToldOnce(t *testing.T) {
	c := settled(t)
	retyped := func(int) string { return `{"id":7,"state":"connected","agent":{"id":"a","name":"b"},"held":"x"}` }
	assert.Equal(t, []schema.Change{{EventType: interaction, Kind: schema.Retyped, Pointer: "/id", Was: "string", Is: "number"}},
		feed(c, 50, retyped), "a field that was null has no type yet")
	nulls := func(int) string { return `{"id":null,"state":"connected","agent":null,"held":null}` }
	assert.Empty(t, feed(c, 50, nulls), "null stands for nothing")
}

func TestVanishedFieldsAreToldOnceAndOnlyWhenChanceDoesNotExplainIt(t *testing.T) {
	c := settled(t)
	without := func(i int) string { return strings.Replace(call("")(i), `,"agent":{"id":"a","name":"b"}`, "", 1) }
	assert.Empty(t, feed(c, 64, without), "too few to tell")
	assert.Equal(t, []schema.Change{{EventType: interaction, Kind: schema.Vanished, Pointer: "/agent", Was: "object"}}, feed(c, 200, without))

	c = settled(t)
	noWrapups := func(i int) string { return call("")(i - i%10) }
	assert.Empty(t, feed(c, 128, noWrapups), "one in ten may be missing for a while")
	assert.Equal(t, []schema.Change{{EventType: interaction, Kind: schema.Vanished, Pointer: "/code", Was: "string"}}, feed(c, 300, noWrapups))
	assert.Equal(t, []schema.Change{{EventType: interaction, Kind: schema.New, Pointer: "/code", Is: "string"}}, feed(c, 10, call("")), "and back again")
}

func TestNewEventTypesAreTold(t *testing.T) {
	c := settled(t)
	assert.Equal(t, []schema.Change{{EventType: "survey", Kind: schema.New}}, c.Look("survey", `{"a":1}`))
	assert.Empty(t, c.Look("survey", `{"b":1}`))
}

func TestNamesThatAreDataAreNotTold(t *testing.T) {
	c := newCatalog()
	attributes := func(i int) string {
		return fmt.Sprintf(`{"attributes":{"Customer no. (%d)":"x","jane.roe+%d@example.com":1}}`, i, i)
	}
	require.Empty(t, feed(c, 300, attributes))
	assert.Empty(t, feed(c, 300, func(i int) string { return fmt.Sprintf(`{"attributes":{"key%d":{"a":true}}}`, i) }))
	proposal, ok := c.Infer(interaction, "attributes")
	require.True(t, ok)
	assert.NotContains(t, string(proposal), "Customer")
	assert.NotContains(t, string(proposal), "example.com")

	// Names that could be fields are taken for data once there are too many of them.
	c = newCatalog()
	letters := func(i int) string {
		return fmt.Sprintf(`{"map":{"name%c%c":1}}`, 'a'+rune(i/26%26), 'a'+rune(i%26))
	}
	feed(c, 676, letters)
	proposal, _ = c.Infer(interaction, "map")
	assert.Contains(t, string(proposal), "additionalProperties")
}

// TestOneOddNameHidesNothing: a customer's own field among those of the format.
func TestOneOddNameHidesNothing(t *testing.T) {
	c := settled(t)
	require.Empty(t, c.Look(interaction, call(`,"first name":"Ann","🙂":1`)(0)))
	assert.Equal(t, []schema.Change{{EventType: interaction, Kind: schema.New, Pointer: "/mood", Is: "string"}}, feed(c, 50, call(`,"mood":"x"`)))
	proposal, _ := c.Infer(interaction, "x")
	assert.Contains(t, string(proposal), `"required"`)
	assert.NotContains(t, string(proposal), "additionalProperties")
}

// TestEverythingBeginsAtOnce: a contact centre's first calls are all at their beginning.
func TestEverythingBeginsAtOnce(t *testing.T) {
	c := schema.NewCatalog()
	at := time.Unix(1767225600, 0)
	for i := range 30_000 { // ten minutes of fifty in a second
		at = at.Add(20 * time.Millisecond)
		body := `{"id":"1","state":"started"}`
		if i > 200 {
			body = `{"id":"1","state":"connected","agent":"a"}`
		}
		if i > 2500 && i%10 == 0 {
			body = `{"id":"1","state":"wrapup","agent":"a","code":"x"}`
		}
		require.Empty(t, c.Look(interaction, body, at), i)
	}
}

// TestOrdinaryVarietyIsNoChange: fields that come and go by chance, each at its own rate.
func TestOrdinaryVarietyIsNoChange(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	body := func(int) string {
		var fields []string
		for i, percent := range []int{100, 90, 50, 20, 10, 5} {
			if rng.IntN(100) < percent {
				fields = append(fields, fmt.Sprintf(`"field%c":{"x":%d}`, 'a'+rune(i), rng.IntN(9)))
			}
		}
		return "{" + strings.Join(fields, ",") + "}"
	}
	c := newCatalog()
	for range 20_000 {
		require.Empty(t, c.Look(interaction, body(0)))
	}
}

func TestInferredSchemaSaysWhatAllEventsHave(t *testing.T) {
	c := settled(t)
	proposal, ok := c.Infer(interaction, "Calls")
	require.True(t, ok)
	assert.JSONEq(t, `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"Calls","type":"object",
		"required":["agent","id","state"],"properties":{
			"id":{"type":"string"},"state":{"type":"string"},"code":{"type":"string"},"held":{},
			"agent":{"type":"object","required":["id","name"],"properties":{"id":{"type":"string"},"name":{"type":"string"}}}}}`, string(proposal))
	_, ok = c.Infer("other", "")
	assert.False(t, ok)
}

// TestInferredSchemasTakeWhatTheyWereInferredFrom is a property of all documents.
func TestInferredSchemasTakeWhatTheyWereInferredFrom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCatalog()
		var bodies []string
		for range rapid.IntRange(1, 20).Draw(t, "events") {
			body, err := json.Marshal(document().Draw(t, "event"))
			require.NoError(t, err)
			bodies = append(bodies, string(body))
			c.Look(interaction, string(body))
		}
		proposal, ok := c.Infer(interaction, "x")
		require.True(t, ok)
		set, err := schema.Compile(map[string]string{"*": "x"}, func(string) ([]byte, error) { return proposal, nil })
		require.NoError(t, err, string(proposal))
		for _, body := range bodies {
			require.NoError(t, set.Check("*", body), "%s\n%s", body, proposal)
		}
	})
}

func TestCatalogIsBounded(t *testing.T) {
	c := newCatalog()
	for i := range 5000 {
		c.Look(fmt.Sprintf("type %d", i), `{"a":1}`)
	}
	assert.LessOrEqual(t, len(c.Types()), 256)

	wide := make([]string, 100)
	for n := range 200 {
		for i := range wide {
			wide[i] = fmt.Sprintf(`"%c%c%c":{"x%c":1}`, 'a'+rune(n%26), 'a'+rune(n/26), 'A'+rune(i%26), 'a'+rune(i/26))
		}
		c.Look("type 0", `{"a":{`+strings.Join(wide, ",")+`}}`)
	}
	proposal, _ := c.Infer("type 0", "wide")
	assert.Less(t, len(proposal), 1<<20)
	c.Look("type 0", strings.Repeat(`{"a":`, 64)+"1"+strings.Repeat("}", 64))
}

// BenchmarkLook is what a watcher spends on an event of 1 KB, in its own goroutine.
func BenchmarkLook(b *testing.B) {
	fields := make([]string, 30)
	for i := range fields {
		fields[i] = fmt.Sprintf(`"field%02d": "value %02d of some length"`, i, i)
	}
	body := `{"data": {"id": "1", "type": "call", ` + strings.Join(fields, ", ") + `}}`
	c := newCatalog()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		c.Look(interaction, body)
	}
}
