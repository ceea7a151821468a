// Package access decides who may use the console, and what for.
package access

import (
	"context"
	"net/http"
)

// Role is what somebody may do. Each may all that the ones before may.
type Role string

// The roles.
const (
	// Viewer looks, but not at bodies of sources that are sensitive.
	Viewer Role = "viewer"
	// Operator also pauses, replays, releases and discards.
	Operator Role = "operator"
	// Admin also applies, erases and changes log levels.
	Admin Role = "admin"
)

// May reports whether somebody with the role r may do what needs the role needed. An unknown role may nothing.
func (r Role) May(needed Role) bool { return rank[r] >= rank[needed] && rank[needed] > 0 }

var rank = map[Role]int{Viewer: 1, Operator: 2, Admin: 3}

// Identity is who makes a request.
type Identity struct {
	// Name is the user's name, the token's name, or what the identity provider says.
	Name string
	Role Role
	// Via is how it was proven: "password", "token", "oidc", or "loopback" where nobody has to.
	Via string
}

type identityKey struct{}

// With is ctx with who makes the request.
func With(ctx context.Context, who Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, who)
}

// Who makes the request; the zero Identity, which may nothing, if nobody said so.
func Who(r *http.Request) Identity {
	who, _ := r.Context().Value(identityKey{}).(Identity)
	return who
}
