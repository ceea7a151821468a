package mesh

import (
	_ "embed"
	"slices"
)

//go:embed streams.schema.json
var schema []byte

// Schema is the JSON Schema of streams.json, with the meaning, default, unit and bounds of
// every field: for editors and for "genmesh schema".
func Schema() []byte { return slices.Clone(schema) }
