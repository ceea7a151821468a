package mesh

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Event is one interaction event: an envelope around the body exactly as its sender signed it.
//
// The envelope travels as NATS headers, so that any NATS client can read it and the body stays
// byte for byte what came in. Every envelope value is bounded by MaxValueBytes; values are
// arbitrary text and are escaped wherever they enter a subject or a header.
type Event struct {
	// Source is the name of the streams.json source that the event came through.
	Source string
	// Organization is the sender's tenant, or "" where the source does not tell.
	Organization string
	// Interaction orders, partitions and names the event: all events of one call, chat or
	// e-mail carry the same.
	Interaction string
	// ID is the id of the event's envelope, which a sender may change from attempt to attempt.
	ID string
	// Type is the event type, such as "interaction".
	Type string
	// Media is the media type, such as "call", or "" where the event has none.
	Media string
	// Occurred is when the sender says that it happened; zero where it does not say.
	Occurred time.Time
	// Received is when ingress had read it whole.
	Received time.Time
	// Fingerprint tells contents apart: equal for a redelivery, different for a later event of
	// the same interaction. See Fingerprint.
	Fingerprint string
	// DeliveryID and DeliveryType are what the sender wrote into its own headers about this
	// delivery. No signature covers them, so they are shown and never decide anything.
	DeliveryID   string
	DeliveryType string
	// TraceParent and TraceState are the W3C trace context of the request that brought it.
	TraceParent string
	TraceState  string
	// Reason is why the event is in quarantine, in one word; "" elsewhere. Detail is what exactly
	// was wrong, without any value of the event's.
	Reason string
	Detail string
	// Notice is "erasure" for an event by which genmesh itself tells that an interaction was erased; "" for all that
	// came from a sender, whatever its type.
	Notice string
	// CutFrom is the number in quarantine of the delivery that the event was cut out of, when the
	// rest of it was released; 0 elsewhere.
	CutFrom uint64

	// Subject is where the event is published; see Source.Subject.
	Subject string
	// Key names the event in the duplicate window: by default the interaction id.
	Key string
	// Body is what the sender signed. Whoever holds an Event must not change it.
	Body []byte

	// Stream, Sequence and Stored say where the event lies; zero before it is stored.
	Stream   string
	Sequence uint64
	Stored   time.Time
	// Origin is where a dead letter that is replayed was first stored; zero for all others.
	Origin Place
	// Attempt counts the tries to hand the event to one subscriber, from 1; zero elsewhere.
	Attempt int
}

// Place is where an event lies, or lay.
type Place struct {
	Stream   string    `json:"stream"`
	Sequence uint64    `json:"sequence"`
	Stored   time.Time `json:"stored"`
}

// FirstPlace is where the event was stored when it came in, also for one that is replayed.
func (e Event) FirstPlace() Place {
	if e.Origin.Stream != "" {
		return e.Origin
	}
	return Place{e.Stream, e.Sequence, e.Stored}
}

// MaxValueBytes bounds each envelope value, before escaping. A longer interaction id is
// replaced by its hash, any other value is cut; the body always keeps the original.
const MaxValueBytes = 256

// The names of the headers that carry an event's envelope.
const (
	HeaderSource       = "Genmesh-Source"
	HeaderOrganization = "Genmesh-Organization"
	HeaderInteraction  = "Genmesh-Interaction"
	HeaderEventID      = "Genmesh-Event-Id"
	HeaderEventType    = "Genmesh-Event-Type"
	HeaderMedia        = "Genmesh-Media"
	HeaderOccurred     = "Genmesh-Occurred"
	HeaderReceived     = "Genmesh-Received"
	HeaderFingerprint  = "Genmesh-Fingerprint"
	HeaderDeliveryID   = "Genmesh-Delivery-Id"
	HeaderDeliveryType = "Genmesh-Delivery-Type"
	HeaderReason       = "Genmesh-Reason"
	HeaderDetail       = "Genmesh-Detail"
	HeaderNotice       = "Genmesh-Notice"
	HeaderCutFrom      = "Genmesh-Cut-From"
	HeaderTraceParent  = "traceparent"
	HeaderTraceState   = "tracestate"
	// HeaderBodyHash is of the body as it was stored: half of its SHA-256, in hex. No field of Event has it: Msg computes it anew.
	// Events of earlier versions lack it.
	HeaderBodyHash = "Genmesh-Body-Sha256"
)

// text lists the envelope's text values with the headers that carry them.
func (e *Event) text() [14]envelopeValue {
	return [...]envelopeValue{
		{HeaderSource, &e.Source},
		{HeaderOrganization, &e.Organization},
		{HeaderInteraction, &e.Interaction},
		{HeaderEventID, &e.ID},
		{HeaderEventType, &e.Type},
		{HeaderMedia, &e.Media},
		{HeaderFingerprint, &e.Fingerprint},
		{HeaderDeliveryID, &e.DeliveryID},
		{HeaderDeliveryType, &e.DeliveryType},
		{HeaderTraceParent, &e.TraceParent},
		{HeaderTraceState, &e.TraceState},
		{HeaderReason, &e.Reason},
		{HeaderDetail, &e.Detail},
		{HeaderNotice, &e.Notice},
	}
}

type envelopeValue struct {
	header string
	value  *string
}

// Msg is the event as a NATS message with the given Nats-Msg-Id, or without one if it is "".
// The message shares the event's body.
func (e Event) Msg(msgID string) *nats.Msg {
	header := make(nats.Header, 16)
	for _, v := range e.text() {
		if *v.value != "" {
			header[v.header] = []string{escapeHeader(*v.value)}
		}
	}
	setTime(header, HeaderOccurred, e.Occurred)
	setTime(header, HeaderReceived, e.Received)
	if e.CutFrom > 0 {
		header[HeaderCutFrom] = []string{strconv.FormatUint(e.CutFrom, 10)}
	}
	header[HeaderBodyHash] = []string{bodyHash(e.Body)}
	if msgID != "" {
		header[nats.MsgIdHdr] = []string{msgID}
	}
	return &nats.Msg{Subject: e.Subject, Header: header, Data: e.Body}
}

func bodyHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:16])
}

// isAltered reports whether a body is not the one that was stored with these headers, as far as they tell.
func isAltered(header nats.Header, body []byte) bool {
	noted := header.Get(HeaderBodyHash)
	return noted != "" && noted != bodyHash(body)
}

// ErrNotEvent means that a message is no event: genmesh did not publish it.
var ErrNotEvent = errors.New("not an event")

// ParseEvent reads an event back from the message that carried it. It fails with ErrNotEvent on
// a message without the envelope of an event.
func ParseEvent(subject string, header nats.Header, body []byte) (Event, error) {
	e := Event{Subject: subject, Body: body}
	for _, v := range e.text() {
		raw := header.Get(v.header)
		value, err := unescapeHeader(raw)
		if err != nil {
			return Event{}, fmt.Errorf("the message on %s is %w: header %s: %w", subject, ErrNotEvent, v.header, err)
		}
		*v.value = value
	}
	if e.Source == "" || e.Fingerprint == "" {
		return Event{}, fmt.Errorf("the message on %s is %w: it lacks the header %s or %s",
			subject, ErrNotEvent, HeaderSource, HeaderFingerprint)
	}
	var err error
	if e.Occurred, err = headerTime(header, HeaderOccurred); err != nil {
		return Event{}, err
	}
	if e.Received, err = headerTime(header, HeaderReceived); err != nil {
		return Event{}, err
	}
	if raw := header.Get(HeaderCutFrom); raw != "" {
		if e.CutFrom, err = strconv.ParseUint(raw, 10, 64); err != nil {
			return Event{}, fmt.Errorf("%w: header %s: %q is no number", ErrNotEvent, HeaderCutFrom, raw)
		}
	}
	return e, nil
}

// bound cuts every text value of the envelope to MaxValueBytes.
func (e *Event) bound() {
	if len(e.Interaction) > MaxValueBytes {
		e.Interaction = hashed(e.Interaction)
	}
	for _, v := range e.text() {
		if len(*v.value) > MaxValueBytes {
			*v.value = (*v.value)[:MaxValueBytes]
		}
	}
}

// setTime leaves out a time that RFC 3339 can't write.
func setTime(h nats.Header, name string, t time.Time) {
	if t = t.UTC(); !t.IsZero() && t.Year() >= 0 && t.Year() <= 9999 {
		h[name] = []string{t.Format(time.RFC3339Nano)}
	}
}

func headerTime(h nats.Header, name string) (time.Time, error) {
	raw := h.Get(name)
	if raw == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, raw)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: header %s: %q is no RFC 3339 time", ErrNotEvent, name, raw)
	}
	return t, nil
}

// escapeHeader makes any text safe as a NATS header value: one line of printable ASCII that no
// trimming can change. Ordinary ids and types come out as they are.
func escapeHeader(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '%' {
			return escapeHeaderBytes(s)
		}
	}
	return s
}

func escapeHeaderBytes(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func unescapeHeader(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	return url.PathUnescape(s)
}
