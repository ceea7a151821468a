package ingress

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const goodParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestTraceContext(t *testing.T) {
	for name, c := range map[string]struct {
		parents, states []string
		parent, state   string
	}{
		"both":             {[]string{goodParent}, []string{"a=1", "b=2"}, goodParent, "a=1,b=2"},
		"no state":         {[]string{goodParent}, nil, goodParent, ""},
		"state alone":      {nil, []string{"a=1"}, "", ""},
		"two parents":      {[]string{goodParent, goodParent}, []string{"a=1"}, "", ""},
		"later version":    {[]string{"01" + goodParent[2:] + "-more"}, nil, "01" + goodParent[2:] + "-more", ""},
		"00 with more":     {[]string{goodParent + "-more"}, nil, "", ""},
		"version ff":       {[]string{"ff" + goodParent[2:]}, nil, "", ""},
		"upper case":       {[]string{strings.ToUpper(goodParent)}, nil, "", ""},
		"no trace":         {[]string{"00-" + strings.Repeat("0", 32) + goodParent[35:]}, nil, "", ""},
		"no parent":        {[]string{goodParent[:36] + strings.Repeat("0", 16) + "-01"}, nil, "", ""},
		"other separators": {[]string{strings.ReplaceAll(goodParent, "-", "_")}, nil, "", ""},
		"short":            {[]string{goodParent[:54]}, nil, "", ""},
		"long":             {[]string{"01" + goodParent[2:] + "-" + strings.Repeat("x", 300)}, nil, "", ""},
		"long state":       {[]string{goodParent}, []string{strings.Repeat("x", 300)}, goodParent, ""},
		"state with CR":    {[]string{goodParent}, []string{"a=\r"}, goodParent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			parent, state := traceContext(http.Header{"Traceparent": c.parents, "Tracestate": c.states})
			assert.Equal(t, c.parent, parent)
			assert.Equal(t, c.state, state)
		})
	}
}

func FuzzTraceParent(f *testing.F) {
	f.Add(goodParent)
	f.Add("01" + goodParent[2:] + "-x")
	f.Fuzz(func(t *testing.T, s string) {
		if isTraceParent(s) {
			assert.True(t, isPrintable(s) && len(s) <= 256 && strings.Count(s, "-") >= 3)
		}
	})
}
