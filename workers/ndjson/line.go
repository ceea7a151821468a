package ndjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/genmesh/genmesh/mesh"
)

// envelope is the beginning of each line. Bytes that are not UTF-8 become U+FFFD in it, for
// JSON can't say them; the idempotency key is that of the original values.
type envelope struct {
	Source         string `json:"source"`
	Organization   string `json:"organization,omitempty"`
	Interaction    string `json:"interaction"`
	EventID        string `json:"event_id,omitempty"`
	Type           string `json:"type"`
	Media          string `json:"media,omitempty"`
	Occurred       string `json:"occurred,omitempty"`
	Received       string `json:"received,omitempty"`
	Stream         string `json:"stream"`
	Sequence       uint64 `json:"sequence"`
	Fingerprint    string `json:"fingerprint"`
	IdempotencyKey string `json:"idempotency_key"`
}

// Line is the event as one line of JSON with its line feed, as the file target writes it: for other targets that keep lines.
func Line(e mesh.Event) []byte { return encodeLine(e) }

// encodeLine is the event as one line of JSON. The body comes last and byte for byte: as the
// value of "body" if it is JSON on one line without blanks around it, else in base64 as
// "body_base64".
func encodeLine(e mesh.Event) []byte {
	first := e.FirstPlace()
	head, err := json.Marshal(envelope{
		Source: e.Source, Organization: e.Organization, Interaction: e.Interaction,
		EventID: e.ID, Type: e.Type, Media: e.Media,
		Occurred: timestamp(e.Occurred), Received: timestamp(e.Received),
		Stream: first.Stream, Sequence: first.Sequence,
		Fingerprint: e.Fingerprint, IdempotencyKey: e.IdempotencyKey(),
	})
	if err != nil {
		panic(err) // texts and a number can always be encoded
	}
	line := make([]byte, 0, len(head)+len(`,"body_base64":"`)+base64.StdEncoding.EncodedLen(len(e.Body))+len("\"}\n"))
	line = append(line, head[:len(head)-1]...)
	if isOneLine(e.Body) {
		line = append(line, `,"body":`...)
		line = append(line, e.Body...)
		return append(line, "}\n"...)
	}
	line = append(line, `,"body_base64":"`...)
	line = base64.StdEncoding.AppendEncode(line, e.Body)
	return append(line, "\"}\n"...)
}

// isOneLine reports whether the body can stand in a line as it is and be read out of it byte
// for byte.
func isOneLine(body []byte) bool {
	return len(body) > 0 && body[0] > ' ' && body[len(body)-1] > ' ' &&
		bytes.IndexByte(body, '\n') < 0 && bytes.IndexByte(body, '\r') < 0 &&
		utf8.Valid(body) && json.Valid(body)
}

func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
