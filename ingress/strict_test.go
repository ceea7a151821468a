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
	assert.False(t, deeperThan([]byte(`{"a":"[[[[{{{{\"[[[["}`), 1))
	assert.True(t, deeperThan([]byte(`{"a":"\\",  "b":[]}`), 1))
	assert.False(t, deeperThan([]byte(`[][][][]`), 1))
	assert.True(t, deeperThan([]byte(`[[`), 1))
	assert.False(t, deeperThan([]byte(`"\`), 1))
}
