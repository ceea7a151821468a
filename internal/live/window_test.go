package live

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAMinuteIsAddedUpByOutcome(t *testing.T) {
	var w window[outcomes]
	w.turn(0)
	w.add(outcomes{"delivered": 2})
	w.add(outcomes{"failed": 1})
	assert.Equal(t, map[string]uint64{"delivered": 2, "failed": 1}, w.sum().whole())
	w.turn(50 * time.Second)
	w.add(outcomes{"delivered": 1})
	assert.Equal(t, map[string]uint64{"delivered": 3, "failed": 1}, w.sum().whole(), "to look changes nothing")
	assert.Equal(t, map[string]uint64{"delivered": 3, "failed": 1}, w.sum().whole())
	w.turn(time.Minute)
	assert.Equal(t, map[string]uint64{"delivered": 1}, w.sum().whole(), "what is older does not count")
	w.turn(time.Hour)
	assert.Nil(t, w.sum().whole())
}
