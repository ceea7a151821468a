package shape

import (
	"maps"
	"strings"
)

// care is what has to be done about a built-in function.
type care int

const (
	harmless   care = iota // its result is no larger than what goes in
	weighed                // its result is weighed
	searched               // its first argument is a regular expression; the input is short; its result is weighed
	scanned                // the input is short; its result is weighed
	parted                 // the input is not too long to be cut into its characters; its result is weighed
	pathed                 // its first argument is a path
	indexed                // its first argument is an index
	multiplied             // its work is that of the input times the argument
	joined                 // the argument stands between all elements of the input
	transposed
)

func names(c care, list string) map[string]care {
	named := map[string]care{}
	for name := range strings.FieldsSeq(list) {
		named[name] = c
	}
	return named
}

// careOf are the functions that a program may call.
var careOf = merged(
	names(harmless, `empty error not length utf8bytelength has in type startswith endswith select recurse first last isempty all any limit skip
		until while repeat range min max min_by max_by arrays objects iterables booleans numbers finites normals strings nulls values scalars
		floor round ceil trunc sqrt cbrt pow exp exp2 exp10 log log2 log10 fabs abs significand logb fmin fmax fmod ldexp infinite nan isinfinite
		isfinite isnan isnormal now mktime gmtime localtime todate fromdate fromdateiso8601 todateiso8601 IN bsearch path toboolean`),
	names(weighed, `keys add tostring tojson fromjson reverse ltrimstr rtrimstr trimstr ltrim rtrim trim implode ascii_downcase ascii_upcase
		flatten sort sort_by group_by unique unique_by indices index rindex del delpaths to_entries from_entries with_entries map map_values walk paths pick combinations
		INDEX strftime strflocaltime strptime`),
	names(searched, `test match capture scan splits sub gsub`),
	names(scanned, `tonumber`),
	names(parted, `explode split`),
	names(pathed, `getpath setpath`),
	names(indexed, `nth`),
	names(multiplied, `contains inside`),
	names(joined, `join`),
	names(transposed, `transpose`),
)

func merged(tables ...map[string]care) map[string]care {
	all := map[string]care{}
	for _, table := range tables {
		maps.Copy(all, table)
	}
	return all
}

// refused are functions that exist in jq, with the reason why not here.
var refused = map[string]string{
	"env": "a program can't read the environment", "$ENV": "a program can't read the environment",
	"input": "there is one event and no other input", "inputs": "there is one event and no other input",
	"debug": "there is nobody to read it", "stderr": "there is nobody to read it",
	"halt": "end with empty, or with error(…)", "halt_error": "end with empty, or with error(…)",
	"input_filename": "events have no file name", "modulemeta": "there are no modules",
	"get_search_list": "there are no modules", "builtins": "it is not available",
}
