package notification

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// drained takes all that is left in a closed queue, by lane.
func drained(q *queue) (all []string) {
	q.close()
	for lane := range laneCount {
		for {
			frame, ok := q.take(context.Background(), lane)
			if !ok {
				break
			}
			all = append(all, string(frame))
		}
	}
	return all
}

func TestTheOldestGiveWay(t *testing.T) {
	q := newQueue(3, 1000)
	for i := range 10 {
		assert.Equal(t, i >= 3, q.put(fmt.Sprint(i), fmt.Append(nil, i)) == 1)
	}
	assert.ElementsMatch(t, []string{"7", "8", "9"}, drained(q))

	q = newQueue(100, 10)
	assert.Zero(t, q.put("a", []byte("12345")))
	assert.Zero(t, q.put("b", []byte("12345")))
	assert.Equal(t, 2, q.put("c", []byte("123456")), "bytes count, too")
	assert.ElementsMatch(t, []string{"123456"}, drained(q))
}

func TestTakersWait(t *testing.T) {
	q := newQueue(10, 1000)
	var taken sync.WaitGroup
	var mu sync.Mutex
	var got []string
	for lane := range laneCount {
		taken.Go(func() {
			for {
				frame, ok := q.take(t.Context(), lane)
				if !ok {
					return
				}
				mu.Lock()
				got = append(got, string(frame))
				mu.Unlock()
			}
		})
	}
	for i := range 10 {
		q.put(fmt.Sprint(i), fmt.Append(nil, i))
	}
	q.close()
	taken.Wait()
	assert.Len(t, got, 10)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, ok := newQueue(1, 1).take(ctx, 0)
	assert.False(t, ok)
}

// TestQueueKeepsItsBounds puts and takes at random: the bounds hold, nothing is lost but what gives way,
// and the frames of a thing stay in order.
func TestQueueKeepsItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue(rapid.IntRange(1, 8).Draw(t, "frames"), rapid.IntRange(10, 60).Draw(t, "bytes"))
		put, gone := 0, 0
		last := map[string]int{}
		look := func(frame []byte) {
			var about, number int
			_, err := fmt.Sscanf(string(frame), "%d %d", &about, &number)
			assert.NoError(t, err)
			assert.Greater(t, number, last[fmt.Sprint(about)])
			last[fmt.Sprint(about)] = number
			gone++
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if about := rapid.IntRange(0, 6).Draw(t, "about"); about > 0 {
				put++
				gone += q.put(fmt.Sprint(about), fmt.Appendf(nil, "%d %d", about, put))
			} else if lane := rapid.IntRange(0, laneCount-1).Draw(t, "lane"); len(q.lanes[lane].waiting) > 0 {
				frame, _ := q.take(context.Background(), lane)
				look(frame)
			}
			assert.LessOrEqual(t, q.frames, q.maxFrames)
			assert.LessOrEqual(t, q.bytes, q.maxBytes)
		}
		for _, frame := range drained(q) {
			look([]byte(frame))
		}
		assert.Equal(t, put, gone)
		assert.Zero(t, q.bytes)
	})
}
