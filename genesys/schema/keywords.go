package schema

import "slices"

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
		if !slices.Contains(shapeKeywords(), keyword) {
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

// takeNulls lets null stand for every property that is not required: to most receivers a field that
// is missing and one that is null are the same.
func takeNulls(schema any) bool {
	object, isObject := schema.(map[string]any)
	if !isObject {
		return true
	}
	for keyword, value := range object {
		eachSubschema(keyword, value, takeNulls)
	}
	properties, _ := object["properties"].(map[string]any)
	required, _ := object["required"].([]any)
	for name, property := range properties {
		if !slices.Contains(required, any(name)) {
			properties[name] = orNull(property)
		}
	}
	return true
}

func orNull(schema any) any {
	object, isObject := schema.(map[string]any)
	if !isObject {
		return schema
	}
	_, hasEnum := object["enum"]
	_, hasConst := object["const"]
	if !hasEnum && !hasConst {
		switch t := object["type"].(type) {
		case string:
			if t != "null" {
				object["type"] = []any{t, "null"}
			}
			return object
		case []any:
			if !slices.Contains(t, any("null")) {
				object["type"] = append(t, "null")
			}
			return object
		}
	}
	return map[string]any{"anyOf": []any{object, map[string]any{"type": "null"}}}
}
