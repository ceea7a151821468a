// Package wire stands between a NATS client and its server, reads what passes, and lets a test decide about each operation: so a
// process can be killed at a named point of its work without a line in it that knows of tests.
package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Operation is one message on its way.
type Operation struct {
	// FromClient is true for what the client publishes, false for what the server delivers.
	FromClient     bool
	Subject, Reply string
	// Payload is that of the message, its headers included.
	Payload []byte
}

// Proxy passes connections on to a server.
type Proxy struct {
	// Server is the address that is stood in for.
	Server string
	// Look is asked about each message before it goes on; false ends the connection instead. It may be called by several connections
	// at once. nil lets everything pass.
	Look func(Operation) bool
	// Slow makes the way long and narrow; the zero value does not.
	Slow Slow

	listener net.Listener
	mu       sync.Mutex
	open     map[net.Conn]bool
	closed   bool
	running  sync.WaitGroup
}

// Slow is a network far away.
type Slow struct {
	// Delay is added to each message, in each direction.
	Delay time.Duration
	// BytesPerSecond bounds each direction of a connection; 0 does not.
	BytesPerSecond int
}

// Start listens on a port of the loopback that the system chooses.
func (p *Proxy) Start() (addr string, err error) {
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return "", err
	}
	p.open = make(map[net.Conn]bool)
	p.running.Go(p.accept)
	return p.listener.Addr().String(), nil
}

// Close ends all connections and waits for them.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.CutAll()
	p.running.Wait()
}

// CutAll ends the connections of now, in the middle of whatever passes; later ones are taken.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", p.Server, 5*time.Second)
	if err != nil {
		return // the client sees a server that is away
	}
	defer server.Close()
	if !p.keep(client, server) {
		return
	}
	defer p.forget(client, server)
	var both sync.WaitGroup
	both.Go(func() { p.pass(client, server, true); _ = server.Close(); _ = client.Close() })
	both.Go(func() { p.pass(server, client, false); _ = server.Close(); _ = client.Close() })
	both.Wait()
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.open[c] = true
	}
	return !p.closed
}

func (p *Proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.open, c)
	}
}

// pass hands on one direction of a connection until it ends.
func (p *Proxy) pass(from io.Reader, to io.Writer, fromClient bool) {
	reader, line := bufio.NewReaderSize(from, 64<<10), newPipe(to, p.Slow)
	defer line.close()
	for {
		raw, op, err := read(reader)
		if err != nil {
			return
		}
		op.FromClient = fromClient
		if op.Subject != "" && p.Look != nil && !p.Look(op) {
			return
		}
		if !line.send(raw) {
			return
		}
	}
}

const (
	maxLineBytes    = 64 << 10 // of a control line; the server's own limit is 4 KiB, and INFO may be longer
	maxPayloadBytes = 8 << 20
)

var errLine = errors.New("a line of the NATS protocol is too long")

// form is how an operation with a message is written: a subject, for what the server delivers the number of a subscription, a reply if
// there is one, and one size or, with headers, two.
type form struct{ least, sizes int }

var forms = map[string]form{"PUB": {2, 1}, "HPUB": {3, 2}, "MSG": {3, 1}, "HMSG": {4, 2}}

// read takes one operation of the NATS client protocol; of those without a message only the bytes.
// https://docs.nats.io/reference/reference-protocols/nats-protocol
func read(r *bufio.Reader) (raw []byte, op Operation, err error) {
	line, err := readLine(r)
	if err != nil {
		return nil, op, err
	}
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return line, op, nil
	}
	form, ok := forms[strings.ToUpper(words[0])]
	if !ok {
		return line, op, nil
	}
	rest := words[1:]
	if len(rest) < form.least {
		return nil, op, fmt.Errorf("%q: too few words", line)
	}
	size, err := strconv.Atoi(rest[len(rest)-1])
	if err != nil || size < 0 || size > maxPayloadBytes {
		return nil, op, fmt.Errorf("%q: no size", line)
	}
	payload := make([]byte, size+len("\r\n"))
	if _, err := io.ReadFull(r, payload); err != nil {
		return nil, op, err
	}
	op.Subject, op.Payload = rest[0], payload[:size]
	if len(rest) > form.least {
		op.Reply = rest[len(rest)-1-form.sizes]
	}
	return append(line, payload...), op, nil
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > maxLineBytes:
			return nil, errLine
		}
	}
}
