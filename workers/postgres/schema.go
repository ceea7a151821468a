package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The tables. Keys are compared byte by byte (COLLATE "C"): faster, and no new version of the
// system's collations can break their indexes.
const tablesSQL = `
CREATE TABLE IF NOT EXISTS {schema}.events (
	idempotency_key text COLLATE "C" PRIMARY KEY,
	stream          text NOT NULL,
	sequence        bigint NOT NULL,
	stored          timestamptz NOT NULL,
	source          text COLLATE "C" NOT NULL,
	organization    text NOT NULL,
	interaction     text COLLATE "C" NOT NULL,
	event_id        text NOT NULL,
	type            text NOT NULL,
	media           text NOT NULL,
	occurred        timestamptz,
	received        timestamptz,
	subject         text NOT NULL,
	fingerprint     text NOT NULL,
	body            jsonb,
	raw             bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS events_interaction ON {schema}.events (source, interaction, stored);
CREATE TABLE IF NOT EXISTS {schema}.interactions (
	source          text COLLATE "C" NOT NULL,
	interaction     text COLLATE "C" NOT NULL,
	events          bigint NOT NULL,
	version         bigint NOT NULL,
	first_stored    timestamptz NOT NULL,
	stored          timestamptz NOT NULL,
	sequence        bigint NOT NULL,
	idempotency_key text NOT NULL,
	type            text NOT NULL,
	media           text NOT NULL,
	body            jsonb,
	PRIMARY KEY (source, interaction)
);`

// inSchema puts the name of the schema into a statement; parseURL has checked it.
func inSchema(sql, schema string) string {
	return strings.ReplaceAll(sql, "{schema}", pgx.Identifier{schema}.Sanitize())
}

// errEncoding makes the subscriber wait: else every event with a character that the database
// can't write would be refused.
var errEncoding = errors.New("the database's encoding is not UTF8: make one with ENCODING 'UTF8'")

// prepare makes the tables where they are missing, once. Several processes may do so at the same
// time.
func (t *Target) prepare(ctx context.Context) error {
	if t.prepared.Load() {
		return nil
	}
	conn, err := t.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if encoding := conn.Conn().PgConn().ParameterStatus("server_encoding"); encoding != "UTF8" {
		return errEncoding
	}
	complete, err := t.hasTables(ctx, conn)
	if err != nil {
		return err
	}
	if !complete {
		if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return t.makeTables(ctx, tx) }); err != nil {
			return err
		}
	}
	t.prepared.Store(true)
	return nil
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// hasTables looks before anything is made, because CREATE … IF NOT EXISTS asks for the privilege to create
// even where nothing is to be created.
func (t *Target) hasTables(ctx context.Context, db querier) (bool, error) {
	const sql = `SELECT count(*) = 2 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname IN ('events', 'interactions')`
	var found bool
	err := db.QueryRow(ctx, sql, t.schema).Scan(&found)
	return found, err
}

func (t *Target) makeTables(ctx context.Context, tx pgx.Tx) error {
	// The lock is the transaction's, so that it works behind a pooler of connections too.
	const lock = `SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('genmesh tables in ' || $1::text, 0))`
	if _, err := tx.Exec(ctx, lock, t.schema); err != nil {
		return err
	}
	var exists bool
	const namespace = `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)`
	if err := tx.QueryRow(ctx, namespace, t.schema).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if _, err := tx.Exec(ctx, inSchema(`CREATE SCHEMA IF NOT EXISTS {schema}`, t.schema)); err != nil {
			return fmt.Errorf("make the schema %s: %w", t.schema, err)
		}
	}
	complete, err := t.hasTables(ctx, tx)
	if err != nil || complete { // somebody else was faster
		return err
	}
	if _, err := tx.Exec(ctx, inSchema(tablesSQL, t.schema), pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("make the tables in %s: %w", t.schema, err)
	}
	t.log.Info("made the tables events and interactions")
	return nil
}
