package forward

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

// rawServer answers each connection with a function on the bare connection, which is closed
// when the test ends.
func rawServer(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
			go answer(conn)
		}
	}()
	return "http://" + listener.Addr().String()
}

// after reads the whole request, so that the answer comes after it.
func after(answer func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		answer(conn)
	}
}

func say(conn net.Conn, s string) bool {
	_, err := io.WriteString(conn, s)
	return err == nil
}

func TestABadAnswerCostsAtMostTheTimeout(t *testing.T) {
	const timeout = 400 * time.Millisecond
	drip := func(conn net.Conn) {
		for say(conn, "x") {
			time.Sleep(20 * time.Millisecond)
		}
	}
	flood := func(conn net.Conn) {
		for block := strings.Repeat("x", 64<<10); say(conn, block); {
		}
	}
	cases := map[string]struct {
		answer func(net.Conn)
		want   workers.Fate
	}{
		"silence":         {after(func(net.Conn) {}), workers.Retry},
		"never reads":     {func(net.Conn) {}, workers.Retry},
		"dripping header": {after(func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nA: "); drip(c) }), workers.Retry},
		"endless header":  {after(func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nA: "); flood(c) }), workers.Retry},
		"endless 103s": {after(func(c net.Conn) {
			for say(c, "HTTP/1.1 103 Early Hints\r\n\r\n") {
			}
		}), workers.Retry},
		"garbage":            {after(func(c net.Conn) { say(c, "\x00\xff garbage\r\n\r\n") }), workers.Retry},
		"half a status line": {after(func(c net.Conn) { say(c, "HTTP/1.1 2"); _ = c.Close() }), workers.Retry},
		"closed":             {after(func(c net.Conn) { _ = c.Close() }), workers.Retry},
		"reset":              {after(func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() }), workers.Retry},
		"switched protocols": {after(func(c net.Conn) {
			say(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
		}), workers.Refuse},
		"dripping 500":          {after(func(c net.Conn) { say(c, "HTTP/1.1 500 No\r\nContent-Length: 9999\r\n\r\n"); drip(c) }), workers.Retry},
		"dripping 200":          {after(func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"); drip(c) }), workers.Done},
		"endless 400":           {after(func(c net.Conn) { say(c, "HTTP/1.1 400 No\r\n\r\n"); flood(c) }), workers.Refuse},
		"200 cut off":           {after(func(c net.Conn) { say(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"); _ = c.Close() }), workers.Done},
		"gzip that is no gzip":  {after(func(c net.Conn) { say(c, "HTTP/1.1 422 No\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx") }), workers.Refuse},
		"malformed chunk sizes": {after(func(c net.Conn) { say(c, "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n") }), workers.Retry},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := newTargetWith(t, rawServer(t, c.answer), timeout, Options{})
			event := targettest.Event(1)
			event.Body = make([]byte, 512<<10)
			start := time.Now()
			err := target.Handle(t.Context(), event)
			assert.Less(t, time.Since(start), timeout+2*time.Second)
			assert.Equal(t, c.want, targettest.FateOf(err), "%v", err)
			if err != nil {
				assert.Less(t, len(err.Error()), 500)
			}
		})
	}
}

func TestAnEndlessAnswerCostsNoMemory(t *testing.T) {
	var written atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		block := make([]byte, 64<<10)
		for range 10 << 30 / len(block) {
			n, err := w.Write(block)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	defer server.Close()
	target := newTarget(t, server.URL)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
	require.NoError(t, target.Close())
	server.Close()
	assert.Less(t, written.Load(), int64(64<<20), "the connection was kept")
}

func TestANewConnectionReplacesABrokenOne(t *testing.T) {
	var connections, requests atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	target := newTarget(t, server.URL)
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	require.NoError(t, target.Handle(t.Context(), targettest.Event(2)))
	assert.Equal(t, int32(1), connections.Load(), "connections are pooled")
	server.CloseClientConnections()
	require.NoError(t, target.Handle(t.Context(), targettest.Event(3)))
	assert.Equal(t, int32(2), connections.Load())
	assert.Equal(t, int32(3), requests.Load())
}

func TestErrorsKeepTheURLSecret(t *testing.T) {
	secret := "://user:s3cret@"
	refused := strings.Replace(rawServer(t, func(c net.Conn) { _ = c.Close() }), "://", secret, 1)
	for _, url := range []string{
		refused + "/s3cret?token=s3cret",
		"http" + secret + "nowhere.invalid/?token=s3cret",
		"http" + secret + "127.0.0.1:1/?token=s3cret",
		"https" + secret + strings.TrimPrefix(refused, "http"+secret) + "/?token=s3cret",
	} {
		err := newTarget(t, url).Handle(t.Context(), targettest.Event(1))
		require.Error(t, err, url)
		assert.Equal(t, workers.Retry, targettest.FateOf(err))
		assert.NotContains(t, err.Error(), "s3cret")
		assert.NotContains(t, fmt.Sprintf("%+v", err), "s3cret")
	}
}

func TestMetadataServicesAreOutOfReach(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0.0.0.0", "[::]", "224.0.0.1"} {
		err := newTarget(t, "http://"+host+"/latest/meta-data").Handle(t.Context(), targettest.Event(1))
		assert.ErrorContains(t, err, "events don't go there", host)
	}
}

func TestTheContextEndsAHangingCall(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{})
	target := newTarget(t, rawServer(t, after(func(net.Conn) { close(asked) })))
	go func() { <-asked; cancel() }()
	err := target.Handle(ctx, targettest.Event(1))
	require.ErrorContains(t, err, "given up")
	assert.Equal(t, workers.Retry, targettest.FateOf(err))
}

func TestCloseWaitsForCallsUnderWay(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(asked); <-answer }))
	defer server.Close()
	target := newTarget(t, server.URL)
	handled, closed := make(chan error, 1), make(chan error, 1)
	go func() { handled <- target.Handle(t.Context(), targettest.Event(1)) }()
	<-asked
	go func() { closed <- target.Close() }()
	require.Eventually(t, func() bool { return closing(target) }, 20*time.Second, time.Millisecond)
	require.ErrorIs(t, target.Handle(t.Context(), targettest.Event(2)), errClosed)
	assert.Empty(t, closed, "a call is under way")
	close(answer)
	require.NoError(t, <-handled)
	require.NoError(t, <-closed)
}

// closing reports whether Close has begun.
func closing(target *Target) bool {
	if target.calls.TryRLock() {
		defer target.calls.RUnlock()
		return target.closed
	}
	return true
}

// silent keeps the refused handshakes that a test is about out of its output.
var silent = log.New(io.Discard, "", 0)

func TestHTTP2AndVerifiedCertificates(t *testing.T) {
	protocol := make(chan string, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { protocol <- r.Proto }))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = silent
	server.StartTLS()
	defer server.Close()

	err := newTarget(t, server.URL).Handle(t.Context(), targettest.Event(1))
	require.ErrorContains(t, err, "check the certificate of the target, and tls.ca_file", "nobody vouches for it")
	assert.Equal(t, workers.Wait, targettest.FateOf(err))

	trusting := newTarget(t, server.URL)
	trusting.transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	trusting.transport.TLSClientConfig.RootCAs.AddCert(server.Certificate())
	require.NoError(t, trusting.Handle(t.Context(), targettest.Event(1)))
	assert.Equal(t, "HTTP/2.0", <-protocol)
}

func TestExpiredCertificatesAndOldTLSAreRefused(t *testing.T) {
	expired, pool := expiredCertificate(t)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{expired}}
	server.Config.ErrorLog = silent
	server.StartTLS()
	defer server.Close()
	target := newTarget(t, server.URL)
	target.transport.TLSClientConfig.RootCAs = pool
	err := target.Handle(t.Context(), targettest.Event(1))
	require.ErrorContains(t, err, "expired")
	assert.Equal(t, workers.Wait, targettest.FateOf(err))

	old := httptest.NewUnstartedServer(http.NotFoundHandler())
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.Config.ErrorLog = silent
	old.StartTLS()
	defer old.Close()
	err = newTarget(t, old.URL).Handle(t.Context(), targettest.Event(1))
	require.ErrorContains(t, err, "protocol version")
	assert.Equal(t, workers.Retry, targettest.FateOf(err))
}

func expiredCertificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(raw)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, pool
}

func BenchmarkHandle(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer server.Close()
	target := newTarget(b, server.URL)
	event := targettest.Event(1)
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := target.Handle(b.Context(), event); err != nil {
				b.Error(err)
			}
		}
	})
}
