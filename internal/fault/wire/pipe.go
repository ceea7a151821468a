package wire

import (
	"io"
	"time"
)

// pipe writes to one end of a connection, as late and as slowly as it is told.
type pipe struct {
	to    io.Writer
	slow  Slow
	queue chan delayed
	done  chan struct{}
}

type delayed struct {
	raw []byte
	due time.Time
}

// maxUnderWay bounds what is on a long way at once.
const maxUnderWay = 4096

func newPipe(to io.Writer, slow Slow) *pipe {
	p := &pipe{to: to, slow: slow, done: make(chan struct{})}
	if slow == (Slow{}) {
		close(p.done)
		return p
	}
	p.queue = make(chan delayed, maxUnderWay)
	go p.run()
	return p
}

// send reports false once the other end is gone.
func (p *pipe) send(raw []byte) bool {
	if p.queue == nil {
		_, err := p.to.Write(raw)
		return err == nil
	}
	select {
	case p.queue <- delayed{raw, time.Now().Add(p.slow.Delay)}:
		return true
	case <-p.done:
		return false
	}
}

// run writes what is due; delays overlap, as on a real line.
func (p *pipe) run() {
	defer close(p.done)
	for d := range p.queue {
		time.Sleep(time.Until(d.due))
		if _, err := p.to.Write(d.raw); err != nil {
			return
		}
		if p.slow.BytesPerSecond > 0 {
			time.Sleep(time.Duration(len(d.raw)) * time.Second / time.Duration(p.slow.BytesPerSecond))
		}
	}
}

// close lets what is under way arrive and waits for that.
func (p *pipe) close() {
	if p.queue != nil {
		close(p.queue)
	}
	<-p.done
}
