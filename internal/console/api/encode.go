package api

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// encode writes a value as JSON. A list without entries is [], never null. Bodies of events are as strangers wrote them, so that a name may
// come twice in one.
func encode(value any) ([]byte, error) {
	return json.Marshal(value, jsonv1.OmitEmptyWithLegacySemantics(true), json.Deterministic(true),
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}
