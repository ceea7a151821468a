package forward

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/idna"

	"github.com/genmesh/genmesh/mesh"
)

// Check finds what is wrong with a target for http or https, without reading a secret or a file: all
// mistakes at once, each with its field. No error shows a secret, the path or the query of a URL.
func Check(target mesh.Target) error {
	u, err := parseURL(target.URL)
	mistakes := []error{err, checkHeaders(target), checkTLS(target)}
	if err == nil {
		mistakes = append(mistakes, checkAuth(target.Auth, u.User))
	}
	if len(target.SigningSecrets) > maxSigningKeys {
		mistakes = append(mistakes, fmt.Errorf("signing_secrets: %d of them; at most %d sign a request", len(target.SigningSecrets), maxSigningKeys))
	}
	_, err = parseProxy(target.Proxy)
	mistakes = append(mistakes, err)
	_, err = parseNetworks(target.AllowNetworks)
	return errors.Join(append(mistakes, err)...)
}

// parseURL does not say what is wrong inside the URL: that would quote it, secrets included.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New(`the url is not of the form "https://host/path"; it is not shown, for it may hold a secret`)
	}
	if looksLikeAddress(asciiHost(u.Hostname())) {
		return nil, errors.New("the url's host is an IP address in a form that programs read differently; " +
			`write it with four decimal numbers, such as "10.1.2.3", or as IPv6`)
	}
	return u, nil
}

// asciiHost is the host as it is looked up: digits of other scripts become those of ASCII.
func asciiHost(host string) string {
	if strings.IndexFunc(host, func(r rune) bool { return r > '~' }) < 0 {
		return host
	}
	ascii, err := idna.Lookup.ToASCII(host)
	if err != nil {
		return host
	}
	return ascii
}

// Allowed reports whether genmesh outside of dev would connect to an address for the target: nil, or why
// not and what to do.
func Allowed(target mesh.Target, addr netip.Addr) error {
	allowed, err := parseNetworks(target.AllowNetworks)
	if err != nil {
		return err
	}
	return guard{publicOnly: true, allowed: allowed}.check(addr)
}
