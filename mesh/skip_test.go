package mesh

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Consumers are followed by others again and again, at any place and in any division: what one of them
// delivered is passed by, and nothing else is.
func TestSkipRemembersWhatAnyConsumerDelivered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const events = 200
		subject := func(i int) string { return fmt.Sprintf("s.%02d.x", i*7%Partitions) }
		delivered := map[int]bool{}
		var skip Skip
		for range rapid.IntRange(1, 8).Draw(t, "switches") {
			of := rapid.IntRange(1, 5).Draw(t, "of")
			start := 1
			if len(skip) > 0 {
				start = int(skip.start())
			}
			layer := make([]uint64, of)
			for partition := range of {
				to := rapid.IntRange(start-1, events).Draw(t, "to")
				layer[partition] = uint64(to)
				for i := start; i <= to; i++ {
					p, _ := SubjectPartition(subject(i))
					if p%of == partition && !skip.Has(subject(i), uint64(i)) {
						require.False(t, delivered[i], "event %d is delivered twice", i)
						delivered[i] = true
					}
				}
			}
			skip = Skip{layer}.and(skip)
			read, err := parseSkip(skip.String())
			require.NoError(t, err)
			require.Equal(t, skip, read)
		}
		for i := 1; i <= events; i++ {
			passed := uint64(i) < skip.start() || skip.Has(subject(i), uint64(i))
			require.Equal(t, delivered[i], passed, "event %d", i)
		}
	})
}

func TestSkipThatCantBeReadIsRefused(t *testing.T) {
	for _, text := range []string{"x", "1,", ";", "1;;2", "-1", "99999999999999999999"} {
		_, err := parseSkip(text)
		assert.Error(t, err, text)
	}
}
