package ingress

import (
	"fmt"
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
func checkJSON(body []byte) (reason, detail string) {
	if at, deeper := deeperThan(body, maxJSONDepth); deeper {
		return reasonTooDeep, fmt.Sprintf("at byte %d: objects and arrays are nested more than %d deep", at, maxJSONDepth)
	}
	switch value := jsontext.Value(body); {
	case !value.IsValid():
		return reasonInvalidJSON, detailOfInvalid(body)
	case value.Kind() != jsontext.KindBeginObject:
		return reasonNoObject, "it is " + kindName(value.Kind())
	}
	return "", ""
}

// deeperThan reports whether and where brackets outside of strings nest deeper than limit. It needs
// no stack and reads any bytes, so it can stand before the parser.
func deeperThan(body []byte, limit int) (at int, deeper bool) {
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
				return i, true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return 0, false
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
