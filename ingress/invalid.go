package ingress

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// What is wrong with a body is told in words of our own: offsets, kinds of JSON values, and the
// places that streams.json or a preset names. A body may be anybody's secret and a detail stands in
// lists and logs, so not a byte of the one gets into the other, names of members included. That is
// why the JSON library's own errors are not used: they quote what they stumble over.
//
// Nothing here runs for an event that goes on its way.

// detailOfInvalid says where a body stops being JSON, and why. The first byte has the offset 0.
func detailOfInvalid(body []byte) string {
	switch {
	case len(body) == 0:
		return "it is empty"
	case skipSpace(body, 0) == len(body):
		return "it is nothing but white space"
	}
	at, why := firstFault(body)
	return fmt.Sprintf("at byte %d: %s", at, why)
}

// firstFault reads a body that is no valid JSON up to the token that can't be read.
func firstFault(body []byte) (at int, why string) {
	d := jsontext.NewDecoder(bytes.NewBuffer(body))
	_, err := d.ReadToken()
	for err == nil && d.StackDepth() > 0 {
		_, err = d.ReadToken()
	}
	good := skipSpace(body, int(d.InputOffset()))
	if err == nil {
		return good, "more follows after the end of the value"
	}
	in, n := d.StackIndex(d.StackDepth())
	start, why := between(body, good, in, n)
	if why != "" {
		return start, why
	}
	return within(body, start, err)
}

// between finds what is wrong between the last good token and the next one: at good, in what is open
// there, which has n names and values so far. If nothing is, start is where the next token begins.
func between(body []byte, good int, in jsontext.Kind, n int64) (start int, why string) {
	if good == len(body) {
		return good, "the text ends within " + kindName(in)
	}
	start = good
	if mark, missing := divider(in, n); mark != 0 {
		if body[good] != mark {
			return good, missing
		}
		start = skipSpace(body, good+1)
	}
	kind := jsontext.Value(body[start:]).Kind()
	switch {
	case start == len(body):
		return start, "the text ends within " + kindName(in)
	case in == jsontext.KindBeginObject && n%2 == 0 && kind != jsontext.KindString:
		return start, "no name in quotes begins here"
	case bytes.HasPrefix(body[start:], []byte("\ufeff")):
		return start, "a byte order mark stands here"
	case kindName(kind) == "":
		return start, "no JSON value begins here"
	}
	return start, ""
}

// divider is the mark that must come next in what has n names and values, and what to say where it
// does not; 0 if there must be none.
func divider(in jsontext.Kind, n int64) (mark byte, missing string) {
	switch {
	case n == 0:
		return 0, ""
	case in == jsontext.KindBeginArray:
		return ',', "a comma or the end of the array is missing"
	case n%2 == 0:
		return ',', "a comma or the end of the object is missing"
	}
	return ':', "the colon after a name is missing"
}

// within finds what is wrong in the token that begins at start, which the library could not read.
func within(body []byte, start int, err error) (at int, why string) {
	kind := jsontext.Value(body[start:]).Kind()
	at = start
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = max(start, min(int(e.ByteOffset), len(body)-1))
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return len(body), "the text ends within " + kindName(kind)
	case errors.Is(err, jsontext.ErrDuplicateName):
		return start, "the object has this name already"
	case kind == jsontext.KindNumber:
		return at, "a digit is missing in a number"
	case kind != jsontext.KindString:
		return at, "a word is neither true nor false nor null"
	case body[at] == '\\':
		return at, "an escape in a string stands for no character"
	case body[at] < ' ':
		return at, "a control character stands in a string"
	}
	return at, "a string is no UTF-8"
}

// skipSpace is where the white space that begins at an offset ends.
func skipSpace(body []byte, at int) int {
	return len(body) - len(bytes.TrimLeft(body[at:], " \t\r\n"))
}

// kindName is a kind of values in words, "" if no value is of the kind.
func kindName(k jsontext.Kind) string {
	switch k {
	case jsontext.KindNull:
		return "null"
	case jsontext.KindFalse, jsontext.KindTrue:
		return "true or false"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindBeginArray:
		return "an array"
	}
	return ""
}
