//go:build fault

package fault

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// line passes connections on to where it leads, whatever they speak, and as late as it is long.
type line struct {
	listener net.Listener
	long     time.Duration
	running  sync.WaitGroup

	mu   sync.Mutex
	to   string // "" is nowhere
	open map[net.Conn]bool
}

// newLine listens at an address of the lab's own network until the test ends, and leads nowhere.
func newLine(t testing.TB, at string, long time.Duration) *line {
	t.Helper()
	listener, err := net.Listen("tcp", at)
	require.NoError(t, err)
	l := &line{listener: listener, long: long, open: map[net.Conn]bool{}}
	l.running.Go(l.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut()
		l.running.Wait()
	})
	return l
}

func (l *line) addr() string { return l.listener.Addr().String() }

// lead makes it pass on what comes from now on.
func (l *line) lead(to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = to
}

// cut ends what passes, and lets nothing else pass.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = ""
	for c := range l.open {
		_ = c.Close()
	}
}

func (l *line) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.running.Go(func() { l.join(near) })
	}
}

func (l *line) join(near net.Conn) {
	defer near.Close()
	l.mu.Lock()
	to := l.to
	l.mu.Unlock()
	if to == "" {
		return
	}
	far, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return
	}
	defer far.Close()
	if !l.keep(to, near, far) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { l.pass(near, far) })
	both.Go(func() { l.pass(far, near) })
	both.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, near)
	delete(l.open, far)
}

// keep reports false if the line was cut meanwhile.
func (l *line) keep(to string, conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.open[c] = true
	}
	return l.to == to
}

type stretch struct {
	bytes []byte
	due   time.Time
}

// pass hands on one direction; what is under way at once is bounded.
func (l *line) pass(from, to net.Conn) {
	way := make(chan stretch, 1024)
	var writing sync.WaitGroup
	writing.Go(func() {
		for s := range way {
			time.Sleep(time.Until(s.due)) // this is the line's length
			if _, err := to.Write(s.bytes); err != nil {
				_ = from.Close()
			}
		}
		_ = to.Close()
	})
	for {
		bytes := make([]byte, 16<<10)
		n, err := from.Read(bytes)
		if n > 0 {
			way <- stretch{bytes[:n], time.Now().Add(l.long)}
		}
		if err != nil {
			break
		}
	}
	close(way)
	writing.Wait()
}
