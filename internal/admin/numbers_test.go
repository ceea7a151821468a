package admin

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNumbersAreNamedAsRanges(t *testing.T) {
	for want, numbers := range map[string][]uint64{
		"":                     nil,
		"7":                    {7},
		"3, 7-9, 12":           {3, 7, 8, 9, 12},
		"1-2, 4-5":             {1, 2, 4, 5},
		"18446744073709551615": {math.MaxUint64},
	} {
		assert.Equal(t, want, ranges(numbers))
	}
	var scattered []uint64
	for n := range uint64(100_000) {
		scattered = append(scattered, 2*n+1)
	}
	assert.Less(t, len(ranges(scattered)), maxRangesBytes+50)
	assert.Contains(t, ranges(scattered), ", …")
}
