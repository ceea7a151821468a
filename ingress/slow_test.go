package ingress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/genmesh/genmesh/keypair/keypairtest"
)

// The attacks of this file hold connections open instead of sending what is wrong. Each must end by itself, cost a bounded amount of memory
// meanwhile, and keep nobody else from being answered.

const (
	attackers = 64
	// fewAttackers do what costs them, too: handshakes, or megabytes.
	fewAttackers = 4
	// roomForAll is more than all streams of few attackers.
	roomForAll = 2 * fewAttackers * maxConcurrentStreams
	// patience is for what takes a timeout of impatient, or some megabytes, with the race detector on a busy machine.
	patience = time.Minute
)

// impatient is a server that runs with its timeouts divided, and has room for all attackers and a few senders.
func impatient(t *testing.T, by time.Duration, changes ...func(*Options)) *running {
	roomy := func(o *Options) { o.MaxConnections = attackers + 8 }
	s := prepare(t, new(memory), append([]func(*Options){roomy}, changes...)...)
	s.http.ReadHeaderTimeout /= by
	s.http.ReadTimeout /= by
	s.http.WriteTimeout /= by
	s.http.IdleTimeout = s.http.ReadTimeout
	s.client.Transport.(*http.Transport).DisableKeepAlives = true // or the server may hang up on a good sender just as it sends
	s.run()
	return s
}

func TestEveryWaitOfAConnectionHasAnEnd(t *testing.T) {
	s := prepare(t, new(memory))
	defer s.Close()
	for name, limit := range map[string]time.Duration{
		"headers": s.http.ReadHeaderTimeout, "body": s.http.ReadTimeout, "answer": s.http.WriteTimeout, "idle": s.http.IdleTimeout,
	} {
		assert.True(t, limit > 0 && limit <= time.Minute, "%s: %s", name, limit)
	}
	assert.Positive(t, s.http.MaxHeaderBytes)
	assert.Positive(t, s.options.MaxConnections)
	assert.Positive(t, s.http.HTTP2.MaxConcurrentStreams)
}

// footprint is what a process holds at one time.
type footprint struct {
	goroutines int
	heap       uint64
}

func measure() footprint {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{runtime.NumGoroutine(), m.HeapAlloc}
}

// returnsTo waits until the process holds no more than before: a few goroutines of connections kept alive, and some pooled memory.
func returnsTo(t testing.TB, before footprint) {
	assert.Eventually(t, func() bool {
		now := measure()
		return now.goroutines <= before.goroutines+8 && now.heap <= before.heap+16<<20
	}, patience, 50*time.Millisecond, "before: %+v", before)
}

// besieged runs attackers at the same time until all have ended, and sees to it that good events are answered all the while.
func (r *running) besieged(by int, attack func(n int, conn net.Conn) error) {
	before := measure()
	dialer := net.Dialer{Control: keepLittle}
	var all sync.WaitGroup
	for n := range by {
		all.Go(func() {
			conn, err := dialer.DialContext(r.t.Context(), "tcp", r.Addr().String())
			if !assert.NoError(r.t, err) {
				return
			}
			defer conn.Close()
			assert.NoError(r.t, conn.SetDeadline(time.Now().Add(patience)))
			assert.NoError(r.t, attack(n, conn))
		})
	}
	ended := make(chan struct{})
	go func() {
		all.Wait()
		close(ended)
	}()
	for n := 0; ; n++ {
		got := r.post(fmt.Sprintf(`{"data":{"id":"during-%d"}}`, n))
		require.Equal(r.t, "accepted", got.Status, got.raw)
		select {
		case <-ended:
			returnsTo(r.t, before)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// keepLittle gives a connection a small buffer for what it receives, so that one that does not read is soon full.
func keepLittle(_, _ string, conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
	})
	return errors.Join(err, failed)
}

// drip writes a byte at a time until the server hangs up.
func drip(conn net.Conn, b byte) error {
	for {
		if _, err := conn.Write([]byte{b}); err != nil {
			return hungUp(err)
		}
		time.Sleep(10 * time.Millisecond) // that is the attack
	}
}

// hungUp is nil for an error that says that the other side closed the connection.
func hungUp(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return fmt.Errorf("the server did not hang up: %w", err)
}

func TestHeadersThatDripInAreCutOff(t *testing.T) {
	impatient(t, 5).besieged(attackers, func(_ int, conn net.Conn) error {
		if _, err := conn.Write([]byte("POST /webhooks/genesys HTTP/1.1\r\nX-A: ")); err != nil {
			return err
		}
		return drip(conn, 'a')
	})
}

func TestARequestLineThatDripsInIsCutOff(t *testing.T) {
	impatient(t, 5).besieged(attackers, func(_ int, conn net.Conn) error { return drip(conn, 'P') })
}

func TestBodiesThatDripInAreAnsweredAndCutOff(t *testing.T) {
	s := impatient(t, 5)
	s.besieged(attackers, func(n int, conn net.Conn) error {
		framing := []string{"Content-Length: 500000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n7a120\r\n"}[n%2]
		if _, err := conn.Write([]byte("POST /webhooks/genesys HTTP/1.1\r\nHost: mesh.example.com\r\n" + framing)); err != nil {
			return err
		}
		dripped := make(chan error, 1)
		go func() { dripped <- drip(conn, '{') }()
		got, err := readRaw(bufio.NewReader(conn), false)
		if err == nil && (got.code != http.StatusRequestTimeout || !strings.Contains(string(got.body), `"body_timeout"`)) {
			err = fmt.Errorf("it was answered %d %s", got.code, got.body)
		}
		return errors.Join(err, <-dripped)
	})
	assert.Eventually(t, func() bool {
		return s.counted("genmesh_ingress_requests_total", "outcome=body_timeout", "source=genesys") == attackers
	}, patience, 10*time.Millisecond)
}

// What is announced costs nothing until it comes, and what came in is gone when its connection is.
func TestAnnouncedBodiesCostNoMemory(t *testing.T) {
	s := impatient(t, 5)
	before := measure()
	var peak uint64
	var mu sync.Mutex
	s.besieged(attackers, func(_ int, conn net.Conn) error {
		if _, err := conn.Write([]byte("POST /webhooks/genesys HTTP/1.1\r\nHost: x\r\nContent-Length: 524288\r\n\r\n{")); err != nil {
			return err
		}
		mu.Lock()
		peak = max(peak, measure().heap)
		mu.Unlock()
		_, err := io.Copy(io.Discard, conn)
		return err
	})
	assert.Less(t, peak, before.heap+attackers*(128<<10)+16<<20)
}

func TestConnectionsThatSayNothingAreCutOff(t *testing.T) {
	impatient(t, 5).besieged(attackers, func(_ int, conn net.Conn) error {
		_, err := io.Copy(io.Discard, conn)
		return err
	})
}

func TestConnectionsThatStayAfterAnAnswerAreCutOff(t *testing.T) {
	impatient(t, 5).besieged(attackers, func(_ int, conn net.Conn) error {
		if _, err := conn.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, conn)
		return err
	})
}

// As many connections as are served at once say nothing: who comes then waits until one of them is cut off, and not longer.
func TestAFullHouseEmptiesItself(t *testing.T) {
	before := measure()
	s := impatient(t, 5, func(o *Options) { o.MaxConnections = attackers })
	for range 2 * attackers {
		conn, err := net.Dial("tcp", s.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
	}
	assert.Equal(t, "accepted", s.post(goodBody).Status)
	s.stop()
	<-s.finished
	s.client.CloseIdleConnections()
	returnsTo(t, before)
}

func TestHeadersWithoutAnEndAreRefusedEarly(t *testing.T) {
	impatient(t, 5).besieged(attackers, func(n int, conn net.Conn) error {
		line := []byte("X-A: " + strings.Repeat("a", 1000) + "\r\n")
		if n%2 == 0 {
			line = bytes.Repeat([]byte("a"), 1000) // one name without an end
		}
		if _, err := conn.Write([]byte("POST /webhooks/genesys HTTP/1.1\r\n")); err != nil {
			return err
		}
		sent := 0
		for sent < 64<<20 {
			n, err := conn.Write(line)
			if sent += n; err != nil {
				return hungUp(err)
			}
		}
		return fmt.Errorf("%d bytes of headers were taken", sent)
	})
}

// An attacker that never reads its answers fills the buffers in between; then the server must not wait for it.
func TestAnswersThatNobodyReadsAreGivenUp(t *testing.T) {
	request := bytes.Repeat([]byte("GET /webhooks/genesys HTTP/1.1\r\nHost: x\r\n\r\n"), 100)
	impatient(t, 5).besieged(fewAttackers, func(_ int, conn net.Conn) error {
		for {
			if _, err := conn.Write(request); err != nil {
				return hungUp(err)
			}
		}
	})
}

func TestAPipelineIsAnsweredInItsOrder(t *testing.T) {
	s := impatient(t, 5)
	conn, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	var all bytes.Buffer
	const n = 500
	for i := range n {
		body := fmt.Sprintf(`{"data":{"id":"%d"}}`, i)
		signature := s.request(body).Header.Get("X-Genesys-Signature")
		if i%10 == 9 {
			signature = "forged"
		}
		fmt.Fprintf(&all, "POST /webhooks/genesys HTTP/1.1\r\nHost: x\r\nX-Genesys-Signature: %s\r\nContent-Length: %d\r\n\r\n%s",
			signature, len(body), body)
	}
	go func() { _, _ = conn.Write(all.Bytes()) }()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	r := bufio.NewReader(conn)
	for i := range n {
		got, err := readRaw(r, false)
		require.NoError(t, err)
		if i%10 == 9 {
			assert.Equal(t, http.StatusUnauthorized, got.code)
			continue
		}
		assert.Contains(t, string(got.body), fmt.Sprintf(`"interaction_id":"%d"`, i))
	}
}

// overTLS is a server that speaks HTTP/2, with places for so many bodies at once.
func overTLS(t *testing.T, bodies int) *running {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	keypairtest.Write(t, certFile, keyFile, 1)
	s := impatient(t, 2, func(o *Options) {
		o.CertFile, o.KeyFile, o.MaxConnections = certFile, keyFile, bodies
	}) // handshakes take their time on a busy machine
	s.url = "https://" + s.Addr().String()
	transport := s.client.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = true
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // self-signed
	return s
}

func TestHandshakesThatDripInAreCutOff(t *testing.T) {
	overTLS(t, roomForAll).besieged(fewAttackers, func(n int, conn net.Conn) error {
		if n%2 == 0 {
			_, err := io.Copy(io.Discard, conn) // not a byte
			return err
		}
		// A record of 16 KiB that never ends.
		if _, err := conn.Write([]byte{22, 3, 1, 0x40, 0}); err != nil {
			return err
		}
		return drip(conn, 1)
	})
}

// framed is an HTTP/2 connection that writes frames by itself.
type framed struct {
	*http2.Framer
	conn   net.Conn
	block  bytes.Buffer
	encode *hpack.Encoder
}

// greet begins HTTP/2 on a connection.
func greet(conn net.Conn) (*framed, error) {
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := secured.HandshakeContext(context.Background()); err != nil {
		return nil, err
	}
	if protocol := secured.ConnectionState().NegotiatedProtocol; protocol != "h2" {
		return nil, fmt.Errorf("the server speaks %q", protocol)
	}
	if _, err := io.WriteString(secured, http2.ClientPreface); err != nil {
		return nil, err
	}
	f := &framed{Framer: http2.NewFramer(secured, secured), conn: secured}
	f.encode = hpack.NewEncoder(&f.block)
	return f, f.WriteSettings()
}

// headers is the header block of a request.
func (f *framed) headers() []byte {
	f.block.Reset()
	for _, field := range [][2]string{
		{":method", "POST"}, {":scheme", "https"}, {":authority", "x"}, {":path", "/webhooks/genesys"}, {"x-genesys-signature", "forged"},
	} {
		_ = f.encode.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}) // into memory
	}
	return f.block.Bytes()
}

// readAway reads what comes until the server hangs up, so that its answers are no reason for it to.
func (f *framed) readAway() <-chan error {
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, f.conn)
		ended <- err
	}()
	return ended
}

var errTakenAll = errors.New("the server took all frames")

// flood writes frames until the server hangs up. It fails if the server takes as many as the limit.
func (f *framed) flood(limit int, write func(n int) error) error {
	ended := f.readAway()
	for n := range limit {
		if err := write(n); err != nil {
			<-ended
			return hungUp(err)
		}
	}
	_ = f.conn.Close() // with all that it sent taken
	<-ended
	return errTakenAll
}

// A stream that is reset as soon as it is opened is over for the limit of streams, but its request may still be under way
// (CVE-2023-44487): what is under way must be bounded all the same.
func TestStreamsThatAreResetAtOnceStartNoMoreThanABoundedNumberOfRequests(t *testing.T) {
	s := overTLS(t, roomForAll)
	before := measure()
	most := 0
	var mu sync.Mutex
	const each = 3000
	s.besieged(fewAttackers, func(_ int, conn net.Conn) error {
		f, err := greet(conn)
		if err != nil {
			return err
		}
		err = f.flood(each, func(n int) error {
			stream := uint32(2*n + 1)
			if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.headers(), EndHeaders: true}); err != nil {
				return err
			}
			if n%100 == 0 {
				mu.Lock()
				most = max(most, runtime.NumGoroutine())
				mu.Unlock()
			}
			return f.WriteRSTStream(stream, http2.ErrCodeCancel)
		})
		if errors.Is(err, errTakenAll) {
			return nil // which is fine, as long as they do not pile up
		}
		return err
	})
	assert.Less(t, most, before.goroutines+fewAttackers*2*maxConcurrentStreams, "requests under way pile up")
}

// Headers that never end (CVE-2023-45288).
func TestContinuationsWithoutAnEndAreCutOff(t *testing.T) {
	overTLS(t, roomForAll).besieged(fewAttackers, func(n int, conn net.Conn) error {
		f, err := greet(conn)
		if err != nil {
			return err
		}
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.headers()}); err != nil {
			return err
		}
		// A field that is not kept in the table: "a" and 8 KiB.
		f.block.Reset()
		_ = f.encode.WriteField(hpack.HeaderField{Name: "a", Value: strings.Repeat("b", 8<<10), Sensitive: true})
		block := bytes.Clone(f.block.Bytes())
		if n%2 == 0 {
			block = nil // nothing to count, but without an end
		}
		return f.flood(10_000_000, func(int) error { return f.WriteContinuation(1, false, block) })
	})
}

// Each ping and each setting asks for an answer, which nobody reads: they must not pile up.
func TestControlFramesWithoutAnEndAreCutOff(t *testing.T) {
	overTLS(t, roomForAll).besieged(fewAttackers, func(n int, conn net.Conn) error {
		f, err := greet(conn)
		if err != nil {
			return err
		}
		for {
			if n%2 == 0 {
				err = f.WritePing(false, [8]byte{})
			} else {
				err = f.WriteSettings()
			}
			if err != nil {
				return hungUp(err)
			}
		}
	})
}

// One connection that opens all of its streams and sends nothing on them: no more bodies are awaited than there may be connections, and
// those not for long.
func TestStreamsWithoutABodyAreAnsweredAndOver(t *testing.T) {
	s := overTLS(t, maxConcurrentStreams-30)
	conn, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	f, err := greet(conn)
	require.NoError(t, err)
	for n := range maxConcurrentStreams {
		require.NoError(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*n + 1), BlockFragment: f.headers(), EndHeaders: true}))
	}
	f.ReadMetaHeaders = hpack.NewDecoder(4<<10, nil)
	answers := make(map[string]int)
	for n := 0; n < maxConcurrentStreams; {
		frame, err := f.ReadFrame()
		require.NoError(t, err)
		if head, ok := frame.(*http2.MetaHeadersFrame); ok {
			answers[head.PseudoValue("status")]++
			n++
		}
	}
	assert.Equal(t, map[string]int{"408": s.options.MaxConnections, "429": maxConcurrentStreams - s.options.MaxConnections}, answers)
	assert.Equal(t, "accepted", s.post(goodBody).Status)
}
