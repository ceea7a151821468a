package forward

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/genmesh/genmesh/mesh"
)

// maxTokenBytes bounds a bearer token, so that a request's header stays within what servers take.
const maxTokenBytes = 8 << 10

// authorization makes the header Authorization. The zero authorization makes none.
type authorization struct {
	fixed  *reloaded[string] // the whole value
	tokens *tokens
}

func newAuthorization(auth *mesh.TargetAuth, user *url.Userinfo, o Options) (authorization, error) {
	switch {
	case auth == nil && user == nil:
		return authorization{}, nil
	case auth == nil:
		password, _ := user.Password()
		return authorization{fixed: &reloaded[string]{value: basic(user.Username(), password)}}, nil
	case auth.Method == mesh.AuthBasic:
		return newBasic(auth, o)
	case auth.Method == mesh.AuthBearer:
		fixed, err := newSecret("auth.token", auth.Token, o, func(token string) (string, error) {
			return "Bearer " + token, checkToken(token)
		})
		return authorization{fixed: fixed}, within("auth.token", err)
	}
	return authorization{}, nil // tokens come with the connections that fetch them
}

func newBasic(auth *mesh.TargetAuth, o Options) (authorization, error) {
	if auth.Password == "" {
		return authorization{fixed: &reloaded[string]{value: basic(auth.Username, "")}}, nil
	}
	fixed, err := newSecret("auth.password", auth.Password, o, func(password string) (string, error) {
		if hasControl(password) {
			return "", errors.New("it holds control characters, such as a second line")
		}
		return basic(auth.Username, password), nil
	})
	return authorization{fixed: fixed}, within("auth.password", err)
}

// basic is RFC 7617, section 2.
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// value is "" where there is none.
func (a authorization) value(ctx context.Context) (string, error) {
	switch {
	case a.fixed != nil:
		return a.fixed.get(), nil
	case a.tokens != nil:
		token, err := a.tokens.get(ctx)
		return "Bearer " + token, err
	}
	return "", nil
}

// renew forgets a token that the target refused, and reports whether there can be another.
func (a authorization) renew(refused string) bool {
	if a.tokens == nil {
		return false
	}
	a.tokens.drop(strings.TrimPrefix(refused, "Bearer "))
	return true
}

func (a authorization) close() {
	if a.tokens != nil {
		a.tokens.close()
	}
}

// checkToken does not quote the token.
func checkToken(token string) error {
	switch {
	case token == "":
		return errors.New("the token is empty")
	case len(token) > maxTokenBytes:
		return fmt.Errorf("the token is longer than %d bytes", maxTokenBytes)
	case strings.IndexFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0:
		return errors.New("the token holds blanks, lines or other characters that can't stand in a header")
	}
	return nil
}

// checkAuth finds what can be found without reading secrets.
func checkAuth(auth *mesh.TargetAuth, user *url.Userinfo) error {
	if auth == nil {
		return nil
	}
	if user != nil {
		return errors.New("auth: the url has a user already; leave one of them out")
	}
	switch auth.Method {
	case mesh.AuthBasic:
		return within("auth", checkUser(auth.Username))
	case mesh.AuthBearer:
		return within("auth", missing("token", string(auth.Token)))
	case mesh.AuthOAuth2:
		return within("auth", cmp.Or(
			missing("client_id", auth.ClientID), missing("client_secret", string(auth.ClientSecret)), checkTokenURL(auth.TokenURL)))
	}
	return fmt.Errorf("auth.method: %.40q is not served; write %q, %q or %q", auth.Method, mesh.AuthBasic, mesh.AuthBearer, mesh.AuthOAuth2)
}

func missing(field, value string) error {
	if value == "" {
		return fmt.Errorf("%s is missing", field)
	}
	return nil
}

func checkUser(name string) error {
	switch {
	case name == "":
		return errors.New("username is missing")
	case strings.Contains(name, ":") || hasControl(name):
		return errors.New("username can't hold colons or control characters (RFC 7617)")
	}
	return nil
}

func checkTokenURL(raw string) error {
	u, err := parseURL(raw)
	switch {
	case err != nil:
		return fmt.Errorf("token_url: %w", err)
	case u.User != nil || u.Fragment != "":
		return errors.New("token_url: write it without user and fragment; client_id and client_secret say who asks")
	}
	return nil
}

func hasControl(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0
}

// within says where an error is, if there is one.
func within(place string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", place, err)
}
