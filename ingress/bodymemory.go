package ingress

import (
	"io"
	"runtime/debug"
	"sync/atomic"
)

// bodyMemory bounds the bytes of the bodies of all requests under way, be they signed or not: connections times the longest body would be
// gigabytes. What a sender announces does not count before it has come.
type bodyMemory struct {
	most  int64
	taken atomic.Int64
}

const (
	defaultBodyMemory = 256 << 20
	// memoryParts: with GOMEMLIMIT a quarter of it goes to bodies, for each of them is copied on its way to the stream.
	memoryParts       = 4
	smallestBodyShare = 4 << 20
)

// bodyMemoryShare is how much bodies may take in a process with this memory limit.
func bodyMemoryShare() int64 {
	return max(min(defaultBodyMemory, debug.SetMemoryLimit(-1)/memoryParts), smallestBodyShare)
}

// take counts n bytes more, if there is room for them.
func (m *bodyMemory) take(n int64) bool {
	if m.taken.Add(n) > m.most {
		m.taken.Add(-n)
		return false
	}
	return true
}

func (m *bodyMemory) give(n int64) { m.taken.Add(-n) }

// countedReader counts what is read of a body. It fails with errNoRoom once there is no room.
type countedReader struct {
	io.Reader
	memory *bodyMemory
	taken  int64
}

func (r *countedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if !r.memory.take(int64(n)) {
		return 0, errNoRoom
	}
	r.taken += int64(n)
	return n, err
}

// giveBack is for a body that is not needed any more.
func (r *countedReader) giveBack() { r.memory.give(r.taken) }
