package cli

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"os/user"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/genmesh/genmesh/mesh"
)

// actorOf is who uses a connection, without anything that opens another one.
func actorOf(nc *nats.Conn) mesh.Actor {
	actor := mesh.Actor{NATSUser: natsUser(nc.Opts, nc.ConnectedUrl()), Connection: nc.Opts.Name}
	if u, err := user.Current(); err == nil {
		actor.OSUser = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		actor.Host = host
	}
	return actor
}

// natsUser names the user by what the client knows of itself. A URL's user without a password is a
// token, which is a secret.
func natsUser(o nats.Options, connected string) string {
	switch {
	case o.User != "":
		return o.User
	case o.UserJWT != nil:
		if token, err := o.UserJWT(); err == nil {
			return userOfJWT(token)
		}
	case o.Nkey != "":
		return o.Nkey
	}
	if u, err := url.Parse(connected); err == nil && u.User != nil {
		if _, hasPassword := u.User.Password(); hasPassword {
			return u.User.Username()
		}
	}
	return ""
}

// userOfJWT is the name and public key that a user's JWT carries; "" if it can't be read. The server has
// verified it.
func userOfJWT(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Name    string `json:"name"`
		Subject string `json:"sub"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return strings.TrimSpace(claims.Name + " " + claims.Subject)
}
