package schema

import (
	"slices"
	"strings"
)

// shapeKeywords are the keywords of JSON Schema that ask for names and kinds only, and those that say
// nothing. Their subschemas are looked at the same way.
func shapeKeywords() []string {
	return []string{
		"$schema", "$id", "$comment", "$ref", "$defs", "definitions", "title", "description", "default", "examples",
		"deprecated", "readOnly", "writeOnly", "type", "required", "properties", "patternProperties",
		"additionalProperties", "minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "items",
		"allOf", "anyOf", "oneOf", "not", "if", "then", "else",
	}
}

// looksAtShapeOnly reports whether what a schema says of a document follows from its shape.
func looksAtShapeOnly(schema any) bool {
	object, isObject := schema.(map[string]any)
	if !isObject {
		return true // true or false
	}
	for keyword, value := range object {
		if !slices.Contains(shapeKeywords(), keyword) || keyword == "$ref" && !isOwnDefinition(value) {
			return false
		}
		if !eachSubschema(keyword, value, looksAtShapeOnly) {
			return false
		}
	}
	return true
}

// eachSubschema calls visit for the schemas under a keyword until one says false.
func eachSubschema(keyword string, value any, visit func(any) bool) bool {
	switch keyword {
	case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas":
		named, _ := value.(map[string]any)
		for _, sub := range named {
			if !visit(sub) {
				return false
			}
		}
	case "allOf", "anyOf", "oneOf":
		list, _ := value.([]any)
		for _, sub := range list {
			if !visit(sub) {
				return false
			}
		}
	case "additionalProperties", "items", "not", "if", "then", "else":
		if list, isList := value.([]any); isList {
			return len(list) == 0 // an array by positions, as drafts before 2020 have it
		}
		return visit(value)
	}
	return true
}

// isOwnDefinition reports whether a reference leads to the whole schema or to one of its definitions,
// which are looked at anyway. It may also lead to what is no schema where it stands, such as an example.
func isOwnDefinition(reference any) bool {
	text, _ := reference.(string)
	for _, start := range []string{"#/$defs/", "#/definitions/"} {
		if name, ok := strings.CutPrefix(text, start); ok {
			return !strings.Contains(name, "/")
		}
	}
	return text == "#"
}

// tellsIntegers reports whether a schema tells whole numbers from others, anywhere in it.
func tellsIntegers(schema any) bool {
	switch v := schema.(type) {
	case string:
		return v == "integer"
	case []any:
		return slices.ContainsFunc(v, tellsIntegers)
	case map[string]any:
		for _, value := range v {
			if tellsIntegers(value) {
				return true
			}
		}
	}
	return false
}

// namesOf adds the members that a schema names, anywhere in it.
func namesOf(schema any, to map[string]bool) {
	switch v := schema.(type) {
	case []any:
		for _, value := range v {
			namesOf(value, to)
		}
	case map[string]any:
		for keyword, value := range v {
			if named, isObject := value.(map[string]any); isObject && keyword == "properties" {
				for name := range named {
					to[name] = true
				}
			}
			namesOf(value, to)
		}
	}
}
