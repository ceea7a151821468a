package forward

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/genmesh/genmesh/mesh"
)

// setTrace continues the W3C trace context that the event came with: the same trace, and the span of the attempt where ctx has one,
// else a new span id for each attempt. Where the event has none that is valid, a new trace begins; it is not
// marked as sampled, for genmesh recorded nothing of it.
func setTrace(ctx context.Context, h http.Header, parent, state string) {
	if trace.SpanContextFromContext(ctx).IsValid() {
		propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
		return
	}
	traceID, flags, ok := parseTraceParent(parent)
	if !ok {
		h.Set(mesh.HeaderTraceParent, "00-"+randomHex(16)+"-"+randomHex(8)+"-00")
		return
	}
	h.Set(mesh.HeaderTraceParent, "00-"+traceID+"-"+randomHex(8)+"-"+hex.EncodeToString([]byte{flags}))
	if state = passableState(state); state != "" {
		h.Set(mesh.HeaderTraceState, state)
	}
}

// knownFlags are the trace flags that version 00 defines: sampled, and random trace id.
const knownFlags = 0x03

// parseTraceParent reads a traceparent (W3C Trace Context, section 3.2) of version 00, or as
// much as version 00 defines of a later one.
func parseTraceParent(s string) (traceID string, flags byte, ok bool) {
	const size = len("00-00000000000000000000000000000000-0000000000000000-00")
	if len(s) < size || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return "", 0, false
	}
	version, traceID, spanID := s[:2], s[3:35], s[36:52]
	if len(s) > size && (version == "00" || s[size] != '-') {
		return "", 0, false
	}
	if !isLowerHex(version+traceID+spanID+s[53:55]) || version == "ff" ||
		strings.Trim(traceID, "0") == "" || strings.Trim(spanID, "0") == "" {
		return "", 0, false
	}
	raw, err := hex.DecodeString(s[53:55])
	if err != nil {
		return "", 0, false
	}
	return traceID, raw[0] & knownFlags, true
}

// passableState is the tracestate to pass on: none if it can't stand in a header, and without
// the member that the bound on envelope values may have cut.
func passableState(state string) string {
	if strings.IndexFunc(state, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		return ""
	}
	if len(state) >= mesh.MaxValueBytes {
		state = state[:max(0, strings.LastIndexByte(state, ','))]
	}
	return strings.Trim(state, " ")
}

func isLowerHex(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) }) < 0
}

func randomHex(bytes int) string {
	raw := make([]byte, bytes)
	_, _ = rand.Read(raw) // never fails
	return hex.EncodeToString(raw)
}
