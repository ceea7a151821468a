package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// settingsSQL is for one transaction, so that nothing is left behind on a connection that a pooler
// shares. An acknowledged event survives a crash only if the commit waits for the disk; a stricter
// setting of the database stays.
const settingsSQL = `SELECT
	pg_catalog.set_config('synchronous_commit', CASE pg_catalog.current_setting('synchronous_commit')
		WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true),
	pg_catalog.set_config('statement_timeout', $1, true)`

// writeSQL takes a group as one array for each column.
//
// Rows are locked in the order of their keys, all events before all interactions, so that two
// processes that write the same ones can't deadlock.
const writeSQL = `
WITH arrived AS (
	SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[],
		$9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::text[], $14::text[], $15::bytea[], $16::boolean[])
	AS a (idempotency_key, stream, sequence, stored, source, organization, interaction, event_id,
		type, media, occurred, received, subject, fingerprint, raw, is_json)
), fresh AS (
	INSERT INTO {schema}.events (idempotency_key, stream, sequence, stored, source, organization, interaction, event_id,
		type, media, occurred, received, subject, fingerprint, raw, body)
	SELECT idempotency_key, stream, sequence, stored, source, organization, interaction, event_id,
		type, media, occurred, received, subject, fingerprint, raw,
		CASE WHEN is_json THEN convert_from(raw, 'UTF8')::jsonb END
	FROM arrived ORDER BY idempotency_key, stored, sequence
	ON CONFLICT (idempotency_key) DO NOTHING
	RETURNING idempotency_key, source, interaction, stored, sequence, type, media, body
), newest AS (
	SELECT DISTINCT ON (source, interaction) *,
		count(*) OVER w AS events, min(stored) OVER w AS first_stored
	FROM fresh WINDOW w AS (PARTITION BY source, interaction)
	ORDER BY source, interaction, stored DESC, sequence DESC
)
INSERT INTO {schema}.interactions AS i
	(source, interaction, events, version, first_stored, stored, sequence, idempotency_key, type, media, body)
SELECT source, interaction, events, 1, first_stored, stored, sequence, idempotency_key, type, media, body
FROM newest ORDER BY source, interaction
ON CONFLICT (source, interaction) DO UPDATE SET
	events = i.events + excluded.events,
	first_stored = least(i.first_stored, excluded.first_stored),
	version = i.version + CASE WHEN (i.stored, i.sequence) < (excluded.stored, excluded.sequence) THEN 1 ELSE 0 END,
	(stored, sequence, idempotency_key, type, media, body) = (
		SELECT n.* FROM (VALUES
			(i.stored, i.sequence, i.idempotency_key, i.type, i.media, i.body),
			(excluded.stored, excluded.sequence, excluded.idempotency_key, excluded.type, excluded.media, excluded.body)
		) AS n (stored, sequence, idempotency_key, type, media, body)
		ORDER BY n.stored DESC, n.sequence DESC LIMIT 1)`

// insert writes a group in one transaction and one round trip: what stands in a pipeline between two
// syncs is one transaction of its own accord, and it is committed when Close returns nil.
func (t *Target) insert(ctx context.Context, group []*write) error {
	batch := &pgx.Batch{}
	batch.Queue(settingsSQL, strconv.FormatInt(t.timeout.Milliseconds(), 10))
	batch.Queue(t.sql, columns(group)...)
	return t.pool.SendBatch(ctx, batch).Close()
}

// columns are the arguments of writeSQL.
func columns(group []*write) []any {
	return []any{
		column(group, func(r *row) string { return r.key }),
		column(group, func(r *row) string { return r.stream }),
		column(group, func(r *row) int64 { return r.sequence }),
		column(group, func(r *row) time.Time { return r.stored }),
		column(group, func(r *row) string { return r.source }),
		column(group, func(r *row) string { return r.organization }),
		column(group, func(r *row) string { return r.interaction }),
		column(group, func(r *row) string { return r.eventID }),
		column(group, func(r *row) string { return r.eventType }),
		column(group, func(r *row) string { return r.media }),
		column(group, func(r *row) *time.Time { return r.occurred }),
		column(group, func(r *row) *time.Time { return r.received }),
		column(group, func(r *row) string { return r.subject }),
		column(group, func(r *row) string { return r.fingerprint }),
		column(group, func(r *row) []byte { return r.raw }),
		column(group, func(r *row) bool { return r.json }),
	}
}

func column[T any](group []*write, of func(*row) T) []T {
	values := make([]T, len(group))
	for i, w := range group {
		values[i] = of(&w.row)
	}
	return values
}
