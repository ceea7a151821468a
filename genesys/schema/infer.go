package schema

import (
	"encoding/json"
	"maps"
	"slices"
)

// draft is the version of JSON Schema that schemas are proposed in.
const draft = "https://json-schema.org/draft/2020-12/schema"

// Infer proposes a schema for an event type, learned from its events: what all of them had is
// required, kinds are as they were seen, and other fields are welcome. It takes every event that the
// catalog looked at. There is none for a type that it has not seen.
func (c *Catalog) Infer(eventType, title string) (proposal []byte, ok bool) {
	t := c.types[eventType]
	if t == nil {
		return nil, false
	}
	object := describe(t.root)
	object["$schema"], object["title"] = draft, title
	proposal, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		panic("schema: encoding a proposal: " + err.Error()) // maps of plain values never fail
	}
	return append(proposal, '\n'), true
}

// describe is the schema of what was seen at a field.
func describe(f *field) map[string]any {
	object := make(map[string]any)
	switch names := f.kinds.names(); {
	case f.kinds&^kindNull == 0: // what was only null so far can be anything
	case len(names) == 1:
		object["type"] = names[0]
	default:
		object["type"] = names
	}
	switch {
	case f.open:
		object["additionalProperties"] = describe(f.fields[anyName])
	case len(f.fields) > 0:
		properties := make(map[string]any, len(f.fields))
		required := []string{}
		for _, name := range slices.Sorted(maps.Keys(f.fields)) {
			below := f.fields[name]
			if name == anyName {
				continue
			}
			properties[name] = describe(below)
			if !below.sometimes && below.kinds&kindNull == 0 {
				required = append(required, name)
			}
		}
		object["properties"] = properties
		if len(required) > 0 {
			object["required"] = required
		}
	}
	if f.elements != nil && f.elements.kinds != 0 {
		object["items"] = describe(f.elements)
	}
	return object
}
