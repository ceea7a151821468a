package access

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genmesh/genmesh/mesh"
)

// reading is an access file while it is read. Mistakes are gathered, as they are for streams.json.
type reading struct {
	name     string
	data     []byte
	places   map[jsontext.Pointer]int64 // where each value begins
	mistakes mesh.Mistakes
}

// parse reads an access file: strict JSON without unknown fields. The error is a mesh.Mistakes. It reports everything that is wrong, but of each
// user, of oidc and of session only the first field that is none or has the wrong type. publicURL is where browsers find the console, if that
// is known, and lookup the environment, for secrets.
func parse(name string, data []byte, publicURL string, lookup func(string) (string, bool)) (*file, error) {
	r := &reading{name: name, data: data, places: map[jsontext.Pointer]int64{}}
	f := new(file)
	if r.index() {
		r.decodeFile(f)
		f.fillDefaults(publicURL)
		r.check(f, lookup)
	}
	if len(r.mistakes) == 0 {
		return f, nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b mesh.Mistake) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	return nil, r.mistakes
}

// maxDepth bounds how deep the document nests; its own fields need 3 levels.
const maxDepth = 8

var (
	errTooDeep = errors.New("the document nests too deep")
	errMore    = errors.New("there is more text after the document's end")
)

// index notes where each value stands. It is false if the document is no JSON.
func (r *reading) index() bool {
	d := jsontext.NewDecoder(bytes.NewReader(r.data))
	for whole := false; ; whole = d.StackDepth() == 0 {
		from := d.InputOffset()
		token, err := d.ReadToken()
		switch {
		case whole && errors.Is(err, io.EOF):
			return true
		case whole && err == nil:
			err = errMore
		case err == nil && d.StackDepth() > maxDepth:
			err = errTooDeep
		}
		if err != nil {
			r.syntax(d, err)
			return false
		}
		if kind := token.Kind(); kind != '}' && kind != ']' {
			separators := len(r.data[from:]) - len(bytes.TrimLeft(r.data[from:], " \t\r\n,:"))
			r.places[d.StackPointer()] = from + int64(separators)
		}
	}
}

func (r *reading) syntax(d *jsontext.Decoder, err error) {
	at, problem := d.InputOffset(), "the document ends too early"
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &syntactic):
		at, problem = syntactic.ByteOffset, strings.TrimPrefix(syntactic.Err.Error(), "jsontext: ")
	case errors.Is(err, errTooDeep), errors.Is(err, errMore):
		problem = err.Error()
	}
	r.at(at, "", "not JSON: "+problem, "")
}

// decodeFile decodes what the file consists of bit by bit, so that a mistake in one hides none in another.
func (r *reading) decodeFile(f *file) {
	var parts struct {
		Users          []jsontext.Value `json:"users"`
		OIDC           jsontext.Value   `json:"oidc"`
		Session        jsontext.Value   `json:"session"`
		TrustedProxies jsontext.Value   `json:"trusted_proxies"`
	}
	r.decode("", r.data, &parts)
	f.Users = make([]User, len(parts.Users))
	for i, user := range parts.Users {
		r.decode(element("/users", i), user, &f.Users[i])
	}
	if len(parts.OIDC) > 0 {
		f.OIDC = new(oidcSettings)
		r.decode("/oidc", parts.OIDC, f.OIDC)
	}
	r.decode("/session", parts.Session, &f.Session)
	r.decode("/trusted_proxies", parts.TrustedProxies, &f.TrustedProxies)
}

func (r *reading) decode(at jsontext.Pointer, value jsontext.Value, into any) {
	if len(value) == 0 {
		return // it is not there
	}
	if value.Kind() == 'n' {
		r.add(at, "must not be null", "leave it out")
		return
	}
	err := json.Unmarshal(value, into, json.RejectUnknownMembers(true))
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &semantic):
		problem, hint := explain(semantic)
		r.add(at+semantic.JSONPointer, problem, hint)
	case err != nil: // index has found it to be JSON
		r.add(at, err.Error(), "")
	}
}

// explain says what is wrong without the value, which may be a secret in the wrong place.
func explain(e *json.SemanticError) (problem, hint string) {
	if errors.Is(e.Err, json.ErrUnknownName) {
		return "there is no such field", nearestField(e.JSONPointer.LastToken(), e.GoType)
	}
	if e.GoType == reflect.TypeFor[mesh.Duration]() {
		return `must be a duration such as "12h"`, ""
	}
	switch e.GoType.Kind() {
	case reflect.Slice:
		return "must be a list", ""
	case reflect.String:
		return "must be a string", ""
	}
	return "must be an object", ""
}

func nearestField(wrong string, in reflect.Type) string {
	if wrong == "password" {
		return plainHint
	}
	best, distance := "", 3
	for i := range in.NumField() {
		name, _, _ := strings.Cut(in.Field(i).Tag.Get("json"), ",")
		if d := mesh.EditDistance(wrong, name); d < distance {
			best, distance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return `did you mean "` + best + `"?`
}

// maxMistakes bounds a report.
const maxMistakes = 100

// add notes a mistake in the value at a place, or in what should be there.
func (r *reading) add(at jsontext.Pointer, problem, hint string) {
	place := at
	for place != "" {
		if _, ok := r.places[place]; ok {
			break
		}
		place = place.Parent() // it is missing: say where it should be
	}
	r.at(r.places[place], path(at), problem, hint)
}

func (r *reading) at(offset int64, path, problem, hint string) {
	if len(r.mistakes) == maxMistakes {
		return
	}
	before := r.data[:min(max(offset, 0), int64(len(r.data)))]
	r.mistakes = append(r.mistakes, mesh.Mistake{
		File: r.name, Line: bytes.Count(before, []byte("\n")) + 1, Column: len(before) - bytes.LastIndexByte(before, '\n'),
		Path: path, Problem: problem, Hint: hint,
	})
}

// path is "users[0].role" for "/users/0/role".
func path(at jsontext.Pointer) string {
	var b strings.Builder
	for token := range at.Tokens() {
		switch {
		case token != "" && strings.Trim(token, "0123456789") == "":
			b.WriteString("[" + token + "]")
		case b.Len() > 0:
			b.WriteString("." + token)
		default:
			b.WriteString(token)
		}
	}
	return b.String()
}
