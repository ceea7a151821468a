package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

func TestTheDocumentAndTheRoutesAreTheSame(t *testing.T) {
	loaded := loadDocument(t)
	routed, documented := map[string]string{}, map[string]string{}
	for _, r := range (&server{}).routes() {
		routed[r.method+" "+r.path] = string(r.needs)
	}
	for path, item := range loaded.Paths.Map() {
		for method, operation := range item.Operations() {
			role, _ := operation.Extensions["x-role"].(string)
			documented[method+" "+path] = role
			assert.NotEmpty(t, operation.Summary, path)
			var named []string
			for _, p := range operation.Parameters {
				if p.Value.In == "path" {
					named = append(named, p.Value.Name)
				}
			}
			var there []string
			for _, m := range regexp.MustCompile(`{(\w+)}`).FindAllStringSubmatch(path, -1) {
				there = append(there, m[1])
			}
			assert.ElementsMatch(t, there, named, path)
		}
	}
	assert.Equal(t, routed, documented)
}

// TestTheDocumentNamesEachParameterThatIsTaken asks each route for what it does not know: it tells what it does.
func TestTheDocumentNamesEachParameterThatIsTaken(t *testing.T) {
	s := newStation(t)
	for path, item := range loadDocument(t).Paths.Map() {
		for method, operation := range item.Operations() {
			var named []string
			for _, p := range operation.Parameters {
				if p.Value.In == "query" {
					named = append(named, p.Value.Name)
				}
			}
			concrete := regexp.MustCompile(`{\w+}`).ReplaceAllString(path, "7")
			got := s.ask(access.Admin, method, concrete+"?zzzzzzzzzzzzzzzz=1", "")
			require.Equal(t, http.StatusBadRequest, got.status, "%s %s: %s", method, path, got.body)
			detail := problemOf(t, got).Detail
			var taken []string
			if _, known, ok := strings.Cut(detail, "known are "); ok {
				taken = strings.Split(known, ", ")
			} else {
				assert.Contains(t, detail, "none is taken")
			}
			assert.ElementsMatch(t, named, taken, "%s %s", method, path)
		}
	}
}

func problemOf(t *testing.T, a answer) problem {
	t.Helper()
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), a.body)
	var p problem
	require.NoError(t, json.Unmarshal([]byte(a.body), &p))
	assert.Equal(t, a.status, p.Status)
	assert.Regexp(t, "^urn:genmesh:request:[a-z2-7]{26}$", p.Instance)
	assert.Regexp(t, "^urn:genmesh:problem:[a-z-]+$", p.Type)
	return p
}

// documentedTypes are what goes over the wire; what they are made of follows.
func documentedTypes() []any {
	return []any{
		admin.Overview{}, live.Snapshot{}, sourceList{}, streamList{}, subscriberList{}, admin.EventPage{}, admin.EventDetail{}, mesh.Timeline{},
		admin.DeadPage{}, admin.DeadGroups{}, admin.QuarantinePage{}, admin.QuarantineGroups{}, replayList{}, admin.ReplayPlan{},
		admin.Configuration{}, admin.AuditPage{}, processList{}, taskList{}, admin.ActResult{}, admin.Applied{}, admin.ErasureResult{},
		admin.PauseResult{}, problem{}, pauseAsk{}, reasonAsk{}, eraseAsk{}, deadAct{}, quarantineAct{}, replayAsk{}, applyAsk{}, levelAsk{},
		mesh.ScrubReport{}, admin.ScrubAccepted{}, scrubAsk{},
	}
}

// texts are types that are a string in JSON, by their schema.
func texts() map[reflect.Type]string {
	return map[reflect.Type]string{
		reflect.TypeFor[mesh.Duration](): "Duration", reflect.TypeFor[length](): "Duration", reflect.TypeFor[mesh.Rate](): "Rate",
		reflect.TypeFor[rate](): "Rate", reflect.TypeFor[moment](): "Moment", reflect.TypeFor[admin.Health](): "Health",
		reflect.TypeFor[mesh.Order](): "Order", reflect.TypeFor[mesh.DeadReason](): "DeadReason", reflect.TypeFor[mesh.Action](): "StepAction",
		reflect.TypeFor[mesh.Kind](): "StepKind", reflect.TypeFor[mesh.AuditResult](): "AuditResult",
		reflect.TypeFor[mesh.DeliveryState](): "DeliveryState", reflect.TypeFor[mesh.ScrubKind](): "ScrubKind",
	}
}

func TestSchemasAndTypesHaveTheSameFields(t *testing.T) {
	c := comparison{t: t, schemas: loadDocument(t).Components.Schemas, compared: map[string]bool{}}
	for _, one := range documentedTypes() {
		c.named(reflect.TypeOf(one))
	}
	for _, name := range texts() {
		c.compared[name] = true
	}
	assert.ElementsMatch(t, slices.Collect(maps.Keys(c.schemas)), slices.Collect(maps.Keys(c.compared)), "each schema is a type's")
	var reasons []any
	for _, reason := range mesh.DeadReasons() {
		reasons = append(reasons, string(reason))
	}
	assert.ElementsMatch(t, reasons, c.schemas["DeadReason"].Value.Enum)
}

// comparison compares types with schemas.
type comparison struct {
	t        *testing.T
	schemas  openapi3.Schemas
	compared map[string]bool
}

// named compares a struct with the schema of its name.
func (c *comparison) named(of reflect.Type) string {
	name := strings.ToUpper(of.Name()[:1]) + of.Name()[1:]
	if of == reflect.TypeFor[live.Error]() {
		name = "TargetError"
	}
	if c.compared[name] {
		return name
	}
	c.compared[name] = true
	ref := c.schemas[name]
	if !assert.NotNil(c.t, ref, name) {
		return name
	}
	schema, fields := ref.Value, map[string]reflect.StructField{}
	flatten(of, fields)
	assert.ElementsMatch(c.t, slices.Collect(maps.Keys(fields)), slices.Collect(maps.Keys(schema.Properties)), "the fields of %s", name)
	assert.NotNil(c.t, schema.AdditionalProperties.Has, name)
	assert.False(c.t, *schema.AdditionalProperties.Has, "%s has no other fields", name)
	assert.NotEmpty(c.t, schema.Description, name)
	for json, field := range fields {
		if property := schema.Properties[json]; property != nil {
			c.value(name+"."+json, field.Type, property)
		}
		if !strings.HasSuffix(name, "Ask") && !strings.HasSuffix(name, "Act") && !strings.HasSuffix(name, "Selection") {
			_, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			assert.Equal(c.t, options == "", slices.Contains(schema.Required, json), "%s.%s is required", name, json)
		}
	}
	return name
}

// flatten gathers the fields of a struct and of those that it embeds.
func flatten(of reflect.Type, into map[string]reflect.StructField) {
	for i := range of.NumField() {
		field := of.Field(i)
		tag := field.Tag.Get("json")
		switch {
		case field.Anonymous && tag == "":
			embedded := field.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			flatten(embedded, into)
		case tag != "-" && field.IsExported():
			into[fieldName(field)] = field
		}
	}
}

// value compares what a field holds with its schema.
func (c *comparison) value(at string, of reflect.Type, schema *openapi3.SchemaRef) {
	if of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	refersTo := strings.TrimPrefix(schema.Ref, "#/components/schemas/")
	if name, ok := texts()[of]; ok {
		assert.Equal(c.t, name, refersTo, at)
		return
	}
	is := func(name string) { assert.True(c.t, schema.Value.Type.Is(name), "%s is a %s", at, name) }
	switch {
	case of == reflect.TypeFor[time.Time]():
		assert.Equal(c.t, "date-time", schema.Value.Format, at)
	case of == reflect.TypeFor[[]byte](), of.Kind() == reflect.String:
		is("string")
	case of == reflect.TypeFor[json.RawMessage](), of.Kind() == reflect.Interface:
		assert.Nil(c.t, schema.Value.Type, at)
	case of.Kind() == reflect.Bool:
		is("boolean")
	case of.Kind() == reflect.Float64:
		is("number")
	case of.Kind() == reflect.Slice:
		is("array")
		c.value(at+"[]", of.Elem(), schema.Value.Items)
	case of.Kind() == reflect.Map:
		is("object")
		c.value(at+"{}", of.Elem(), schema.Value.AdditionalProperties.Schema)
	case of.Kind() == reflect.Struct:
		assert.Equal(c.t, c.named(of), refersTo, at)
	default:
		is("integer")
	}
}

func TestTheDocumentListsTheKindsOfErrors(t *testing.T) {
	var kinds []any
	for _, err := range []error{mesh.ErrNoAudit, admin.ErrNotFound, admin.ErrInvalid, admin.ErrConflict, admin.ErrForbidden} {
		kinds = append(kinds, admin.KindOf(err))
	}
	assert.ElementsMatch(t, kinds, loadDocument(t).Components.Schemas["Task"].Value.Properties["error_kind"].Value.Enum)
}

func TestTheDocumentIsServed(t *testing.T) {
	s := newStation(t)
	got := s.ask(access.Viewer, http.MethodGet, "/openapi.json", "")
	require.Equal(t, http.StatusOK, got.status)
	assert.JSONEq(t, string(document), got.body)
}

func TestEveryRouteAnswersAsTheDocumentSays(t *testing.T) {
	s := newStation(t)
	s.furnish()
	client := s.client(access.Admin)
	for _, step := range slices.Concat(looks(), changes()) {
		_, _ = step.do(t.Context(), client) // the witness looks at the answers
	}
	s.sample(live.Snapshot{At: moment2026(0)})
	for _, path := range []string{"/openapi.json", "/sources", "/plan", "/subscribers/crm", "/tasks", "/tasks/" + s.tasks.List()[0].ID} {
		assert.Equal(t, http.StatusOK, s.ask(access.Viewer, http.MethodGet, path, "").status, path)
	}
	s.follow(access.Viewer, "/tasks/"+s.tasks.List()[0].ID+"/events").end()
	s.follow(access.Viewer, "/live").end()
	for _, r := range s.witness.routes {
		assert.Eventually(t, func() bool { return s.witness.succeeded(r.method + " " + r.path) }, 20*time.Second, time.Millisecond,
			"%s %s was not seen at work", r.method, r.path)
	}
}
