package shape_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/shape"
)

const secret = "a key of sufficient length"

func lookup(name string) (string, bool) {
	value, ok := map[string]string{"REDACT_KEY": secret, "SHORT": "short"}[name]
	return value, ok
}

func newShape(t testing.TB, s mesh.Subscriber) *shape.Shape {
	t.Helper()
	return newTimedShape(t, s).Unhurried()
}

// newTimedShape is a Shape as a worker has it, with the time limit.
func newTimedShape(t testing.TB, s mesh.Subscriber) *shape.Shape {
	t.Helper()
	made, err := shape.New(s, lookup)
	require.NoError(t, err)
	return made
}

func explain(t testing.TB, s mesh.Subscriber, e mesh.Event) shape.Explanation {
	t.Helper()
	return newShape(t, s).Explain(t.Context(), e)
}

// The warehouse counts finished calls, and must not know whose they are.
var warehouse = mesh.Subscriber{
	Name:      "warehouse",
	When:      `event.type == "interaction" and data.state == "ended" and data.customer.phone startsWith "+49"`,
	Redact:    []mesh.Redaction{{Path: "data.customer.name"}, {Path: "data.customer.phone", With: mesh.RedactHash}, {Path: "data.notes", With: mesh.RedactDrop}},
	RedactKey: "${REDACT_KEY}",
	Transform: `{call: .data.id, customer: .data.customer, seconds: (.data.seconds // 0), from: $event.source, notes: .data.notes}`,
}

func ended(phone string) mesh.Event {
	return mesh.Event{Source: "genesys", Type: "interaction", Body: []byte(`{"data": {"id": "987", "state": "ended", "seconds": 62.50,
		"customer": {"name": "Ada", "phone": "` + phone + `"}, "notes": "called about her bill"}}`)}
}

func TestASubscriberGetsWhatItAskedForAndNoMore(t *testing.T) {
	s := newShape(t, warehouse)
	event := ended("+4930123456")
	before := string(event.Body)

	got, delivered, err := s.Apply(t.Context(), event)
	require.NoError(t, err)
	require.True(t, delivered)
	var body struct {
		Call     string
		Seconds  json.Number
		From     string
		Customer struct{ Name, Phone string }
		Notes    any
	}
	require.NoError(t, json.Unmarshal(got.Body, &body))
	assert.Equal(t, "987", body.Call)
	assert.Equal(t, json.Number("62.50"), body.Seconds)
	assert.Equal(t, "genesys", body.From)
	assert.Equal(t, "***", body.Customer.Name)
	assert.Regexp(t, "^hmac:[0-9a-f]{32}$", body.Customer.Phone)
	assert.Nil(t, body.Notes)
	assert.Equal(t, event.Source, got.Source, "the envelope stays")
	assert.Equal(t, before, string(event.Body), "other subscribers share the event")

	_, delivered, err = s.Apply(t.Context(), ended("+1555000111"))
	require.NoError(t, err)
	assert.False(t, delivered, "the condition sees the number that the target doesn't")
}

func TestAnExplanationTellsWhichStepDecidedAndWhy(t *testing.T) {
	s := newShape(t, warehouse)

	x := s.Explain(t.Context(), ended("+4930123456"))
	assert.True(t, x.Delivered)
	assert.Empty(t, x.Decided)
	assert.Equal(t, "true", x.Answer)
	assert.Equal(t, 3, x.Hidden)
	assert.Equal(t, []shape.RedactedValue{
		{Path: "data.customer.name", With: mesh.RedactMask}, {Path: "data.customer.phone", With: mesh.RedactHash}, {Path: "data.notes", With: mesh.RedactDrop},
	}, x.Redacted)
	assert.NotContains(t, string(x.AfterRedact), "Ada")
	assert.Contains(t, string(x.Event.Body), `"call":"987"`)

	x = s.Explain(t.Context(), mesh.Event{Type: "interaction", Body: []byte(`{"data":{"state":"ended","customer":{"phone":4930}}}`)})
	assert.False(t, x.Delivered)
	assert.Equal(t, shape.StepWhen, x.Decided)
	assert.Equal(t, "unknown", x.Answer)
	assert.Equal(t, []string{`data.customer.phone startsWith "+49" has no answer for a number and a text`}, x.Unknown)

	x = s.Explain(t.Context(), mesh.Event{Type: "interaction", Body: []byte(`{"data":{"state":"ended"}}`)})
	assert.Equal(t, []string{"data.customer is missing"}, x.Unknown)

	program := newShape(t, mesh.Subscriber{Transform: `if .data.x then . else empty end`})
	x = program.Explain(t.Context(), call)
	assert.NoError(t, x.Err)
	assert.False(t, x.Delivered)
	assert.Equal(t, shape.StepTransform, x.Decided)
}

func TestASubscriberThatSaysNothingCostsNothing(t *testing.T) {
	s, err := shape.New(mesh.Subscriber{Name: "crm"}, nil)
	require.NoError(t, err)
	assert.Nil(t, s)
	got, delivered, err := s.Apply(t.Context(), call)
	require.NoError(t, err)
	assert.True(t, delivered)
	assert.Equal(t, call, got)
	assert.True(t, s.Explain(t.Context(), call).Delivered)
	got, err = s.Redact(call)
	require.NoError(t, err)
	assert.Equal(t, call, got)
}

func TestWhatCannotBeHiddenIsNotHandedOn(t *testing.T) {
	s := newShape(t, mesh.Subscriber{Redact: []mesh.Redaction{{Path: "data.phone"}}})
	for _, body := range []string{
		`phone=+4930123456`, ``, `{"data":{"phone":"+4930123456"}`, `{"data":{"phone":"+4930123456"}} {}`,
		"{\"data\":{\"phone\":\"+4930123456\xff\"}}", `{"data":{"phone":"\ud800 +4930123456"}}`, `{"data":{"phone":'+4930123456'}}`,
		`[NaN, {"data":{"phone":"+4930123456"}}]`, "\ufeff" + `{"data":{"phone":"+4930123456"}}`,
	} {
		_, delivered, err := s.Apply(t.Context(), mesh.Event{Body: []byte(body)})
		require.Error(t, err, body)
		assert.False(t, delivered)
		assert.NotContains(t, err.Error(), "4930", "the error doesn't tell either")
		hidden, err := s.Redact(mesh.Event{Body: []byte(body)})
		require.Error(t, err)
		assert.Empty(t, hidden.Body)
	}
}

func TestRedactIsForWhoeverKeepsTheEvent(t *testing.T) {
	got, err := newShape(t, warehouse).Redact(ended("+1555000111"))
	require.NoError(t, err)
	assert.NotContains(t, string(got.Body), "+1555000111")
	assert.NotContains(t, string(got.Body), "Ada")
	assert.Contains(t, string(got.Body), `"seconds": 62.50`)
}

func TestTheKeyIsNeededAndNeverShown(t *testing.T) {
	hashed := mesh.Subscriber{Name: "crm", Redact: []mesh.Redaction{{Path: "a", With: mesh.RedactHash}}}
	for key, says := range map[mesh.Secret]string{
		"":                  "missing, but a value is to be hashed",
		"${UNSET}":          "the environment variable is not set",
		"${UNSET:-}":        "at least 16",
		"${SHORT}":          "it has 5 bytes",
		"file:/no/such":     "no such file",
		"the secret itself": "not a reference",
	} {
		hashed.RedactKey = key
		_, err := shape.New(hashed, lookup)
		require.Error(t, err, key)
		assert.Contains(t, err.Error(), says)
		assert.NotContains(t, err.Error(), "the secret itself")
	}
	hashed.RedactKey = "${UNSET}"
	assert.NoError(t, shape.Check(hashed), "checking reads no secrets")
}

func TestTheEndOfAProcessIsNoVerdict(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, delivered, err := newShape(t, mesh.Subscriber{Transform: "."}).Apply(ctx, call)
	require.ErrorIs(t, err, context.Canceled)
	assert.False(t, delivered)
}

func TestShapesAreSafeForConcurrentUse(t *testing.T) {
	s := newShape(t, warehouse)
	event := ended("+4930123456")
	want, _, err := s.Apply(t.Context(), event)
	require.NoError(t, err)
	done := make(chan string)
	for range 8 {
		go func() {
			got, _, _ := s.Apply(t.Context(), event)
			done <- string(got.Body)
		}()
	}
	for range 8 {
		assert.Equal(t, string(want.Body), <-done)
	}
}

func TestADeepBodyIsNoHarm(t *testing.T) {
	deep := mesh.Event{Body: []byte(strings.Repeat(`{"a":`, 9000) + `"secret"` + strings.Repeat(`}`, 9000))}
	got, delivered, err := newShape(t, mesh.Subscriber{Redact: []mesh.Redaction{{Path: "a.*.a"}}}).Apply(t.Context(), deep)
	require.NoError(t, err)
	assert.True(t, delivered)
	assert.JSONEq(t, `{"a":{"a":{"a":"***"}}}`, string(got.Body))
	_, _, err = newShape(t, mesh.Subscriber{Transform: "."}).Apply(t.Context(), deep)
	assert.ErrorContains(t, err, "nested deeper than 512")
}
