package postgres

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genmesh/genmesh/mesh"
)

// row is an event as the table events takes it.
type row struct {
	key, stream, source, organization, interaction  string
	eventID, eventType, media, subject, fingerprint string

	sequence int64
	stored   time.Time
	occurred *time.Time // nil where unknown
	received *time.Time

	raw  []byte // a copy: a handler must not keep an event's body
	json bool   // raw can stand as jsonb
}

func newRow(e mesh.Event) row {
	first := e.FirstPlace()
	return row{
		key: e.IdempotencyKey(), stream: text(first.Stream), source: text(e.Source),
		organization: text(e.Organization), interaction: text(e.Interaction),
		eventID: text(e.ID), eventType: text(e.Type), media: text(e.Media),
		subject: text(e.Subject), fingerprint: text(e.Fingerprint),
		sequence: int64(first.Sequence), // a stream would need ten thousand years to overflow it
		stored:   first.Stored, occurred: known(e.Occurred), received: known(e.Received),
		raw: append([]byte{}, e.Body...), json: fitsJSONB(e.Body),
	}
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// text writes any bytes as PostgreSQL's text, in the manner of its own encode(…, 'escape'), but
// without touching what is UTF-8. Different values stay different, which keys need.
func text(s string) string {
	if utf8.ValidString(s) && !strings.ContainsAny(s, "\x00\\") {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == 0, r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\%03o`, s[0])
		default:
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

const (
	// maxJSONDepth is a fifth of what a server with the default max_stack_depth reads (measured, 15.18).
	maxJSONDepth = 2000
	// maxNumberDigits bounds a number written out in full, as jsonb writes it: "1e1000000" would
	// come out as a megabyte. A float64 has at most 309 before the point and 1074 behind it.
	maxNumberDigits = 1500
	// maxExponents bounds what the exponents of one body add to it when it is written out.
	maxExponents = 1 << 20
)

// fitsJSONB reports whether jsonb takes the body and says the same: it refuses \u0000 and numbers out of the range of
// numeric, and keeps only the last of two members with one name.
func fitsJSONB(body []byte) bool {
	decoder := jsontext.NewDecoder(bytes.NewReader(body)) // refuses bad UTF-8, half surrogates and double names
	mayHoldNUL := bytes.Contains(body, []byte(`\u0000`))
	values, exponents := 0, 0
	for {
		token, err := decoder.ReadToken()
		if err == io.EOF {
			return values == 1
		}
		if err != nil || decoder.StackDepth() > maxJSONDepth {
			return false
		}
		switch kind := token.Kind(); {
		case kind == '0':
			added, ok := writtenOut(token.String())
			if exponents += added; !ok || exponents > maxExponents {
				return false
			}
		case kind == '"' && mayHoldNUL && strings.Contains(token.String(), "\x00"):
			return false
		}
		if decoder.StackDepth() == 0 {
			values++
		}
	}
}

// writtenOut tells how many digits the exponent of a JSON number adds when it is written without one, and
// whether jsonb can be asked to.
func writtenOut(number string) (added int, ok bool) {
	at := strings.IndexAny(number, "eE")
	if at < 0 {
		return 0, len(number) <= maxNumberDigits
	}
	exponent, err := strconv.Atoi(number[at+1:])
	if err != nil {
		return 0, false
	}
	if exponent < 0 {
		exponent = -exponent
	}
	return exponent, exponent <= maxNumberDigits && at+exponent <= maxNumberDigits
}
