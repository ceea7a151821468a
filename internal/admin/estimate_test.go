package admin

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/mesh"
)

func TestCatchUpEstimate(t *testing.T) {
	second := func(n int) mesh.Rate { return mesh.Rate{Events: n, Per: time.Second} }
	for name, tc := range map[string]struct {
		unsettled uint64
		arrivals  float64
		limit     mesh.Rate
		pause     time.Duration
		backlog   uint64
		takes     time.Duration
		never     bool
	}{
		"nothing waits":        {limit: second(10)},
		"no rate":              {unsettled: 100, arrivals: 1, backlog: 100},
		"quiet":                {unsettled: 100, limit: second(10), backlog: 100, takes: 10 * time.Second},
		"busy":                 {unsettled: 100, arrivals: 5, limit: second(10), backlog: 100, takes: 20 * time.Second},
		"grows over the pause": {unsettled: 100, arrivals: 5, limit: second(10), pause: time.Minute, backlog: 400, takes: 80 * time.Second},
		"too slow":             {unsettled: 100, arrivals: 10, limit: second(10), backlog: 100, never: true},
		"hardly faster":        {unsettled: math.MaxInt64, arrivals: 9.9999, limit: second(10), backlog: math.MaxInt64, takes: 100 * MaxPause},
	} {
		t.Run(name, func(t *testing.T) {
			c := estimate(tc.unsettled, tc.arrivals, tc.limit, tc.pause)
			assert.Equal(t, tc.backlog, c.Backlog)
			assert.Equal(t, tc.never, c.Never)
			assert.Equal(t, tc.takes, time.Duration(c.Takes).Round(time.Second))
		})
	}
}
