package forward

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
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
	case auth == nil && (user == nil || user.String() == ""): // "https://@host" names nobody
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

// shows reports whether requests say who sends them.
func (a authorization) shows() bool { return a.fixed != nil || a.tokens != nil }

// renew is told that the target refused a value, and reports whether it may take another one now.
func (a authorization) renew(refused string) bool {
	return a.tokens != nil && a.tokens.renew(strings.TrimPrefix(refused, "Bearer "))
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

// authFields are the fields of a method: those that it needs, and those that it can do without.
var authFields = map[mesh.AuthMethod]struct{ needs, takes []string }{
	mesh.AuthBasic:  {needs: []string{"username"}, takes: []string{"password"}},
	mesh.AuthBearer: {needs: []string{"token"}},
	mesh.AuthOAuth2: {needs: []string{"token_url", "client_id", "client_secret"}, takes: []string{"scopes", "audience"}},
}

// checkAuth finds what can be found without reading secrets. user is that of the target's URL; nil is none.
func checkAuth(auth *mesh.TargetAuth, user *url.Userinfo) error {
	if auth == nil {
		return nil
	}
	if user != nil {
		return &mesh.FieldError{Field: "auth", Problem: "the url has a user already", Hint: "leave one of them out"}
	}
	fields, known := authFields[auth.Method]
	if !known {
		return &mesh.FieldError{Field: "auth.method", Problem: fmt.Sprintf("%.40q is not served", auth.Method),
			Hint: fmt.Sprintf("write %q, %q or %q", mesh.AuthBasic, mesh.AuthBearer, mesh.AuthOAuth2)}
	}
	given := map[string]bool{
		"username": auth.Username != "", "password": auth.Password != "", "token": auth.Token != "", "token_url": auth.TokenURL != "",
		"client_id": auth.ClientID != "", "client_secret": auth.ClientSecret != "", "scopes": len(auth.Scopes) > 0, "audience": auth.Audience != "",
	}
	var mistakes []error
	for _, field := range slices.Sorted(maps.Keys(given)) {
		needed := slices.Contains(fields.needs, field)
		switch {
		case needed && !given[field]:
			mistakes = append(mistakes, &mesh.FieldError{Field: field, Problem: fmt.Sprintf("missing: %s needs it", auth.Method), Hint: "add it"})
		case given[field] && !needed && !slices.Contains(fields.takes, field):
			mistakes = append(mistakes, &mesh.FieldError{Field: field, Problem: fmt.Sprintf("it is not for %s", auth.Method), Hint: "remove it"})
		}
	}
	mistakes = append(mistakes, mesh.Within("username", checkUser(auth.Username)), mesh.Within("token_url", checkTokenURL(auth.TokenURL)))
	return mesh.Within("auth", errors.Join(mistakes...))
}

func missing(field, value string) error {
	if value == "" {
		return fmt.Errorf("%s is missing", field)
	}
	return nil
}

func checkUser(name string) error {
	if strings.Contains(name, ":") || hasControl(name) {
		return errors.New("it can't hold colons or control characters (RFC 7617)")
	}
	return nil
}

// checkTokenURL leaves it to others to miss one.
func checkTokenURL(raw string) error {
	if raw == "" {
		return nil
	}
	u, err := parseURL(raw)
	if err == nil && (u.User != nil || u.Fragment != "") {
		err = errors.New("write it without user and fragment; client_id and client_secret say who asks")
	}
	return err
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
