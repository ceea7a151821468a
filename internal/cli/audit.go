package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"os/user"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// auditTimeout bounds the storing of a record, also after an interruption.
const auditTimeout = 10 * time.Second

// auditor keeps records of what one command does.
type auditor struct {
	p     *program
	js    jetstream.JetStream
	t     *mesh.Topology
	about mesh.Audit // what all its records say
}

// record stores how far the command came. It reports false, and warns once, where nothing is audited.
func (a *auditor) record(ctx context.Context, result mesh.AuditResult, streams []mesh.StreamErasure, problem error) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	record := a.about
	record.At, record.Result, record.Streams = time.Now().UTC(), result, streams
	if problem != nil {
		record.Problem = problem.Error()
	}
	err := mesh.RecordAudit(ctx, a.js, a.t, record)
	if errors.Is(err, mesh.ErrNoAudit) {
		if result == mesh.AuditIntended {
			say(a.p.Err, `warning: this is not audited: streams.json has no stream that takes "audit.>"`)
		}
		return false, nil
	}
	return err == nil, err
}

// actorOf is who uses a connection, without anything that opens another one.
func actorOf(nc *nats.Conn) mesh.Actor {
	actor := mesh.Actor{NATSUser: natsUser(nc.Opts, nc.ConnectedUrl()), Connection: nc.Opts.Name}
	if u, err := user.Current(); err == nil {
		actor.OSUser = u.Username
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
