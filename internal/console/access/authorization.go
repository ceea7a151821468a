package access

import (
	"errors"
	"net/http"
	"strings"
)

// authorize lets in by an Authorization header: an API token, a token of the identity provider, or a name and a password.
func (g *Guard) authorize(r *http.Request, s *settings, header string) (grant, *refusal) {
	scheme, credentials, _ := strings.Cut(header, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return g.bearer(r, s, strings.TrimSpace(credentials))
	case strings.EqualFold(scheme, "Basic"):
		return g.basic(r, s)
	}
	return grant{}, &refusal{status: http.StatusUnauthorized, result: resultRefused, detail: "The Authorization is neither Bearer nor Basic."}
}

func (g *Guard) bearer(r *http.Request, s *settings, token string) (grant, *refusal) {
	if a := s.withToken(token); a != nil {
		granted := a.grant("token")
		granted.carrier = byBearer
		return granted, nil
	}
	refused := &refusal{status: http.StatusUnauthorized, result: resultRefused, detail: "The token is not valid."}
	if s.provider == nil || strings.Count(token, ".") != 2 {
		return grant{}, refused
	}
	claims, err := s.provider.verify(r.Context(), token)
	if errors.Is(err, errUnreachable) {
		return grant{}, &refusal{
			status: http.StatusServiceUnavailable, result: resultProvider, after: rediscoverAfter, cause: err,
			detail: "The identity provider can't be reached, so that the token can't be checked. Try again in a moment.",
		}
	}
	if err != nil {
		refused.cause = err
		return grant{}, refused
	}
	granted, refused := s.provider.grant(claims)
	granted.carrier, granted.until = byBearer, claims.expires
	return granted, refused
}

func (g *Guard) basic(r *http.Request, s *settings) (grant, *refusal) {
	name, password, ok := r.BasicAuth()
	if !ok || name == "" {
		return grant{}, &refusal{status: http.StatusUnauthorized, result: resultRefused, detail: "The Authorization is no name and password."}
	}
	a := g.basics.find(name, password)
	if a == nil {
		var refused *refusal
		if a, refused = g.signIn(r, s, name, password); refused != nil {
			return grant{}, refused
		}
		g.basics.add(name, password, a)
	}
	granted := a.grant("password")
	granted.carrier = byBasic
	return granted, nil
}
