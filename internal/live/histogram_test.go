package live

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// What Prometheus' histogram_quantile says to the same buckets (https://prometheus.io/docs/prometheus/latest/querying/functions/).
func TestQuantilesAreThoseOfPrometheus(t *testing.T) {
	bounds := []float64{0.1, 0.5, 1}
	for name, test := range map[string]struct {
		counts []float64
		q      float64
		want   float64
	}{
		"nothing":                    {[]float64{0, 0, 0, 0}, 0.5, 0},
		"in the middle of a bucket":  {[]float64{0, 10, 0, 0}, 0.5, 0.3},
		"the first begins with zero": {[]float64{10, 0, 0, 0}, 0.5, 0.05},
		"at the edge of a bucket":    {[]float64{5, 5, 0, 0}, 0.5, 0.1},
		"behind an empty bucket":     {[]float64{5, 0, 5, 0}, 0.75, 0.75},
		"above all bounds":           {[]float64{0, 0, 0, 3}, 0.5, 1},
		"99 of 100":                  {[]float64{98, 0, 2, 0}, 0.99, 0.75},
	} {
		assert.InDelta(t, test.want, histogram{bounds, test.counts}.quantile(test.q), 1e-9, name)
	}
	assert.Zero(t, histogram{}.quantile(0.5))
}

func TestAWindowForgetsWhatIsOlderThanAMinute(t *testing.T) {
	var w window[histogram]
	one := histogram{bounds: []float64{1}, counts: []float64{1, 2}}
	for second := range 50 {
		w.turn(time.Duration(second) * time.Second)
		if second%10 == 0 {
			w.add(one)
		}
	}
	assert.Equal(t, []float64{5, 10}, w.sum().counts)
	w.turn(61 * time.Second)
	assert.Equal(t, []float64{4, 8}, w.sum().counts, "the first ten seconds are over")
	w.turn(time.Hour)
	assert.Nil(t, w.sum().buckets())
	w.add(one)
	assert.Equal(t, []Bucket{{1, 1}, {0, 2}}, w.sum().buckets())
}

func TestHistogramsOfOtherBucketsAreCountedWhereThereIsRoom(t *testing.T) {
	sum := histogram{bounds: []float64{1, 10}, counts: []float64{1, 1, 1}}.
		plus(histogram{bounds: []float64{0.5, 5, 50}, counts: []float64{1, 2, 3, 4}})
	assert.Equal(t, []float64{2, 3, 8}, sum.counts)
	assert.Equal(t, []float64{1, 0, 0}, histogram{[]float64{1, 2}, []float64{3, 2, 1}}.since(histogram{[]float64{1, 2}, []float64{2, 2, 5}}).counts)
}
