package access

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const lookupTimeout = 5 * time.Second

// CheckListen says whether the console may be served at an address: on loopback always, elsewhere only with TLS and an access file.
func CheckListen(addr string, tls, access bool) error {
	loopback, err := Loopback(addr)
	if err != nil || loopback || tls && access {
		return err
	}
	var missing []string
	if !tls {
		missing = append(missing, "a certificate (--console-tls-cert, --console-tls-key)")
	}
	if !access {
		missing = append(missing, "users or an identity provider (--console-access)")
	}
	return fmt.Errorf("the console address %s can be reached from other machines, so it needs %s; or choose 127.0.0.1:PORT", addr, strings.Join(missing, " and "))
}

// Loopback reports whether only this machine reaches an address "host:port". A name is looked up, for at most 5 s, and all of its addresses have
// to be loopback ones. Pass what a listener says where there is one: a name can mean something else a moment later.
func Loopback(addr string) (bool, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false, fmt.Errorf("the console address %q: %w", addr, err)
	}
	if host == "" {
		return false, nil // all interfaces
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback(), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return false, fmt.Errorf("the console address %s: %w", addr, err)
	}
	for _, ip := range found {
		if !ip.Unmap().IsLoopback() {
			return false, nil
		}
	}
	return len(found) > 0, nil
}

// isLoopbackHost reports whether a Host header names this machine. A page whose name was pointed at 127.0.0.1 after it had been loaded (DNS
// rebinding) sends its own name.
func isLoopbackHost(hostport string) bool {
	u := url.URL{Host: hostport}
	return isLoopbackName(u.Hostname())
}

func isLoopbackName(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// publicURL is where browsers find the console; nil if nobody said.
type publicURL struct{ *url.URL }

func parsePublicURL(text string) (publicURL, error) {
	if text == "" {
		return publicURL{}, nil
	}
	u, err := url.Parse(text)
	if err != nil || !isSafeURL(text) || u.Path != "" && u.Path != "/" {
		return publicURL{}, fmt.Errorf("the console's public URL %q is no https URL without a path, such as https://mesh.example.com", text)
	}
	return publicURL{u}, nil
}

func (p publicURL) isHTTPS() bool { return p.URL != nil && p.Scheme == "https" }

// origin is as browsers write it: without the port that is the scheme's own.
func (p publicURL) origin() string {
	host := strings.ToLower(p.Host)
	if p.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return p.Scheme + "://" + host
}
