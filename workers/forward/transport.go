package forward

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/genmesh/genmesh/workers"
)

const (
	dialTimeout     = 3 * time.Second
	tlsTimeout      = 5 * time.Second
	idleTimeout     = 90 * time.Second
	pingAfter       = 15 * time.Second
	pingTimeout     = 5 * time.Second
	maxHeadersBytes = 64 << 10
)

// egress is how a target's connections are made. What is zero is not used.
type egress struct {
	guard guard
	proxy *url.URL
	// tls is for targets; proxyRoots are the authorities for an https proxy.
	tls        *tls.Config
	proxyRoots *x509.CertPool
}

// transport makes a pool of connections of its own, so that one target's connections are never
// spent on another.
//
// It uses no proxy but that of streams.json, whatever the environment says: streams.json alone
// decides where events go. It asks for no compression, so that no answer unpacks to more than was
// sent. Redials of HTTP/2 connections that died unnoticed are forced by pings; they would fail each
// attempt otherwise.
//
// With a proxy, it is the proxy that resolves names and dials: the guard sees only hosts that are
// addresses. The proxy's own address is configuration and is not guarded.
func (e egress) transport(maxIdle int) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if e.proxy == nil {
		dialer.ControlContext = e.guard.control
	}
	t := &http.Transport{
		Proxy:                  e.proxyFor,
		OnProxyConnectResponse: checkProxyAnswer,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        e.tls,
		TLSHandshakeTimeout:    tlsTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeadersBytes,
	}
	if e.proxy != nil && e.proxy.Scheme == "https" {
		t.DialTLSContext = e.dialTLSProxy(dialer)
	}
	return t
}

// elsewhere is the egress to hosts other than the target: without the name in the target's
// certificate, and theirs are not noted as its.
func (e egress) elsewhere() egress {
	e.tls = e.tls.Clone()
	e.tls.ServerName, e.tls.VerifyConnection = "", nil
	return e
}

// proxyFor is asked before each request, thus also where the guard sees hosts that are addresses,
// which no dial of ours may show it.
func (e egress) proxyFor(req *http.Request) (*url.URL, error) {
	host := asciiHost(req.URL.Hostname())
	if e.proxy != nil && isLocalhost(host) {
		host = "127.0.0.1"
	}
	if err := e.guard.checkHost(host); err != nil {
		return nil, err
	}
	return e.proxy, nil
}

// dialTLSProxy connects to an https proxy; with a proxy the transport dials nothing else by TLS. The
// target's certificates and server name are not for the proxy, nor is HTTP/2: CONNECT is sent by
// HTTP/1.1.
func (e egress) dialTLSProxy(dialer *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: e.proxyRoots, ServerName: asciiHost(e.proxy.Hostname()), NextProtos: []string{"http/1.1"},
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
		defer cancel()
		secured := tls.Client(conn, config)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // nothing was sent
			return nil, err
		}
		return secured, nil
	}
}

// proxyRefusal is a proxy's answer to CONNECT that is no 200.
type proxyRefusal struct{ status int }

func (e *proxyRefusal) Error() string {
	return fmt.Sprintf("the proxy answered %d %s", e.status, http.StatusText(e.status))
}

// fate makes the subscriber wait where the proxy asks for other credentials: that is wrong for all
// events. Its other refusals may pass.
func (e *proxyRefusal) fate(host string) error {
	failure := &workers.Failure{Err: fmt.Errorf("no way to %s: %w", host, e)}
	if e.status != http.StatusProxyAuthRequired {
		return failure
	}
	return workers.Unusable(fmt.Errorf("%w: check the user and password in the url of proxy", failure))
}

func checkProxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &proxyRefusal{answer.StatusCode}
}

// parseProxy reads the URL of a proxy; "" is none. Its errors don't show it, for it may hold a
// password.
func parseProxy(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New(`proxy: not of the form "http://host:port" or "https://host:port"; it is not shown, for it may hold a secret`)
	}
	return u, nil
}
