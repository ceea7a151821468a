package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// The bounds of what is sent.
const (
	maxBodyBytes = 64 << 10
	// maxSelectionBytes has room for admin.MaxNumbers numbers of twenty digits.
	maxSelectionBytes = 3 << 20
)

// read decodes the body of a request, strictly. A request that needs none of its fields may come without a body.
func (c *call) read(into any, most int64) error {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, most))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return &refusal{http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf("the body is too large: at most %d bytes are read", most)}
	}
	if err != nil {
		return admin.Invalid("the body did not come whole")
	}
	if len(body) == 0 {
		body = []byte("{}")
	} else if kind, _, err := mime.ParseMediaType(c.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &refusal{
			http.StatusUnsupportedMediaType, "unsupported-media-type",
			fmt.Sprintf("the Content-Type is %q; send application/json", shown(c.Header.Get("Content-Type"))),
		}
	}
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true)); err != nil {
		return admin.Invalid("body: " + mistake(err, into))
	}
	return nil
}

// mistake says what is wrong with a body, by the names of its fields.
func mistake(err error, into any) string {
	semantic := (*json.SemanticError)(nil)
	syntactic := (*jsontext.SyntacticError)(nil)
	switch {
	case errors.As(err, &semantic):
	case errors.As(err, &syntactic):
		return fmt.Sprintf("it is not JSON at byte %d: %s", syntactic.ByteOffset, strings.TrimPrefix(syntactic.Err.Error(), "jsontext: "))
	default:
		return "it can't be read"
	}
	at := strings.ReplaceAll(strings.TrimPrefix(string(semantic.JSONPointer), "/"), "/", ".")
	switch {
	case errors.Is(err, json.ErrUnknownName):
		name := semantic.JSONPointer.LastToken()
		return fmt.Sprintf("there is no field %q here; %s", shown(name), nearest(name, fieldsAt(reflect.TypeOf(into), semantic.JSONPointer.Parent())))
	case semantic.Err != nil && admin.KindOf(semantic.Err) != "":
		return fmt.Sprintf("%s: %v", shown(at), semantic.Err)
	case at == "":
		return "it must be a JSON object"
	}
	return fmt.Sprintf("%s: it must be %s", shown(at), wanted(semantic.GoType))
}

// wanted says what the value of a field has to be.
func wanted(t reflect.Type) string {
	if t == nil {
		return "something else"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "an object"
	}
	return "a whole number that is not negative"
}

// fieldsAt are the names of the fields of the object that lies at a place.
func fieldsAt(t reflect.Type, at jsontext.Pointer) []string {
	t = t.Elem()
	for token := range at.Tokens() {
		for i := range t.NumField() {
			if fieldName(t.Field(i)) == token {
				t = t.Field(i).Type
				break
			}
		}
	}
	var names []string
	for i := range t.NumField() {
		names = append(names, fieldName(t.Field(i)))
	}
	return names
}

func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// moment is a time in a body: RFC 3339, or how long ago.
type moment time.Time

func (m *moment) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	at, err := parseMoment(string(text), time.Now())
	*m = moment(at)
	return err
}

// length is how long something lasts in a body, such as 15m or 2d; 0 where there is no end.
type length mesh.Duration

func (l *length) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	d, err := mesh.ParseDuration(string(text))
	if err != nil || d < 0 {
		return admin.Invalid("write how long, such as 15m, 2h or 2d")
	}
	*l = length(d)
	return nil
}

// rate is so many calls per time in a body, such as 50/s.
type rate mesh.Rate

func (r *rate) UnmarshalText(text []byte) error {
	quoted, err := json.Marshal(string(text))
	if err == nil {
		err = (*mesh.Rate)(r).UnmarshalJSON(quoted)
	}
	if err != nil {
		return admin.Invalid("write a rate such as 50/s, 30/m or 1000/h")
	}
	return nil
}

// checkReason refuses a reason that is longer than is kept, before a task begins. All else finds that out by itself.
func checkReason(reason string) error {
	if len(reason) > mesh.MaxReasonBytes {
		return admin.Invalid(fmt.Sprintf("the reason has %d bytes; at most %d are kept", len(reason), mesh.MaxReasonBytes))
	}
	return nil
}
