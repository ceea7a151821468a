package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

func TestTheServersErrorsDecide(t *testing.T) {
	target := &Target{host: "db:5432", timeout: time.Second}
	for code, fate := range map[string]workers.Fate{
		"22001": workers.Refuse, "22003": workers.Refuse, "22021": workers.Refuse, "22P02": workers.Refuse, "22P05": workers.Refuse,
		"23502": workers.Refuse, "23505": workers.Refuse, "23514": workers.Refuse, "54000": workers.Refuse, "54001": workers.Refuse,
		"28000": workers.Wait, "28P01": workers.Wait, "3D000": workers.Wait, "3F000": workers.Wait, "0P000": workers.Wait,
		"42501": workers.Wait, "42P01": workers.Wait, "42703": workers.Wait, "42P10": workers.Wait,
		"53000": workers.Wait, "53100": workers.Wait, "53200": workers.Wait, "53300": workers.Wait, "53400": workers.Wait,
		"57P03": workers.Wait, "57P04": workers.Wait, "25006": workers.Wait, "55000": workers.Wait,
		"58030": workers.Wait, "58P01": workers.Wait, "F0000": workers.Wait, "XX001": workers.Wait, "XX002": workers.Wait,
		"08000": workers.Retry, "08006": workers.Retry, "08P01": workers.Retry, "40001": workers.Retry, "40P01": workers.Retry,
		"55P03": workers.Retry, "57014": workers.Retry, "57P01": workers.Retry, "57P02": workers.Retry, "57P05": workers.Retry,
		"25P02": workers.Retry, "P0001": workers.Retry, "0A000": workers.Retry, "XX000": workers.Retry, "": workers.Retry, "2": workers.Retry,
	} {
		err := target.judge(t.Context(), fmt.Errorf("somewhere: %w", &pgconn.PgError{Code: code, Message: "the message", Detail: "the detail"}))
		assert.Equal(t, fate, targettest.FateOf(err), code)
		assert.ErrorContains(t, err, "db:5432 answered")
		var failure *workers.Failure
		require.ErrorAs(t, err, &failure)
		assert.Contains(t, string(failure.Answer), "the detail")
	}
	assert.NoError(t, target.judge(t.Context(), nil))
	assert.Equal(t, workers.Retry, targettest.FateOf(target.judge(t.Context(), errors.New("connection reset"))))
}

func TestTheServersAnswerIsBounded(t *testing.T) {
	target := &Target{host: "db:5432"}
	err := target.judge(t.Context(), &pgconn.PgError{Code: "22P02", Message: strings.Repeat("é", 1e6), Detail: strings.Repeat("x", 1e6)})
	assert.Less(t, len(err.Error()), 1000)
	var failure *workers.Failure
	require.ErrorAs(t, err, &failure)
	assert.Len(t, failure.Answer, workers.MaxAnswerBytes)
}

func TestNoURLIsEverShown(t *testing.T) {
	const user = "postgres://u:s3cr3t@"
	for _, url := range []string{
		"", "postgres:", "postgres://", user, user + "host", user + "host/", "http://u:s3cr3t@host/db", "postgres:u:s3cr3t@host/db",
		"host=host password=s3cr3t dbname=db", "postgres://host/db?password=s3cr3t", "postgres://u:s3cr3t%zz@host/db",
		user + "host:port/db", user + "host/db#s3cr3t", user + "host/db?%zz", user + "host/db?sslmode=s3cr3t",
		user + "host/db?sslrootcert=/nowhere/s3cr3t", user + "host/db?pool_max_conns=0", user + "host/db?pool_max_conns=s3cr3t",
		user + "host/db?genmesh_schema=", user + "host/db?genmesh_schema=s3cr3t-", user + "host/db?genmesh_schema=pg_x",
		user + `host/db?genmesh_schema=a";DROP`,
	} {
		target, err := New(mesh.Target{URL: url}, "crm", quiet())
		if err == nil {
			require.NoError(t, target.Close())
		}
		require.ErrorContains(t, err, "subscriber crm", url)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "s3cr3t", url)
		checked := Check(mesh.Target{URL: url})
		if strings.Contains(url, "sslrootcert") {
			assert.NoError(t, checked, "the file is of the machine that serves")
			continue
		}
		require.ErrorContains(t, checked, "url: ", url)
		assert.ErrorContains(t, err, strings.TrimPrefix(checked.Error(), "url: "), "both say the same")
	}
}

func TestWhatTheURLSays(t *testing.T) {
	for url, want := range map[string]struct {
		host    string
		conns   int32
		exposed bool
	}{
		"postgres://u:p@db.example.com/crm":                                    {"db.example.com:5432", 2, true},
		"postgresql://u@db.example.com:6432/crm?sslmode=require":               {"db.example.com:6432", 2, true},
		"postgres://u@db.example.com/crm?sslmode=verify-full&pool_max_conns=9": {"db.example.com:5432", 9, false},
		"postgres://u@127.0.0.1/crm?sslmode=disable":                           {"127.0.0.1:5432", 2, false},
		"postgres://u@[::1]/crm":                                               {"[::1]:5432", 2, false},
		"postgres://u@/crm?host=/run/postgresql":                               {"/run/postgresql", 2, false},
	} {
		assert.NoError(t, Check(mesh.Target{URL: url}), url)
		s, err := parseURL(url, "crm", 3*time.Second)
		require.NoError(t, err, url)
		assert.Equal(t, want.host, s.host, url)
		assert.Equal(t, want.conns, s.pool.MaxConns, url)
		assert.Equal(t, want.exposed, s.exposed, url)
		assert.Equal(t, defaultSchema, s.schema)
		assert.Equal(t, "genmesh/crm", s.pool.ConnConfig.RuntimeParams["application_name"])
		assert.LessOrEqual(t, s.pool.ConnConfig.ConnectTimeout, 3*time.Second)
	}
}

func TestNewWarnsOfAServerThatIsNotVerified(t *testing.T) {
	log, hook := test.NewNullLogger()
	target, err := New(mesh.Target{URL: "postgres://u:s3cr3t@db.example.com/crm"}, "crm", log)
	require.NoError(t, err)
	require.NoError(t, target.Close())
	require.NotNil(t, hook.LastEntry())
	said, err := hook.LastEntry().String()
	require.NoError(t, err)
	assert.Contains(t, said, "sslmode=verify-full")
	assert.NotContains(t, said, "s3cr3t")
}

// A server that is away is tried again; neither the password nor the rest of the URL is told.
func TestAServerThatIsAway(t *testing.T) {
	target, err := New(mesh.Target{URL: "postgres://user:s3cr3t@/db?host=" + t.TempDir()}, "crm", quiet())
	require.NoError(t, err)
	defer func() { require.NoError(t, target.Close()) }()
	err = target.Handle(context.Background(), targettest.Event(1))
	require.ErrorContains(t, err, "no answer from /")
	assert.Equal(t, workers.Retry, targettest.FateOf(err))
	assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "s3cr3t")
}

// A server that takes the connection and then says nothing costs an attempt no more than its time.
func TestAServerThatSaysNothing(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	target, err := New(mesh.Target{
		URL: "postgres://user:s3cr3t@" + listener.Addr().String() + "/db", Timeout: mesh.Duration(200 * time.Millisecond),
	}, "crm", quiet())
	require.NoError(t, err)
	started := time.Now()
	err = target.Handle(t.Context(), targettest.Event(1))
	require.ErrorContains(t, err, listener.Addr().String())
	assert.Equal(t, workers.Retry, targettest.FateOf(err))
	assert.NotContains(t, err.Error(), "s3cr3t")
	require.NoError(t, target.Close())
	assert.Less(t, time.Since(started), 10*time.Second)
}

func FuzzParseURL(f *testing.F) {
	f.Add("postgres://user:hunter2hunter2@host:5432/db?sslmode=verify-full&genmesh_schema=x")
	f.Add("postgresql://user:hunter2hunter2@[::1]/?dbname=x&host=/tmp")
	f.Add("postgres://a:hunter2hunter2@b/c?pool_max_conns=99999999999")
	f.Fuzz(func(t *testing.T, url string) {
		s, err := parseURL(url, "crm", time.Second)
		if err != nil {
			assert.NotContains(t, err.Error(), "hunter2hunter2")
			return
		}
		assert.NotEmpty(t, s.host)
		assert.Regexp(t, schemaName, s.schema)
		assert.Positive(t, s.pool.MaxConns)
	})
}

func quiet() *logrus.Logger {
	log, _ := test.NewNullLogger()
	return log
}
