package forward

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	dialTimeout     = 3 * time.Second
	tlsTimeout      = 5 * time.Second
	idleTimeout     = 90 * time.Second
	pingAfter       = 15 * time.Second
	pingTimeout     = 5 * time.Second
	maxHeadersBytes = 64 << 10
)

// newTransport makes a pool of connections of its own, so that one target's connections are
// never spent on another.
//
// It uses no proxy, whatever the environment says: streams.json alone decides where events go.
// It asks for no compression, so that no answer unpacks to more than was sent. Redials of
// HTTP/2 connections that died unnoticed are forced by pings; they would fail each attempt
// otherwise.
func newTransport(maxIdle int) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: refuseLocalServices}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    tlsTimeout,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeadersBytes,
	}
}

// refuseLocalServices checks the address that a name resolved to, at each dial. Link-local
// addresses are where clouds keep their metadata services, whose answers hold credentials; no
// subscriber lives there. Loopback and private addresses are allowed: internal CRMs do.
func refuseLocalServices(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the address %q can't be checked: %w", address, err)
	}
	ip := addr.Addr().Unmap()
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
		return fmt.Errorf("%s is a link-local, multicast or unspecified address: events don't go there", ip)
	}
	return nil
}
