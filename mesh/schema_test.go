package mesh

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// schemaNode is what the tests look at in a schema.
type schemaNode struct {
	Type                 string                `json:"type"`
	Ref                  string                `json:"$ref"`
	Description          string                `json:"description"`
	AdditionalProperties any                   `json:"additionalProperties"`
	Properties           map[string]schemaNode `json:"properties"`
	Items                *schemaNode           `json:"items"`
	AnyOf                []struct {
		Enum []string
		Ref  string `json:"$ref"`
	}
	Defs map[string]schemaNode `json:"$defs"`
}

func TestSchemaAndGoTypesAgree(t *testing.T) {
	var root schemaNode
	require.NoError(t, json.Unmarshal(Schema(), &root))
	agree(t, root, root, reflect.TypeFor[Topology](), "streams.json")
}

// agree walks a Go struct and its schema side by side.
func agree(t *testing.T, root, node schemaNode, owner reflect.Type, path string) {
	require.Equal(t, "object", node.Type, path)
	require.Equal(t, false, node.AdditionalProperties, "%s: additionalProperties", path)
	assert.NotEmpty(t, node.Description, path)
	names := map[string]bool{}
	for _, f := range fieldsOf(reflect.New(owner).Elem()) {
		names[f.name] = true
		property, ok := node.Properties[f.name]
		if !assert.True(t, ok, "%s.%s is not in the schema", path, f.name) {
			continue
		}
		agreeOnType(t, root, property, f.value.Type(), path+"."+f.name)
	}
	for name := range node.Properties {
		assert.True(t, names[name], "%s.%s is in the schema, but no such field exists", path, name)
	}
}

func agreeOnType(t *testing.T, root, node schemaNode, typ reflect.Type, path string) {
	def, isDef := root.Defs[trimRef(node.Ref)]
	assert.True(t, node.Description != "" || def.Description != "" || typ.Kind() == reflect.String, "%s has no description", path)
	if want := scalarDef(typ); want != "" {
		assert.Equal(t, "#/$defs/"+want, node.Ref, path)
		return
	}
	if values := enumValues(typ); values != nil {
		require.True(t, isDef, path)
		assert.Equal(t, values, def.AnyOf[0].Enum, path)
		return
	}
	switch typ.Kind() {
	case reflect.String:
		assert.Equal(t, "string", node.Type, path)
	case reflect.Pointer:
		agreeOnType(t, root, node, typ.Elem(), path)
	case reflect.Slice:
		require.Equal(t, "array", node.Type, path)
		items := *node.Items
		if len(items.AnyOf) > 0 && items.Ref == "" { // an object that may be written as a text
			items.Ref = items.AnyOf[0].Ref
		}
		agreeOnType(t, root, items, typ.Elem(), path+"[]")
	case reflect.Map:
		agreeOnMap(t, root, node, typ, path)
	case reflect.Struct:
		require.True(t, isDef, "%s should refer to a definition", path)
		agree(t, root, def, typ, path)
	default:
		t.Errorf("%s: the test knows no schema for %s", path, typ)
	}
}

func agreeOnMap(t *testing.T, root, node schemaNode, typ reflect.Type, path string) {
	if node.Ref == "#/$defs/metadata" && typ.Elem().Kind() == reflect.String {
		return
	}
	values, ok := node.AdditionalProperties.(map[string]any)
	require.True(t, ok, "%s: additionalProperties", path)
	if typ.Elem() == reflect.TypeFor[string]() {
		assert.Equal(t, "string", values["type"], path)
		return
	}
	ref, _ := values["$ref"].(string)
	agreeOnType(t, root, schemaNode{Ref: ref, Description: node.Description}, typ.Elem(), path+".*")
}

func trimRef(ref string) string {
	const prefix = "#/$defs/"
	if len(ref) < len(prefix) {
		return ""
	}
	return ref[len(prefix):]
}

func scalarDef(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Secret]():
		return "secret"
	case reflect.TypeFor[Duration](), reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[Rate]():
		return "rate"
	case reflect.TypeFor[Selectors]():
		return "selectors"
	}
	if enumValues(t) != nil {
		return ""
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "boolean"
	}
	return ""
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("streams.schema.json", document))
	compiled, err := compiler.Compile("streams.schema.json")
	require.NoError(t, err)
	return compiled
}

func validates(t *testing.T, schema *jsonschema.Schema, document []byte) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	require.NoError(t, err)
	return schema.Validate(value)
}

func TestSchemaTakesWhatTheParserTakes(t *testing.T) {
	schema := compiledSchema(t)
	require.NoError(t, validates(t, schema, sampleFile(t)))
	topology, err := ParseTopology(sampleFile(t), parseOptions(nil))
	require.NoError(t, err)
	raw, err := json.Marshal(topology)
	require.NoError(t, err)
	require.NoError(t, validates(t, schema, raw), string(raw))
	for name, document := range goodFiles(t) {
		assert.NoError(t, validates(t, schema, []byte(document)), name)
	}
}

// TestSchemaTakesTheFileThatShips however it is edited: editors mark what it refuses.
func TestSchemaTakesTheFileThatShips(t *testing.T) {
	shipped, err := os.ReadFile("../streams.json")
	require.NoError(t, err)
	require.NoError(t, validates(t, compiledSchema(t), shipped))
}

func TestSchemaRefusesWhatEditorsShouldMark(t *testing.T) {
	schema := compiledSchema(t)
	for name, edit := range map[string][2]string{
		"unknown field":     {`"ack_wait": "10s"`, `"ack_wat": "30s"`},
		"literal secret":    {`"${GENESYS_WEBHOOK_SECRET}"`, `"hunter2"`},
		"unknown retention": {`"retention": "limits"`, `"retention": "forever"`},
		"broken duration":   {`"max_age": "168h"`, `"max_age": "a week"`},
		"wrong type":        {`"max_attempts": 6`, `"max_attempts": "six"`},
		"list of backoffs":  {`{"base": "1s", "factor": 2, "max": "60s"}`, `["1s", "2s"]`},
		"missing url":       {`"url": "${CRM_URL:-log:}", `, ``},
	} {
		assert.Error(t, validates(t, schema, []byte(editedFile(t, edit[0], edit[1]))), name)
	}
}
