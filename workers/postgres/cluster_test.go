//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.remove()
	}
	os.Exit(code)
}

// cluster is a PostgreSQL server of the tests' own, on a unix socket in a temporary folder.
// The role "locked" needs a password.
type cluster struct {
	folder string
	bin    string
	owner  *syscall.SysProcAttr // whom the server runs as; nil is who runs the tests

	stdin  io.Closer // the server ends when it is closed
	exited chan error
	admin  *pgx.Conn // for one test at a time; nil while the server is down
}

// shared is started by the first test that needs it, for all.
var (
	shared      *cluster
	errShared   error
	startShared sync.Once
)

var errNotInstalled = errors.New("PostgreSQL's initdb and postgres are neither in the PATH nor below /usr/lib/postgresql")

func server(t testing.TB) *cluster {
	t.Helper()
	startShared.Do(func() { shared, errShared = newCluster() })
	if errors.Is(errShared, errNotInstalled) {
		t.Skip(errShared)
	}
	require.NoError(t, errShared)
	return shared
}

func newCluster() (*cluster, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "genmesh-pg")
	if err != nil {
		return nil, err
	}
	c := &cluster{folder: folder, bin: bin}
	if err := c.create(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return c, nil
}

func findBinaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errNotInstalled
	}
	return filepath.Dir(found[len(found)-1]), nil
}

func (c *cluster) create() error {
	if err := c.changeOwner(); err != nil {
		return err
	}
	initdb := c.command("initdb", "--pgdata", c.data(), "--username=admin", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, output)
	}
	access := "local all locked scram-sha-256\nlocal all all trust\n"
	if err := os.WriteFile(filepath.Join(c.data(), "pg_hba.conf"), []byte(access), 0o600); err != nil {
		return err
	}
	if err := c.start(); err != nil {
		return err
	}
	// Nobody pulls the plug in a test: kill leaves what the system has taken. The benchmark turns it on again.
	return errors.Join(c.run(`CREATE ROLE locked LOGIN PASSWORD 'the right one'`), c.setFsync(false))
}

// changeOwner gives the folder to an ordinary user if the tests run as root, whom postgres refuses.
func (c *cluster) changeOwner() error {
	if os.Getuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		if account, err = user.Lookup("nobody"); err != nil {
			return err
		}
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return err
	}
	c.owner = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return os.Chown(c.folder, int(uid), int(gid))
}

func (c *cluster) data() string { return filepath.Join(c.folder, "data") }

func (c *cluster) logFile() string { return filepath.Join(c.folder, "log") }

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = c.folder, c.owner
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	return cmd
}

// start runs the server below a shell that kills it when its stdin ends: so it does not outlive the tests,
// however they end.
func (c *cluster) start() error {
	const watch = `"$@" </dev/null & server=$!; read -r _; kill -QUIT $server; wait $server`
	cmd := exec.Command("/bin/sh", "-c", watch, "sh", filepath.Join(c.bin, "postgres"), "-D", c.data(),
		"-k", c.folder, "-c", "listen_addresses=", "-c", "max_connections=60", "-c", "shared_buffers=32MB",
		"-c", "recovery_init_sync_method=syncfs")
	cmd.Dir, cmd.SysProcAttr = c.folder, c.owner
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	output, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer output.Close() //nolint:errcheck // the server has its own
	cmd.Stdout, cmd.Stderr = output, output
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.stdin, c.exited = stdin, make(chan error, 1)
	go func() { c.exited <- cmd.Wait() }()
	return c.ready()
}

func (c *cluster) ready() error {
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := c.connect(context.Background())
		if err == nil {
			c.admin = conn
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-c.exited:
			said, err := os.ReadFile(c.logFile())
			return errors.Join(fmt.Errorf("postgres ended: %s", said), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// kill ends the server in the middle of whatever it does; the next start recovers from its log.
func (c *cluster) kill() {
	_ = c.admin.Close(context.Background())
	_ = c.stdin.Close()
	<-c.exited
}

func (c *cluster) remove() {
	c.kill()
	_ = os.RemoveAll(c.folder)
}

func (c *cluster) setFsync(on bool) error {
	return errors.Join(c.run(fmt.Sprintf(`ALTER SYSTEM SET fsync = %t`, on)), c.run(`SELECT pg_reload_conf()`))
}

// url is one for a role and a database, with parameters "&a=b".
func (c *cluster) url(role, database, params string) string {
	return "postgres://" + role + "@/" + database + "?host=" + c.folder + params
}

func (c *cluster) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, c.url("admin", "postgres", ""))
}

func (c *cluster) run(sql string) error {
	_, err := c.admin.Exec(context.Background(), sql, pgx.QueryExecModeSimpleProtocol)
	return err
}

// exec runs statements as the server's administrator.
func (c *cluster) exec(t testing.TB, sql string) {
	t.Helper()
	require.NoError(t, c.run(sql), sql)
}

// query reads rows into structs whose fields have the columns' order.
func query[T any](t testing.TB, sql string, args ...any) []T {
	t.Helper()
	rows, err := shared.admin.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	require.NoError(t, err)
	return found
}

func one[T any](t testing.TB, sql string, args ...any) T {
	t.Helper()
	type single struct{ Value T }
	found := query[single](t, sql, args...)
	require.Len(t, found, 1, sql)
	return found[0].Value
}

var schemas atomic.Int64

// newSchema is the name of a schema that nobody has used; its tables are not made yet.
func newSchema() string { return fmt.Sprintf("test_%d", schemas.Add(1)) }

// newTarget makes a target that writes to a schema.
func newTarget(t testing.TB, schema string) *Target {
	t.Helper()
	return newTargetAt(t, server(t).url("admin", "postgres", "&genmesh_schema="+schema))
}

func newTargetAt(t testing.TB, url string) *Target {
	t.Helper()
	target, err := New(mesh.Target{URL: url, Timeout: mesh.Duration(10 * time.Second)}, "crm", quiet())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, target.Close()) })
	return target
}

// in puts a schema's name into a statement.
func in(schema, sql string) string { return strings.ReplaceAll(sql, "{schema}", schema) }
