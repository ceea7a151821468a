package genesys

import (
	_ "embed" // for presets.json
	"encoding/json"
)

//go:embed presets.json
var presetsJSON []byte

// Presets are the defaults for sources of Genesys events by preset name, each a JSON object
// with fields of a streams.json source. The map is the caller's own.
func Presets() map[string]json.RawMessage {
	var presets map[string]json.RawMessage
	if err := json.Unmarshal(presetsJSON, &presets); err != nil {
		panic("genesys: the embedded presets.json: " + err.Error())
	}
	return presets
}
