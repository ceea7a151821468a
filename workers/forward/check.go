package forward

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"github.com/genmesh/genmesh/mesh"
)

// Check finds what is wrong with a target for http or https, without reading a secret or a file: all
// mistakes at once, each a *mesh.FieldError within the target. None shows a secret, the path or the
// query of a URL.
func Check(target mesh.Target) error {
	var user *url.Userinfo
	u, err := parseURL(target.URL)
	if err == nil {
		user = u.User
	}
	return errors.Join(mesh.Within("url", err), checkHeaders(target), checkAuth(target.Auth, user), checkSigning(target.SigningSecrets),
		checkTLS(target), checkProxy(target.Proxy), checkNetworks(target.AllowNetworks))
}

// CheckWith finds, besides, what stands in the way of these options. Of them it looks at the names of the
// headers alone.
func CheckWith(target mesh.Target, o Options) error {
	return errors.Join(Check(target), checkPassedOn(target, o))
}

// parseURL does not say what is wrong inside the URL: that would quote it, secrets included.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New(`not of the form "https://host/path"; it is not shown, for it may hold a secret`)
	}
	if err := checkPort(u); err != nil {
		return nil, err
	}
	if looksLikeAddress(asciiHost(u.Hostname())) {
		return nil, errors.New("the host is an IP address in a form that programs read differently; " +
			`write it with four decimal numbers, such as "10.1.2.3", or as IPv6`)
	}
	return u, nil
}

// checkPort refuses a port that nobody can listen on; a URL may leave it out. Its error shows no more of the URL than the port.
func checkPort(u *url.URL) error {
	if u.Port() == "" {
		return nil
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
		return &mesh.FieldError{Problem: fmt.Sprintf("%.10s is no port", u.Port()), Hint: "ports are 1 to 65535"}
	}
	return nil
}

func checkSigning(secrets []mesh.Secret) error {
	if len(secrets) <= maxSigningKeys {
		return nil
	}
	return &mesh.FieldError{Field: "signing_secrets", Problem: fmt.Sprintf("%d of them; at most %d sign a request", len(secrets), maxSigningKeys)}
}

func checkProxy(raw string) error {
	proxy, err := parseProxy(raw)
	switch {
	case err == nil && proxy == nil:
		return nil
	case err == nil:
		return mesh.Within("proxy", checkPort(proxy))
	}
	return &mesh.FieldError{Field: "proxy", Problem: "not of the form \"http://host:port\" or \"https://host:port\"",
		Hint: "it is not shown, for it may hold a secret"}
}

func checkNetworks(texts []string) error {
	var mistakes []error
	for i, text := range texts {
		_, err := parseNetwork(text)
		mistakes = append(mistakes, mesh.Within(fmt.Sprintf("allow_networks[%d]", i), err))
	}
	return errors.Join(mistakes...)
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
