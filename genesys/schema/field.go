package schema

import (
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// kinds is a set of the kinds of values that were seen at a place.
type kinds uint8

const (
	kindString kinds = 1 << iota
	kindNumber
	kindBoolean
	kindObject
	kindArray
	kindNull
)

// names lists the kinds by their names in JSON Schema.
func (k kinds) names() []string {
	var all []string
	for _, named := range []struct {
		kind kinds
		name string
	}{
		{kindString, "string"}, {kindNumber, "number"}, {kindBoolean, "boolean"}, {kindObject, "object"}, {kindArray, "array"},
		{kindNull, "null"},
	} {
		if k&named.kind != 0 {
			all = append(all, named.name)
		}
	}
	return all
}

func (k kinds) String() string { return strings.Join(k.names(), " or ") }

func kindOf(v gjson.Result) kinds {
	switch v.Type {
	case gjson.String:
		return kindString
	case gjson.Number:
		return kindNumber
	case gjson.True, gjson.False:
		return kindBoolean
	case gjson.JSON:
		if v.IsArray() {
			return kindArray
		}
		return kindObject
	}
	return kindNull
}

// field is a place in the content of events of one type, with all that was seen there.
type field struct {
	pointer string // RFC 6901, with "*" for the elements of a list and for names that are data
	kinds   kinds
	objects uint64 // that were seen here, each shape once
	// sometimes says that an object was seen without this field.
	sometimes bool
	// open says that the names below are data, such as those of a participant's attributes.
	open     bool
	fields   map[string]*field // of an object
	elements *field            // of a list

	events      uint64 // that had it, null aside
	first, last uint64 // such event, by its number among those of the type
	lastAt      time.Time
}

const (
	anyName = "*"
	// maxNames is how many fields an object has; where there are more, names are data.
	maxNames     = 200
	maxNameBytes = 64
	maxDigits    = 3 // in a name; ids have more
)

// isName reports whether a field's name was given by a programmer, and is not data.
func isName(s string) bool {
	if s == "" || len(s) > maxNameBytes {
		return false
	}
	digits := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '$':
		case i > 0 && c >= '0' && c <= '9':
			digits++
		case i > 0 && c == '-':
		default:
			return false
		}
	}
	return digits <= maxDigits
}

// below is the field of that name, which it makes if it was not seen before.
func (f *field) below(name string) (below *field, isNew bool) {
	if below := f.fields[name]; below != nil {
		return below, false
	}
	if f.fields == nil {
		f.fields = make(map[string]*field)
	}
	below = &field{pointer: f.pointer + "/" + escapePointer(name), sometimes: f.objects > 0}
	f.fields[name] = below
	return below, true
}

// openUp makes data of the names below: what was seen under each goes.
func (f *field) openUp() {
	f.open, f.fields = true, nil
	f.fields = map[string]*field{anyName: {pointer: f.pointer + "/" + anyName, sometimes: true}}
}

func (f *field) count() int {
	n := 1
	for _, below := range f.fields {
		n += below.count()
	}
	if f.elements != nil {
		n += f.elements.count()
	}
	return n
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func escapePointer(name string) string { return pointerEscapes.Replace(name) }
