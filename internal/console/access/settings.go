package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"time"
)

// settings are an access file in force. They do not change; a reload makes new ones.
type settings struct {
	sum       [sha256.Size]byte
	accounts  map[string]*account
	tokens    []*account
	passwords []*account
	provider  *provider // nil if there is none
	idle, max time.Duration
	proxies   []netip.Prefix
}

// account is a user in force.
type account struct {
	User
	digest []byte // of the token
	// ends is done once the user is gone, or is not the same any more.
	ends context.Context
	end  context.CancelFunc
}

// newSettings takes over from those before what has not changed, so that who is signed in stays it.
func newSettings(f *file, before *settings, newProvider func(oidcSettings) *provider) *settings {
	s := &settings{accounts: map[string]*account{}, idle: time.Duration(f.Session.Idle), max: time.Duration(f.Session.Max)}
	for _, user := range f.Users {
		a := before.account(user)
		s.accounts[user.Name] = a
		if a.digest != nil {
			s.tokens = append(s.tokens, a)
		} else {
			s.passwords = append(s.passwords, a)
		}
	}
	for _, text := range f.TrustedProxies {
		network, _ := parseNetwork(text) // it has been checked
		s.proxies = append(s.proxies, network)
	}
	if f.OIDC != nil {
		if before != nil && before.provider != nil && reflect.DeepEqual(before.provider.settings, *f.OIDC) {
			s.provider = before.provider
		} else {
			s.provider = newProvider(*f.OIDC)
		}
	}
	return s
}

// account is the one that there is of a user, or a new one.
func (s *settings) account(user User) *account {
	if s != nil {
		if a := s.accounts[user.Name]; a != nil && a.User == user {
			return a
		}
	}
	ends, end := context.WithCancel(context.Background())
	digest, _ := hex.DecodeString(user.TokenSHA256) // it has been checked
	if user.TokenSHA256 == "" {
		digest = nil
	}
	return &account{User: user, digest: digest, ends: ends, end: end}
}

// giveWay ends what the settings after these don't have: sessions, and requests under way.
func (s *settings) giveWay(after *settings) {
	if s == nil {
		return
	}
	for name, a := range s.accounts {
		if after == nil || after.accounts[name] != a {
			a.end()
		}
	}
	if s.provider != nil && (after == nil || after.provider != s.provider) {
		s.provider.close()
	}
}

// withToken is who has an API token; nil if nobody has. All are compared, so that the time tells nothing.
func (s *settings) withToken(token string) *account {
	if len(token) < minTokenBytes {
		return nil // one could guess it
	}
	digest := sha256.Sum256([]byte(token))
	var found *account
	for _, a := range s.tokens {
		if subtle.ConstantTimeCompare(digest[:], a.digest) == 1 {
			found = a
		}
	}
	return found
}

// grant is what an account is let in with.
func (a *account) grant(via string) grant {
	return grant{Identity: Identity{Name: a.Name, Role: a.Role, Via: via}, ends: a.ends}
}

// Reload reads the access file again. While the file is wrong, or can't be read, what was in force stays so and the error says why. It ends the
// sessions and the requests under way of everybody who is gone or changed. It does nothing where there is no file.
func (g *Guard) Reload() error {
	if g.options.File == "" {
		return nil
	}
	g.reloading.Lock()
	defer g.reloading.Unlock()
	data, err := readFile(g.options.File)
	if err != nil {
		return fmt.Errorf("console access: %w", err)
	}
	f, err := parse(g.options.File, data, g.options.PublicURL, g.options.LookupEnv)
	if err != nil {
		return fmt.Errorf("console access: %w", err)
	}
	before := g.settings.Load()
	sum := sha256.Sum256(data)
	if before != nil && before.sum == sum && before.provider.has(f.OIDC) {
		return nil
	}
	after := newSettings(f, before, g.newProvider)
	after.sum = sum
	g.settings.Store(after)
	before.giveWay(after)
	if before != nil {
		g.options.Logger.WithField("users", len(f.Users)).Info("the access file has changed and is in force")
	}
	return nil
}
