package ingress

import (
	"net/http"
	"strings"

	"github.com/genmesh/genmesh/mesh"
)

// traceContext is the W3C trace context of a request, or nothing where it is not valid. No
// signature covers it, so nothing but tracing may use it.
func traceContext(h http.Header) (parent, state string) {
	lines := h["Traceparent"]
	if len(lines) != 1 || !isTraceParent(lines[0]) {
		return "", ""
	}
	state = strings.Join(h["Tracestate"], ",")
	if len(state) > mesh.MaxValueBytes || !isPrintable(state) {
		state = ""
	}
	return lines[0], state
}

// traceParentBytes is the length of version 00: version-traceid-parentid-flags. A later version
// may only append to it.
const traceParentBytes = 55

// isTraceParent checks the format of https://www.w3.org/TR/trace-context/#traceparent-header.
func isTraceParent(s string) bool {
	if len(s) < traceParentBytes || len(s) > mesh.MaxValueBytes || !isPrintable(s) {
		return false
	}
	version, traceID, parentID, flags, rest := s[:2], s[3:35], s[36:52], s[53:55], s[55:]
	return s[2] == '-' && s[35] == '-' && s[52] == '-' &&
		isLowerHex(version+traceID+parentID+flags) &&
		version != "ff" && strings.Trim(traceID, "0") != "" && strings.Trim(parentID, "0") != "" &&
		(rest == "" || version != "00" && rest[0] == '-')
}

func isLowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

func isPrintable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
