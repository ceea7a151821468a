package ingress

import (
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxJSONDepth is how deep objects and arrays may be nested.
const maxJSONDepth = 64

// The reasons why a signed body goes into quarantine.
const (
	reasonInvalidJSON   = "invalid_json"
	reasonTooDeep       = "json_too_deep"
	reasonNoObject      = "json_not_an_object"
	reasonNoInteraction = "no_interaction_id"
	reasonOrganization  = "other_organization"
	reasonEventAge      = "event_age"
	reasonSchema        = "schema"
	reasonReservedType  = "reserved_type" // it would look like genmesh's own events
	reasonNoEvents      = "no_events"
	reasonTooManyEvents = "too_many_events"
)

// checkJSON says why a body can't be read, or "" if it is one JSON object that all parsers read
// alike: no name twice in an object, valid UTF-8, no byte order mark, nothing after the object.
func checkJSON(body []byte) (reason string) {
	switch value := jsontext.Value(body); {
	case deeperThan(body, maxJSONDepth):
		return reasonTooDeep
	case !value.IsValid():
		return reasonInvalidJSON
	case value.Kind() != jsontext.KindBeginObject:
		return reasonNoObject
	}
	return ""
}

// deeperThan reports whether brackets outside of strings nest deeper than limit. It needs no
// stack and reads any bytes, so it can stand before the parser.
func deeperThan(body []byte, limit int) bool {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// clip is a copy of the first maxBytes of s that ends between characters. A copy, so that a
// short value does not keep the body it was cut from in memory.
func clip(s string, maxBytes int) string {
	if len(s) <= maxBytes {
		return strings.Clone(s)
	}
	end := maxBytes
	for end > maxBytes-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.Clone(s[:end])
}
