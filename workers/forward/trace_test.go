package forward

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/mesh"
)

const traceID, spanID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

func TestTraceParent(t *testing.T) {
	cases := map[string]struct {
		parent string
		flags  string // "" if a new trace begins
	}{
		"sampled":              {"00-" + traceID + "-" + spanID + "-01", "01"},
		"not sampled":          {"00-" + traceID + "-" + spanID + "-00", "00"},
		"unknown flags":        {"00-" + traceID + "-" + spanID + "-ff", "03"},
		"later version":        {"cc-" + traceID + "-" + spanID + "-01", "01"},
		"later version, more":  {"cc-" + traceID + "-" + spanID + "-01-what-else", "01"},
		"none":                 {"", ""},
		"longer than 00":       {"00-" + traceID + "-" + spanID + "-01-x", ""},
		"later version, glued": {"cc-" + traceID + "-" + spanID + "-01x", ""},
		"version ff":           {"ff-" + traceID + "-" + spanID + "-01", ""},
		"upper case":           {"00-" + strings.ToUpper(traceID) + "-" + spanID + "-01", ""},
		"zero trace":           {"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", ""},
		"zero span":            {"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01", ""},
		"no hex":               {"00-" + strings.Repeat("g", 32) + "-" + spanID + "-01", ""},
		"inner non-hex":        {"00-4bf92f3577b34da6 3ce929d0e0e4736a-" + spanID + "-01", ""},
		"garbage":              {"a\r\nb", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			first, second := traced(c.parent, "v=1"), traced(c.parent, "v=1")
			a, b := first.Get("traceparent"), second.Get("traceparent")
			assert.Regexp(t, regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]$`), a)
			assert.NotEqual(t, a[36:52], b[36:52], "each attempt is a span of its own")
			assert.NotEqual(t, spanID, a[36:52])
			if c.flags == "" {
				assert.NotContains(t, a, traceID)
				assert.Empty(t, first.Get("tracestate"), "belongs to another trace")
				return
			}
			assert.Equal(t, traceID, a[3:35])
			assert.Equal(t, c.flags, a[53:])
			assert.Equal(t, "v=1", first.Get("tracestate"))
		})
	}
}

func TestTraceStateIsPassedOnOnlyWhole(t *testing.T) {
	parent := "00-" + traceID + "-" + spanID + "-01"
	assert.Equal(t, "a=1, b=2", traced(parent, "a=1, b=2").Get("tracestate"))
	assert.Empty(t, traced(parent, "a=1\r\nX: y").Get("tracestate"))
	cut := "a=1,b=" + strings.Repeat("x", mesh.MaxValueBytes-len("a=1,b="))
	assert.Equal(t, "a=1", traced(parent, cut).Get("tracestate"))
	assert.Empty(t, traced(parent, cut[len("a=1,"):]+"xxxx").Get("tracestate"))
}

func traced(parent, state string) http.Header {
	h := http.Header{}
	setTrace(context.Background(), h, parent, state)
	return h
}

func FuzzParseTraceParent(f *testing.F) {
	f.Add("00-" + traceID + "-" + spanID + "-01")
	f.Add("cc-" + traceID + "-" + spanID + "-01-x")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		id, flags, ok := parseTraceParent(s)
		if ok && (len(id) != 32 || !isLowerHex(id) || flags&^knownFlags != 0) {
			t.Fatalf("%q is read as trace %q, flags %x", s, id, flags)
		}
	})
}
