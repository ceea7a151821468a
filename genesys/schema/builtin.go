package schema

import (
	"embed"
	"path"
	"strings"
)

//go:embed builtin/*.json
var builtins embed.FS

// builtinPrefix begins a reference to a schema that genmesh has.
const builtinPrefix = "builtin:"

// Builtins lists the names of the schemas that genmesh has. They are small on purpose: a schema that
// asks for more than subscribers need would quarantine good events.
func Builtins() []string {
	entries, err := builtins.ReadDir("builtin")
	if err != nil {
		panic("schema: the embedded schemas: " + err.Error())
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}

// Builtin is the schema of that name.
func Builtin(name string) ([]byte, bool) {
	data, err := builtins.ReadFile(path.Join("builtin", name+".json"))
	return data, err == nil
}
