package forward

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// header is the request's header.
//
// The CloudEvents attributes: ce-id is the idempotency key, the same for each attempt and
// replay; ce-source is "/genmesh/<source>"; ce-type is the event type after the target's
// prefix, or "event" where the event has no type; ce-subject is the interaction id; ce-time is
// when the sender says that it happened, else when it was received. The body is the event data
// as it was received, of the content type application/json.
//
// Values from outside are percent-encoded as the HTTP binding of CloudEvents 1.0 asks (section
// 3.1.3.2), in the Genmesh- headers too.
//
// The target's own headers come from streams.json as they are; Check has seen to it that they
// replace none of genmesh's but Content-Type and User-Agent. The signature is the last, for the
// headers that it makes are always genmesh's.
func (t *Target) header(ctx context.Context, e mesh.Event, authorization string, now time.Time) http.Header {
	h := make(http.Header, 24+len(t.headers))
	setEncoded(h, t.options.DeliveryIDHeader, e.DeliveryID)
	setEncoded(h, t.options.DeliveryTypeHeader, e.DeliveryType)

	key := e.IdempotencyKey()
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "genmesh/"+encodeHeader(t.options.Version))
	for _, own := range t.headers {
		own.set(h)
	}
	h.Set("Idempotency-Key", key)

	h.Set("ce-specversion", "1.0")
	h.Set("ce-id", key)
	h.Set("ce-source", encodeHeader("/genmesh/"+url.PathEscape(e.Source)))
	h.Set("ce-type", encodeHeader(t.options.EventTypePrefix+cmp.Or(e.Type, "event")))
	setEncoded(h, "ce-subject", e.Interaction)
	if at := occurred(e); !at.IsZero() {
		h.Set("ce-time", at.UTC().Format(time.RFC3339Nano))
	}

	h.Set("Genmesh-Subscriber", encodeHeader(t.subscriber))
	first := e.FirstPlace()
	setEncoded(h, "Genmesh-Stream", first.Stream)
	h.Set("Genmesh-Sequence", strconv.FormatUint(first.Sequence, 10))
	h.Set("Genmesh-Attempt", strconv.Itoa(e.Attempt))
	setEncoded(h, mesh.HeaderInteraction, e.Interaction)

	setTrace(ctx, h, e.TraceParent, e.TraceState)
	if authorization != "" {
		h.Set("Authorization", authorization)
	}
	t.signer.sign(h, key, now, e.Body)
	return h
}

func occurred(e mesh.Event) time.Time {
	if e.Occurred.IsZero() {
		return e.Received
	}
	return e.Occurred
}

// setEncoded sets a header that is left out where the name or the value is empty.
func setEncoded(h http.Header, name, value string) {
	if name != "" && value != "" {
		h.Set(name, encodeHeader(value))
	}
}

// encodeHeader makes any text a header value: what is not printable ASCII, blanks, double
// quotes and percent signs become % and two hex digits for each byte.
func encodeHeader(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r > '~' || mustEncode(byte(r)) }) < 0 {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if mustEncode(s[i]) {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func mustEncode(c byte) bool { return c <= ' ' || c > '~' || c == '"' || c == '%' }

// isHeaderName reports whether s is a token of RFC 9110.
func isHeaderName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	}) < 0
}
