package postgres

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/genmesh/genmesh/mesh"
)

const (
	defaultSchema = "genmesh"
	// defaultConnections is the least with which a group that waits for somebody's lock does not hold all
	// others up. More make smaller groups; see BenchmarkHandle.
	defaultConnections = 2
	paramSchema        = "genmesh_schema"
	paramConnections   = "pool_max_conns"
)

// settings are what a target's URL says.
type settings struct {
	pool   *pgxpool.Config
	schema string
	host   string // for errors and logs
	// exposed means that the server is somewhere else and its certificate is not verified.
	exposed bool
}

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

var errURL = errors.New(`the url is not of the form "postgres://user:${PG_PASSWORD}@host:5432/db?sslmode=verify-full"; ` +
	`it is not shown, for it may hold a secret`)

// parseURL reads the URL of a target. It does not quote it, nor pgx's opinion of it, which would.
func parseURL(raw, subscriber string, timeout time.Duration) (settings, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != Scheme && u.Scheme != "postgresql" || u.Opaque != "" || u.Fragment != "" {
		return settings{}, errURL
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Hostname() == "" && params.Get("host") == "" || strings.Trim(u.Path, "/") == "" && params.Get("dbname") == "" {
		return settings{}, errURL
	}
	if params.Has("password") {
		return settings{}, errors.New(`the url has the password as a parameter: write "postgres://user:${PG_PASSWORD}@host/db"`)
	}
	s := settings{schema: defaultSchema}
	if params.Has(paramSchema) {
		s.schema = params.Get(paramSchema)
	}
	if !schemaName.MatchString(s.schema) || strings.HasPrefix(s.schema, "pg_") {
		return settings{}, fmt.Errorf("%s must be 1 to 63 of a-z, 0-9 and _, and begin with neither a digit nor pg_", paramSchema)
	}
	params.Del(paramSchema)
	if !params.Has("application_name") {
		params.Set("application_name", "genmesh/"+subscriber)
	}
	u.RawQuery = params.Encode()
	if s.pool, err = pgxpool.ParseConfig(u.String()); err != nil {
		return settings{}, errors.New("the url has a parameter that is wrong, names a certificate that can't be read, or is not of the form " +
			`"postgres://user:${PG_PASSWORD}@host:5432/db?sslmode=verify-full"; it is not shown, for it may hold a secret`)
	}
	if !params.Has(paramConnections) {
		s.pool.MaxConns = defaultConnections
	}
	conn := &s.pool.ConnConfig.Config
	if conn.ConnectTimeout <= 0 || conn.ConnectTimeout > timeout {
		conn.ConnectTimeout = timeout // a dial goes on in the pool when its caller has left
	}
	s.host = hostName(conn)
	s.exposed = isExposed(conn)
	return s, nil
}

// withoutFiles is a URL that leads to no file: neither to those that it names, nor to those in the user's home that pgx
// would take in their place. What can't be read stays as it is.
func withoutFiles(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return raw
	}
	for _, name := range []string{"sslcert", "sslkey", "sslrootcert", "passfile"} {
		params.Set(name, "")
	}
	for _, name := range []string{"service", "servicefile"} {
		params.Del(name)
	}
	u.RawQuery = params.Encode()
	return u.String()
}

func hostName(c *pgconn.Config) string { return address(c.Host, c.Port) }

func address(host string, port uint16) string {
	if isLocal(host) {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// Addresses are the hosts and ports of the servers that a target's URL names; none for folders of unix sockets. It fails as New does for a
// URL that is wrong.
func Addresses(target mesh.Target) ([]string, error) {
	s, err := parseURL(withoutFiles(target.URL), "", defaultTimeout)
	if err != nil {
		return nil, err
	}
	conn := s.pool.ConnConfig.Config
	all := []*pgconn.FallbackConfig{{Host: conn.Host, Port: conn.Port}}
	var addresses []string
	for _, server := range append(all, conn.Fallbacks...) { // a server is there once with TLS and once without
		if at := address(server.Host, server.Port); !isLocal(server.Host) && !slices.Contains(addresses, at) {
			addresses = append(addresses, at)
		}
	}
	return addresses, nil
}

// isExposed looks at every way that pgx would connect: sslmode=prefer, libpq's default, has one
// without TLS.
func isExposed(c *pgconn.Config) bool {
	exposed := !isNear(c.Host) && (c.TLSConfig == nil || c.TLSConfig.InsecureSkipVerify)
	for _, f := range c.Fallbacks {
		exposed = exposed || !isNear(f.Host) && (f.TLSConfig == nil || f.TLSConfig.InsecureSkipVerify)
	}
	return exposed
}

// isLocal tells a folder of unix sockets from a name.
func isLocal(host string) bool { return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") }

func isNear(host string) bool {
	ip := net.ParseIP(host)
	return isLocal(host) || host == "localhost" || ip != nil && ip.IsLoopback()
}
