package shape

import (
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

// definitions are functions that take the place of gojq's of the same name, which do too much in one instruction. They are as builtin.jq of gojq
// has them, but for the functions that search, which take their matches from a pattern, and for what is weighed on the way. What is no text to
// search is left to gojq, which says what is wrong.
const definitions = `
def _own_find($re; $flags): if type == "string" then _matches($re; $flags; $__run) else match($re; $flags) end;
def _own_match($re; $flags): _own_find($re; $flags)[];
def _own_match($re): _own_match($re; null);
def _own_test($re; $flags): if type == "string" then _matching($re; $flags; $__run) else test($re; $flags) end;
def _own_test($re): _own_test($re; null);
def _own_capture($re; $flags): _own_match($re; $flags) | .captures | _captures;
def _own_capture($re): _own_capture($re; null);
def _own_scan($re; $flags): _own_match($re; $flags + "g") | if .captures == [] then .string else [.captures[].string] end;
def _own_scan($re): _own_scan($re; null);
def _own_splits($re; $flags):
  .[foreach (_own_match($re; $flags + "g"), null) as {$offset, $length} (null; {start: .next, end: $offset, next: $offset + $length})];
def _own_splits($re): _own_splits($re; null);
def _own_split($re; $flags): [_own_splits($re; $flags)];
def _own_sub($re; str; $flags):
  reduce _own_match($re; $flags) as {$offset, $length, $captures}
    ({s: ., r: []};
      reduce ($captures | _captures | str) as $s
        (.i = 0; (.s[.next:$offset] + $s | _weigh($__run)) as $piece | .r[.i] |= (. + $piece | _bound($__run)) | .i += 1) |
      .next = $offset + $length) | .r[] + .s[.next:] // .s;
def _own_sub($re; str): _own_sub($re; str; null);
def _own_gsub($re; str; $flags): _own_sub($re; str; $flags + "g");
def _own_gsub($re; str): _own_gsub($re; str; "");

def _own_indices($x): if type == "string" and ($x | type) == "string" then _indices($x; $__run) else _product($x) | indices($x) end;
def _own_index($x): if type == "string" and ($x | type) == "string" then _index_of($x) else _product($x) | index($x) end;
def _own_rindex($x): if type == "string" and ($x | type) == "string" then _rindex_of($x) else _product($x) | rindex($x) end;

def _own_add(f): [f] | _weigh($__run) | add;
def _own_sort_by(f): _sort_by([.[] | [f]] | _weigh($__run));
def _own_group_by(f): _group_by([.[] | [f]] | _weigh($__run));
def _own_unique_by(f): _unique_by([.[] | [f]] | _weigh($__run));
def _own_min_by(f): _min_by([.[] | [f]] | _weigh($__run));
def _own_max_by(f): _max_by([.[] | [f]] | _weigh($__run));
def _own_with_entries(f): to_entries | map(f) | _weigh($__run) | from_entries;
def _own_walk(f): def _walk: if type == "array" then map(_walk) elif type == "object" then map_values(_walk) end | _bound($__run) | f; _walk;

def _own_strftime($format): strftime($format | _subject);
def _own_strflocaltime($format): strflocaltime($format | _subject);
def _own_strptime($format): strptime($format | _subject);
.`

const ownPrefix = "_own_"

// ownFunctions parses definitions. The compiler may write into them, so that each program gets its own.
func ownFunctions() []*gojq.FuncDef {
	q, err := gojq.Parse(definitions)
	if err != nil {
		panic(err) // it is a constant
	}
	return q.FuncDefs
}

// ownNames are the functions of definitions, as name/arity.
var ownNames = func() map[string]bool {
	names := map[string]bool{}
	for _, f := range ownFunctions() {
		names[arity(f.Name, len(f.Args))] = true
	}
	return names
}()

// replace calls our function in the place of gojq's, if we have one of the name and the arity.
func (g *guard) replace(f *gojq.Func) {
	if ownNames[arity(ownPrefix+f.Name, len(f.Args))] {
		f.Name = ownPrefix + f.Name
		g.needsOwn = true
	}
}

// textIndices is the function _indices(part; run): where a text begins in another, in characters. gojq's takes as many steps as both lengths
// multiplied.
func textIndices(v any, arguments []any) any {
	s, part := characters(v), characters(arguments[0])
	m, ok := arguments[1].(*meter)
	if !ok {
		return errMemory
	}
	found := []any{}
	place := position{text: s}
	for from := 0; part != "" && m.Err() == nil; {
		next := strings.Index(s[from:], part)
		if next < 0 {
			break
		}
		if found = append(found, place.at(from+next)); len(found)*valueWeight > maxWeight {
			m.exceeded = errMemory
		}
		_, width := utf8.DecodeRuneInString(s[from+next:])
		from += next + width
	}
	if err := m.Err(); err != nil {
		return err
	}
	return found
}

// textIndex is the function _index_of(part): where a text begins first in another, or null.
func textIndex(v any, arguments []any) any { return textIndexBy(strings.Index, v, arguments[0]) }

// textLastIndex is the function _rindex_of(part).
func textLastIndex(v any, arguments []any) any {
	return textIndexBy(strings.LastIndex, v, arguments[0])
}

func textIndexBy(search func(s, part string) int, v, argument any) any {
	s, part := characters(v), characters(argument)
	at := search(s, part)
	if at < 0 || part == "" {
		return nil
	}
	return utf8.RuneCountInString(s[:at])
}

// characters is a text as gojq takes it apart: a byte that is no UTF-8 is a replacement character.
func characters(v any) string {
	s, _ := v.(string)
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}
