package access

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genmesh/genmesh/internal/telemetry"
	"github.com/genmesh/genmesh/mesh"
)

const (
	plainHint = "a password never stands here: genmesh console user NAME asks for one and prints what to write"
	rolesHint = "write viewer, operator or admin"
)

func element(list jsontext.Pointer, i int) jsontext.Pointer {
	return list + jsontext.Pointer("/"+strconv.Itoa(i))
}

func (f *file) fillDefaults(publicURL string) {
	if f.Session.Idle == 0 {
		f.Session.Idle = defaultIdle
	}
	if f.Session.Max == 0 {
		f.Session.Max = max(defaultMax, f.Session.Idle)
	}
	if f.OIDC == nil {
		return
	}
	if f.OIDC.RedirectURL == "" && publicURL != "" {
		f.OIDC.RedirectURL = strings.TrimSuffix(publicURL, "/") + callbackPath
	}
	if f.OIDC.RolesClaim == "" {
		f.OIDC.RolesClaim = "roles"
	}
	if len(f.OIDC.Scopes) == 0 {
		f.OIDC.Scopes = []string{"openid", "profile", "email"}
	}
	if !slices.Contains(f.OIDC.Scopes, "openid") {
		f.OIDC.Scopes = append([]string{"openid"}, f.OIDC.Scopes...)
	}
}

// check applies the rules that are about values.
func (r *reading) check(f *file, lookup func(string) (string, bool)) {
	if len(f.Users) == 0 && f.OIDC == nil && len(r.mistakes) == 0 {
		r.add("", "nobody could sign in", "name users, or an identity provider in oidc")
	}
	r.checkUsers(f.Users)
	if f.OIDC != nil {
		r.checkOIDC(f.OIDC, lookup)
	}
	if idle := f.Session.Idle; idle < leastSession || idle > longestSession {
		r.add("/session/idle", fmt.Sprintf("must be %s to %s", leastSession, longestSession), "")
	}
	if longest := f.Session.Max; longest < f.Session.Idle || longest > longestSession {
		r.add("/session/max", fmt.Sprintf("must be at least idle, and at most %s", longestSession), "")
	}
	for i, proxy := range f.TrustedProxies {
		if _, err := parseNetwork(proxy); err != nil {
			r.add(element("/trusted_proxies", i), "is no address and no network", `write one such as "10.0.0.0/8"`)
		}
	}
}

func (r *reading) checkUsers(users []User) {
	if len(users) > maxUsers {
		r.add("/users", fmt.Sprintf("are %d; at most %d are read", len(users), maxUsers), "let an identity provider know them")
		return
	}
	names, tokens := map[string]bool{}, map[string]bool{}
	for i, user := range users {
		at := element("/users", i)
		if slices.ContainsFunc(r.mistakes, func(m mesh.Mistake) bool { return strings.HasPrefix(m.Path, path(at)) }) {
			continue // what could not be read looks as if it were missing
		}
		if err := checkName(user.Name); err != nil {
			r.add(at+"/name", err.Error(), "")
		} else if names[user.Name] {
			r.add(at+"/name", "stands here twice", "who has a password and a token has two names, such as ann and ann-ci")
		}
		names[user.Name] = true
		if !user.Role.May(Viewer) {
			r.add(at+"/role", "is no role", rolesHint)
		}
		r.checkProof(at, user)
		if user.TokenSHA256 != "" && tokens[strings.ToLower(user.TokenSHA256)] {
			r.add(at+"/token_sha256", "is another user's, too", "make one token for each")
		}
		tokens[strings.ToLower(user.TokenSHA256)] = true
	}
}

func (r *reading) checkProof(at jsontext.Pointer, user User) {
	switch {
	case user.PasswordHash == "" && user.TokenSHA256 == "":
		r.add(at, "has neither password_hash nor token_sha256", "genmesh console user NAME makes one")
	case user.PasswordHash != "" && user.TokenSHA256 != "":
		r.add(at, "has both password_hash and token_sha256", "make it two users")
	case user.PasswordHash != "":
		if err := checkHash(user.PasswordHash); err != nil {
			r.add(at+"/password_hash", err.Error(), plainHint)
		}
	default:
		if sum, err := hex.DecodeString(user.TokenSHA256); err != nil || len(sum) != 32 {
			r.add(at+"/token_sha256", "is no SHA-256 in 64 hex digits", "genmesh console user NAME --token makes a token, and this of it")
		}
	}
}

const maxNameBytes = 100

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("a name is missing")
	case len(name) > maxNameBytes:
		return fmt.Errorf("a name has at most %d bytes", maxNameBytes)
	case strings.Contains(name, ":"):
		return errors.New("a name has no colon: HTTP Basic ends the name there")
	case telemetry.Printable(name) != name || strings.TrimSpace(name) != name:
		return errors.New("a name has no control characters, and no space at its ends")
	}
	return nil
}

func (r *reading) checkOIDC(o *oidcSettings, lookup func(string) (string, bool)) {
	if slices.ContainsFunc(r.mistakes, func(m mesh.Mistake) bool { return strings.HasPrefix(m.Path, "oidc") }) {
		return
	}
	if !isSafeURL(o.Issuer) {
		r.add("/oidc/issuer", "is no https URL", "write it exactly as the provider's /.well-known/openid-configuration has it")
	}
	if o.ClientID == "" {
		r.add("/oidc/client_id", "is missing", "the provider gives one when the console is registered there")
	}
	if o.ClientSecret != "" {
		var err error
		if o.secret, err = o.ClientSecret.Resolve(lookup); err != nil {
			r.add("/oidc/client_secret", err.Error(), "")
		}
	}
	if u, err := url.Parse(o.RedirectURL); err != nil || !isSafeURL(o.RedirectURL) || u.Path != callbackPath {
		r.add("/oidc/redirect_url", "is no https URL that ends in "+callbackPath, "write where browsers find the console, as it is registered with the provider")
	}
	for value, role := range o.Roles {
		if !role.May(Viewer) {
			r.add(jsontext.Pointer("/oidc/roles").AppendToken(value), "is no role", rolesHint)
		}
	}
	if o.DefaultRole != "" && !o.DefaultRole.May(Viewer) {
		r.add("/oidc/default_role", "is no role", rolesHint+`, or "" for none`)
	}
	if len(o.Roles) == 0 && o.DefaultRole == "" {
		r.add("/oidc/roles", "is empty, so nobody has a role", `map what the provider says: {"mesh-operators": "operator"}`)
	}
}

// isSafeURL reports whether text is an https URL, or an http one of this machine.
func isSafeURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && isLoopbackName(u.Hostname())
}

// parseNetwork reads "10.0.0.0/8", or an address, which is a network of one.
func parseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		return address.Unmap().Prefix(address.Unmap().BitLen())
	}
	network, err := netip.ParsePrefix(text)
	return network.Masked(), err
}
