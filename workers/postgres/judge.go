package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/genmesh/genmesh/workers"
)

// fates are what the server's errors mean, by SQLSTATE or its class, the first two characters.
// What is not here is tried again: lost connections (08), rollbacks (40), shutdowns, timeouts.
// The codes are those of appendix A of PostgreSQL's manual.
var fates = map[string]workers.Fate{
	"22": workers.Refuse, // data exception
	"23": workers.Refuse, // integrity constraint violation
	"54": workers.Refuse, // program limit exceeded: a value too large for an index, nesting too deep

	"0P":    workers.Wait, // no such role
	"25006": workers.Wait, // read-only: a standby
	"28":    workers.Wait, // authentication
	"3D":    workers.Wait, // no such database
	"3F":    workers.Wait, // no such schema
	"42":    workers.Wait, // no privilege, no table, other columns
	"53":    workers.Wait, // too many connections, disk full, out of memory
	"55000": workers.Wait, // the database takes no connections
	"57P03": workers.Wait, // starting up or shutting down
	"57P04": workers.Wait, // the database was dropped
	"58":    workers.Wait, // the server's disk fails
	"F0":    workers.Wait, // the server's configuration is wrong
	"XX001": workers.Wait, // data corrupted
	"XX002": workers.Wait, // index corrupted
}

func fateOf(code string) workers.Fate {
	if fate, ok := fates[code]; ok {
		return fate
	}
	if fate, ok := fates[code[:min(2, len(code))]]; ok {
		return fate
	}
	return workers.Retry
}

// isContent reports whether the server's answer can be the fault of one event in a group: what it
// refuses, and what a trigger raises (class P0).
func isContent(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (fateOf(pg.Code) == workers.Refuse || strings.HasPrefix(pg.Code, "P0"))
}

// judge turns what went wrong into the error that decides what becomes of the event. nil is nil.
func (t *Target) judge(ctx context.Context, err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &pg):
		return t.answered(pg)
	case errors.Is(err, errEncoding):
		return workers.RetryAfter(0, &workers.Failure{Err: fmt.Errorf("%s: %w", t.host, err)})
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &workers.Failure{Err: t.tooSlow()}
	}
	return &workers.Failure{Err: fmt.Errorf("no answer from %s: %.300s", t.host, cause(err))}
}

func (t *Target) answered(pg *pgconn.PgError) error {
	if pg.Code == "42P01" || pg.Code == "3F000" { // somebody dropped them: they are made again
		t.prepared.Store(false)
	}
	failure := &workers.Failure{
		Answer: answer(pg),
		Err:    fmt.Errorf("%s answered %s: %.300s (SQLSTATE %s)%s", t.host, pg.SeverityUnlocalized, pg.Message, pg.Code, remedy(pg.Code)),
	}
	switch fateOf(pg.Code) {
	case workers.Refuse:
		return workers.Permanent(failure)
	case workers.Wait:
		return workers.RetryAfter(0, failure)
	}
	return failure
}

// answer is the error in the server's own words.
func answer(pg *pgconn.PgError) []byte {
	said := pg.Error()
	if pg.Detail != "" {
		said += "\nDETAIL: " + pg.Detail
	}
	if pg.Where != "" {
		said += "\nCONTEXT: " + pg.Where
	}
	return []byte(said[:min(len(said), workers.MaxAnswerBytes)])
}

// remedy says what to do about the errors that last until somebody does something.
func remedy(code string) string {
	switch {
	case strings.HasPrefix(code, "28"):
		return ": see to the user, the password and pg_hba.conf"
	case code == "3D000":
		return ": make the database"
	case code == "42501":
		return ": grant the user CREATE on the schema to make the tables, or USAGE on it and SELECT, INSERT and UPDATE on its tables"
	case strings.HasPrefix(code, "42"):
		return ": the tables are not as genmesh made them"
	case code == "53300":
		return ": raise max_connections, or lower pool_max_conns in the target's url"
	case code == "25006":
		return ": connect to the primary, such as with target_session_attrs=read-write"
	}
	return ""
}

// cause is an error without the settings that pgx puts in front of it.
func cause(err error) string {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		err = connect.Unwrap()
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}
