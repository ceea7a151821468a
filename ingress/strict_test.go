package ingress

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestClip(t *testing.T) {
	assert.Equal(t, "abc", clip("abc", 3))
	assert.Equal(t, "ab", clip("abc", 2))
	assert.Equal(t, "ä", clip("ää", 3))
	assert.Equal(t, "", clip("😀", 3))
	assert.Equal(t, 4, len(clip(strings.Repeat("\x80", 9), 8)), "what is no text is cut, too")
}

func TestDepthIsCountedOutsideOfStrings(t *testing.T) {
	for body, want := range map[string]int{
		`{"a":"[[[[{{{{\"[[[["}`: -1,
		`{"a":"\\",  "b":[]}`:    16,
		`[][][][]`:               -1,
		`[[`:                     1,
		`"\`:                     -1,
	} {
		at, deeper := deeperThan([]byte(body), 1)
		assert.Equal(t, want >= 0, deeper, body)
		assert.Equal(t, max(want, 0), at, body)
	}
}

func isGoodJSON(body []byte) bool {
	reason, _ := checkJSON(body)
	return reason == ""
}
