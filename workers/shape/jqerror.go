package shape

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"

	"github.com/itchyny/gojq"
)

// spoken is error("text") with a text that is written out in the program.
type spoken struct{ text string }

func (e *spoken) Error() string { return "error: " + e.text }

// Value is what a catch in the program gets, as of any error(…).
func (e *spoken) Value() any { return e.text }

func spokenError(_ any, arguments []any) any {
	text, _ := arguments[0].(string)
	return &spoken{text}
}

// withoutValues is what an error of a program says, but for the values that it quotes: they are the body's. What an error of the library
// says is known by its type; of one that is new with a newer library only that there was one is told.
func withoutValues(err error) string {
	var own *spoken
	var bound overrun
	var called gojq.ValueError
	switch {
	case errors.As(err, &own):
		return own.Error()
	case errors.As(err, &bound):
		return bound.Error()
	case errors.As(err, &called):
		return fmt.Sprintf(`error was called with %s, which may hold values of the event; a text such as error("no customer") is shown`, article(called.Value()))
	}
	if phrase := libraryPhrase(reflect.ValueOf(err)); phrase != "" {
		return phrase
	}
	return "a built-in can't do what it is asked to with these values"
}

// libraryPhrases are what gojq's errors say, by the names of their types. {v} is the type of the value in the field v, {name} the text in the
// field name, which the library writes, and {err} the phrase of another error, if it has one.
var libraryPhrases = map[string]string{
	"expectedObjectError":       "expected an object but got: {v}",
	"expectedArrayError":        "expected an array but got: {v}",
	"iteratorError":             "cannot iterate over: {v}",
	"arrayIndexNegativeError":   "array index should not be negative",
	"arrayIndexTooLargeError":   "array index too large",
	"repeatStringTooLargeError": "repeat string result too large",
	"objectKeyNotStringError":   "expected a string for object key but got: {v}",
	"arrayIndexNotNumberError":  "expected a number for indexing an array but got: {v}",
	"stringIndexNotNumberError": "expected a number for indexing a string but got: {v}",
	"expectedStartEndError":     `expected "start" and "end" for slicing but got: {v}`,
	"lengthMismatchError":       "length mismatch",
	"func0TypeError":            "{name} cannot be applied to: {v}",
	"func1TypeError":            "{name}({w}) cannot be applied to: {v}",
	"func2TypeError":            "{name}({w}; {x}) cannot be applied to: {v}",
	"func0WrapError":            "{name} cannot be applied to this {v}{err}",
	"func1WrapError":            "{name}({w}) cannot be applied to this {v}{err}",
	"func2WrapError":            "{name}({w}; {x}) cannot be applied to this {v}{err}",
	"flattenDepthError":         "flatten depth should not be negative",
	"timeArrayError":            "expected an array of 8 numbers",
	"timeEpochError":            "number of seconds is out of range",
	"timeNumberError":           "number is out of range",
	"unaryTypeError":            "cannot {name}: {v}",
	"binopTypeError":            "cannot {name}: {l} and {r}",
	"zeroDivisionError":         "cannot divide {l} by: {r}, which is zero",
	"zeroModuloError":           "cannot modulo {l} by: {r}, which is zero",
	"formatRowError":            "@{typ} cannot format an array including: {v}",
	"breakError":                "break out of a label that has ended",
	"invalidPathError":          "invalid path against: {v}",
	"invalidPathIterError":      "invalid path on iterating against: {v}",
	"tryEndError":               "{err}",
}

// libraryPhrase fills in the phrase of an error of gojq, or is "".
func libraryPhrase(err reflect.Value) string {
	for err.Kind() == reflect.Interface || err.Kind() == reflect.Pointer {
		err = err.Elem()
	}
	if err.Kind() != reflect.Struct || err.Type().PkgPath() != reflect.TypeFor[gojq.Query]().PkgPath() {
		return ""
	}
	phrase := libraryPhrases[err.Type().Name()]
	for i := range err.NumField() {
		field, name := err.Field(i), err.Type().Field(i).Name
		phrase = strings.ReplaceAll(phrase, "{"+name+"}", fieldPhrase(field, name))
	}
	return phrase
}

// fieldPhrase is what may be told of a field: the types of values, and the names that the library gives.
func fieldPhrase(field reflect.Value, name string) string {
	switch {
	case name == "err":
		if phrase := libraryPhrase(field); phrase != "" {
			return ": " + phrase
		}
		return ""
	case name == "name" || name == "typ":
		return field.String()
	case field.Kind() == reflect.Interface && field.IsNil():
		return "null"
	case field.Kind() == reflect.Interface:
		return typeName(field.Elem().Type())
	}
	return typeName(field.Type())
}

var typeNames = map[reflect.Type]string{
	reflect.TypeFor[bool](): "boolean", reflect.TypeFor[string](): "string", reflect.TypeFor[[]any](): "array",
	reflect.TypeFor[map[string]any](): "object", reflect.TypeFor[int](): "number", reflect.TypeFor[float64](): "number",
	reflect.TypeFor[*big.Int](): "number", reflect.TypeFor[json.Number](): "number",
}

// typeName is jq's name of a type.
func typeName(t reflect.Type) string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	return "value"
}

func article(v any) string {
	switch {
	case v == nil:
		return "null"
	case strings.ContainsRune("ao", rune(typeName(reflect.TypeOf(v))[0])):
		return "an " + typeName(reflect.TypeOf(v))
	}
	return "a " + typeName(reflect.TypeOf(v))
}
