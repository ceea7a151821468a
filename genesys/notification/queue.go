package notification

import (
	"context"
	"hash/maphash"
	"sync"
)

// laneCount is how many frames may be under way at once. The source answers each after a write to disk,
// and takes many together in one.
const laneCount = 32

// queue keeps the frames that wait to be handed on, at most so many and so many bytes. Frames of one
// thing share a lane, so that they go one after another. It is safe for concurrent use; each lane has
// one taker.
type queue struct {
	maxFrames, maxBytes int
	seed                maphash.Seed

	mu     sync.Mutex
	lanes  [laneCount]lane
	frames int
	bytes  int
	count  uint64 // of all that ever came
	closed bool
}

type lane struct {
	waiting []waiting
	wake    chan struct{} // has room for one
}

type waiting struct {
	frame  []byte
	number uint64 // by arrival
}

func newQueue(maxFrames, maxBytes int) *queue {
	q := &queue{maxFrames: maxFrames, maxBytes: maxBytes, seed: maphash.MakeSeed()}
	for i := range q.lanes {
		q.lanes[i].wake = make(chan struct{}, 1)
	}
	return q
}

// put adds a frame about a thing and reports how many gave way to it. Those are the oldest: a
// conversation's later frames tell all that its earlier ones do.
func (q *queue) put(about string, frame []byte) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := &q.lanes[maphash.String(q.seed, about)%laneCount]
	q.count++
	l.waiting = append(l.waiting, waiting{frame, q.count})
	q.frames++
	q.bytes += len(frame)
	for ; q.frames > q.maxFrames || q.bytes > q.maxBytes; dropped++ {
		q.pop(q.oldest())
	}
	l.nudge()
	return dropped
}

// oldest is the lane whose next frame came before those of all others.
func (q *queue) oldest() *lane {
	var oldest *lane
	for i := range q.lanes {
		l := &q.lanes[i]
		if len(l.waiting) > 0 && (oldest == nil || l.waiting[0].number < oldest.waiting[0].number) {
			oldest = l
		}
	}
	return oldest
}

func (q *queue) pop(l *lane) []byte {
	frame := l.waiting[0].frame
	l.waiting[0].frame = nil // or the slice holds on to it
	l.waiting = l.waiting[1:]
	q.frames--
	q.bytes -= len(frame)
	return frame
}

func (l *lane) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take waits for a lane's next frame. It is false once ctx has ended, or the queue is closed and the
// lane empty.
func (q *queue) take(ctx context.Context, i int) ([]byte, bool) {
	l := &q.lanes[i]
	for ctx.Err() == nil {
		q.mu.Lock()
		if len(l.waiting) > 0 {
			frame := q.pop(l)
			q.mu.Unlock()
			return frame, true
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return nil, false
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
		}
	}
	return nil, false
}

// close ends the takers once their lanes are empty. Nothing is put after it.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for i := range q.lanes {
		q.lanes[i].nudge()
	}
}

// length is how many frames wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.frames
}
