package live

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestASeriesStaysEvenlySpacedHoweverSamplesCome(t *testing.T) {
	var rate, lag series
	for _, sample := range []struct {
		slot  int
		value float64
	}{{3, 1}, {4, 2}, {4, 3}, {8, 7}, {7, 8}} {
		rate.put(sample.slot, sample.value)
		lag.hold(sample.slot, sample.value)
	}
	assert.Equal(t, []float64{1, 3, 7, 7, 7, 8}, rate.snapshot(), "a rate is one over all of the time since the sample before")
	assert.Equal(t, []float64{1, 3, 3, 3, 3, 8}, lag.snapshot(), "what was not looked at stays as it was")
}

func TestASeriesIsBounded(t *testing.T) {
	var s series
	for slot := range 3 * MaxSeries {
		s.put(slot, float64(slot))
	}
	assert.Len(t, s.values, MaxSeries)
	assert.EqualValues(t, 3*MaxSeries-1, s.values[MaxSeries-1])
	s.put(1<<40, 5)
	assert.Len(t, s.values, MaxSeries)
	assert.EqualValues(t, 5, s.values[0], "nothing is left of before a long gap")
}
