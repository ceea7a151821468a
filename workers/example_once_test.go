package workers_test

import (
	"context"
	"database/sql"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// A customer gets points for each call, once. The bucket remembers for 40 days what is done, longer
// than the streams keep events and dead letters.
func ExampleOnce() {
	serve := func(ctx context.Context, js jetstream.JetStream, award workers.Handler) (workers.Handler, error) {
		kv, err := workers.ClaimBucket(ctx, js, "claims", 40*24*time.Hour, 3)
		if err != nil {
			return nil, err
		}
		return workers.Once{KV: kv, Name: "loyalty-points", Handler: award}, nil
	}
	_ = serve // its result is the Handler of Options
}

// A database that keeps the key in the transaction of the effect closes the last window: a process
// that dies before "done" is stored leaves a key behind, and the second run finds it.
func ExampleOnceToken() {
	award := func(db *sql.DB) workers.HandlerFunc {
		return func(ctx context.Context, event mesh.Event) error {
			key, _ := workers.OnceToken(ctx)
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			inserted, err := tx.ExecContext(ctx, `INSERT INTO awarded (event) VALUES ($1) ON CONFLICT DO NOTHING`, key)
			if err != nil {
				return err
			}
			if n, err := inserted.RowsAffected(); err != nil || n == 0 {
				return err // nil: it was awarded before
			}
			if _, err := tx.ExecContext(ctx, `UPDATE customers SET points = points + 10 WHERE call = $1`, event.Interaction); err != nil {
				return err
			}
			return tx.Commit()
		}
	}
	_ = award
}

// A table shows the state of each call. A late event must not write over a newer state.
func ExampleLatest() {
	show := func(kv jetstream.KeyValue, update workers.Handler) workers.Handler {
		return workers.Latest{KV: kv, Name: "wallboard", Handler: update}
	}
	_ = show
}
