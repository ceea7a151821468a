package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestSpread(t *testing.T) {
	for name, tc := range map[string]struct {
		values []float64
		want   spread
	}{
		"nothing": {nil, spread{}},
		"one":     {[]float64{4}, spread{4, 4, 4}},
		"odd":     {[]float64{9, 1, 2}, spread{2, 1, 9}},
		"even":    {[]float64{4, 1, 3, 100}, spread{3.5, 1, 100}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.want, spreadOf(tc.values))
		})
	}
}

func TestRatioComparesWithinARound(t *testing.T) {
	// The machine was three times as fast in the second round; the ratio does not show it.
	ours, base := series{{rate: 50}, {rate: 150}}, series{{rate: 100}, {rate: 300}}
	assert.Equal(t, spread{0.5, 0.5, 0.5}, ours.ratio(base, rate))

	assert.Equal(t, spread{2, 2, 2}, series{{rate: 1}, {rate: 4}}.ratio(series{{rate: 0}, {rate: 2}}, rate), "nothing to compare with")
	assert.Equal(t, spread{}, ours.ratio(nil, rate))
}

func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for name, tc := range map[string]struct {
		sorted []time.Duration
		part   float64
		want   time.Duration
	}{
		"nothing":   {nil, 0.5, 0},
		"one":       {[]time.Duration{7}, 0.99, 7},
		"median":    {hundred, 0.50, 50},
		"p99":       {hundred, 0.99, 99},
		"least":     {hundred, 0, 1},
		"greatest":  {hundred, 1, 100},
		"p99 of 10": {hundred[:10], 0.99, 10},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.want, quantile(tc.sorted, tc.part))
		})
	}
}
