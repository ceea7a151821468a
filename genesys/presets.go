package genesys

import (
	_ "embed" // for presets.json
	"encoding/json"
	"maps"
	"slices"
)

//go:embed presets.json
var presetsJSON []byte

// Preset is what genmesh knows of one way in.
type Preset struct {
	Name string `json:"name"`
	// About says what it is for, in a sentence or two.
	About string `json:"about"`
	// Sender says how the sender waits for an answer, and what it does without a good one.
	Sender string `json:"sender"`
	// Source has the fields of a streams.json source that the preset fills in.
	Source json.RawMessage `json:"source"`
	// Sample is the body of a delivery in the sender's format, made up.
	Sample json.RawMessage `json:"sample"`
}

// Presets lists all presets by name.
func Presets() []Preset {
	var presets map[string]Preset
	if err := json.Unmarshal(presetsJSON, &presets); err != nil {
		panic("genesys: the embedded presets.json: " + err.Error())
	}
	var list []Preset
	for _, name := range slices.Sorted(maps.Keys(presets)) {
		p := presets[name]
		p.Name = name
		list = append(list, p)
	}
	return list
}

// SourceDefaults are the presets' sources by preset name. The map is the caller's own.
func SourceDefaults() map[string]json.RawMessage {
	defaults := make(map[string]json.RawMessage)
	for _, p := range Presets() {
		defaults[p.Name] = p.Source
	}
	return defaults
}
