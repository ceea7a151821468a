package broker

import (
	"bytes"
	"cmp"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/genmesh/genmesh/mesh"
)

const contentType = "application/json"

// HeaderIdempotencyKey carries an event's idempotency key.
const HeaderIdempotencyKey = "Idempotency-Key"

// header is one header of a message. Its value is UTF-8 and never empty.
type header struct{ name, value string }

// message is an event on its way to any broker.
type message struct {
	key         string // the idempotency key
	interaction string // may be empty, and of any bytes
	subject     string
	at          time.Time
	attributes  []header // of CloudEvents, by their bare names
	own         []header // genmesh's and the trace context
	body        []byte
}

// message copies the body: libraries hold a message for longer than Handle may keep the event's.
func (t *Target) message(e mesh.Event) message {
	m := message{
		key: e.IdempotencyKey(), interaction: e.Interaction, subject: e.Subject, at: occurred(e), body: bytes.Clone(e.Body),
	}
	m.attributes = headers(
		header{"specversion", "1.0"},
		header{"id", m.key},
		header{"source", "/genmesh/" + url.PathEscape(e.Source)},
		header{"type", t.typePrefix + cmp.Or(e.Type, "event")},
		header{"subject", e.Interaction},
		header{"time", timestamp(m.at)},
	)
	first := e.FirstPlace()
	m.own = headers(
		header{HeaderIdempotencyKey, m.key},
		header{"Genmesh-Subscriber", t.subscriber},
		header{"Genmesh-Stream", first.Stream},
		header{"Genmesh-Sequence", strconv.FormatUint(first.Sequence, 10)},
		header{"Genmesh-Attempt", strconv.Itoa(e.Attempt)},
		header{mesh.HeaderInteraction, e.Interaction},
		header{mesh.HeaderTraceParent, printable(e.TraceParent)},
		header{mesh.HeaderTraceState, printable(e.TraceState)},
	)
	return m
}

// headers leaves out what is empty.
func headers(all ...header) []header {
	kept := all[:0]
	for _, h := range all {
		if h.value != "" {
			kept = append(kept, header{h.name, validText(h.value)})
		}
	}
	return kept
}

// validText has U+FFFD for each byte that is not UTF-8, as JSON has.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// printable is a trace context to pass on, or "" where it can't be one.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		return ""
	}
	return s
}

func occurred(e mesh.Event) time.Time {
	if e.Occurred.IsZero() {
		return e.Received
	}
	return e.Occurred
}

// timestamp is "" for a time that RFC 3339 can't write.
func timestamp(t time.Time) string {
	if t = t.UTC(); t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
