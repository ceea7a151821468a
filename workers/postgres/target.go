// Package postgres is the PostgreSQL target: a row for each event and a row for each interaction
// that shows its newest event, both committed before the event is acknowledged.
//
// Two tables are made in the schema "genmesh" where they are missing, whose columns schema.go
// lists:
//
//   - events has a row per idempotency key. A redelivered or replayed event changes nothing.
//   - interactions has a row per source and interaction. The newest event by (stored, sequence)
//     wins whatever the order of arrival; version counts how often the row moved to a newer event,
//     events how many rows of the table events it stands for.
//
// The bytes that the sender signed are always in raw. body is the same as jsonb, and null where
// jsonb could not say the same: no JSON, names given twice, \u0000, numbers too large to write out.
//
// Text columns hold the envelope's values as they are, but for what PostgreSQL's text can't hold: a NUL and
// bytes that are not UTF-8 stand as \ooo in octal, and a backslash is doubled. decode(value, 'escape') gives
// the bytes back. Times have the microseconds of timestamptz; occurred and received are null where unknown.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// Scheme is the scheme of the target's URL, which pgx reads as libpq does:
// "postgres://user:${PG_PASSWORD}@host:5432/db?sslmode=verify-full". "postgresql" is the same.
//
// Besides the parameters of libpq there are genmesh_schema, the schema of the tables (default "genmesh"),
// and those of pgx, among them pool_max_conns (default 2), which bounds the connections of the
// process and so the transactions at once.
const Scheme = "postgres"

const (
	defaultTimeout = 10 * time.Second
	// maxGroupEvents and maxGroupBytes bound one transaction, which takes at least one event.
	maxGroupEvents = 500
	maxGroupBytes  = 4 << 20
)

// Target writes events to a database. Its methods are safe for concurrent use.
//
// Writes are committed in groups: what waits while transactions are under way goes into the next
// one together. There is no timer; a lone event is committed at once. What waits is bounded by
// the calls under way.
type Target struct {
	host    string // all that errors say of the URL
	schema  string
	timeout time.Duration
	log     logrus.FieldLogger
	pool    *pgxpool.Pool
	sql     string // writes a group
	most    int    // events in a group
	lanes   int    // transactions at once

	prepared atomic.Bool // the tables were there when it was last looked

	// working ends when Close has waited long enough.
	working context.Context
	stop    context.CancelFunc

	mu         sync.Mutex
	waiting    []*write
	committing int // goroutines that run commit
	closed     bool
	idle       sync.Cond // committing became 0
}

// write is one call's row and, once it is settled, its outcome.
type write struct {
	row     row
	settled chan error // has room for one
}

var errClosed = errors.New("the PostgreSQL target is closed")

// New makes the target of a subscriber. It does not connect: the first event does, and makes the
// tables where they are missing, for which the user needs CREATE on the schema, or on the
// database if there is no such schema. Where they exist, USAGE on the schema and SELECT, INSERT and
// UPDATE on the tables are enough.
//
// Errors never show the URL, for it may hold a password.
func New(target mesh.Target, subscriber string, log logrus.FieldLogger) (*Target, error) {
	timeout := cmp.Or(time.Duration(target.Timeout), defaultTimeout)
	s, err := parseURL(target.URL, subscriber, timeout)
	if err != nil {
		return nil, fmt.Errorf("target of subscriber %s: %w", subscriber, err)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), s.pool)
	if err != nil { // without minimum connections nothing is dialled, so only the settings can be wrong
		return nil, fmt.Errorf("target of subscriber %s: the url has parameters that don't go together", subscriber)
	}
	log = log.WithFields(logrus.Fields{"subscriber": subscriber, "host": s.host, "schema": s.schema})
	if s.exposed {
		log.Warn("the PostgreSQL server is not verified and events may travel in the clear; add sslmode=verify-full to the target's url")
	}
	t := &Target{
		host: s.host, schema: s.schema, timeout: timeout, log: log, pool: pool,
		sql: inSchema(writeSQL, s.schema), most: maxGroupEvents, lanes: int(s.pool.MaxConns),
	}
	t.working, t.stop = context.WithCancel(context.Background())
	t.idle.L = &t.mu
	return t, nil
}

// Check finds what New would refuse, but for what the certificates and other files that the URL names hold: it reads
// none. Its error is a *mesh.FieldError.
func Check(target mesh.Target) error {
	_, err := parseURL(withoutFiles(target.URL), "", defaultTimeout)
	return mesh.Within("url", err)
}

// Handle returns nil once the event is committed with synchronous_commit on, so that it survives
// a crash of the server. A call that was given up may have written its rows, which changes nothing
// when the event comes again. If it was given up while the server waited for synchronous standbys,
// the next call finds the rows and does not wait for the standbys again.
//
// What the database refuses for the event's own data or a constraint is permanent. What ails the
// database as a whole (no access, no table, no space) makes the subscriber wait. All else, such as no
// connection, is tried again.
func (t *Target) Handle(ctx context.Context, event mesh.Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write to %s: %w", t.host, err)
	}
	w := &write{row: newRow(event), settled: make(chan error, 1)}
	if err := t.enqueue(w); err != nil {
		return err
	}
	timeout := time.NewTimer(t.timeout)
	defer timeout.Stop()
	select {
	case err := <-w.settled:
		return err
	case <-ctx.Done():
		t.withdraw(w)
		return fmt.Errorf("write to %s: %w", t.host, ctx.Err())
	case <-timeout.C:
		t.withdraw(w)
		return &workers.Failure{Err: t.tooSlow()}
	}
}

func (t *Target) tooSlow() error {
	return fmt.Errorf("%s did not commit the event within %s: %w", t.host, t.timeout, context.DeadlineExceeded)
}

func (t *Target) enqueue(w *write) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	t.waiting = append(t.waiting, w)
	if t.committing < t.lanes {
		t.committing++
		go t.commit()
	}
	return nil
}

// withdraw takes back a write that no transaction has begun.
func (t *Target) withdraw(w *write) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = slices.DeleteFunc(t.waiting, func(other *write) bool { return other == w })
}

// commit writes group after group until nobody waits.
func (t *Target) commit() {
	for {
		group := t.take()
		if len(group) == 0 {
			return
		}
		t.write(group)
	}
}

// take is the next group: the writes that wait, as far as they fit into one transaction. An empty
// group ends the committing.
func (t *Target) take() []*write {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.committing--
		if t.committing == 0 {
			t.idle.Broadcast()
		}
		return nil
	}
	n, size := 0, 0
	for n < min(len(t.waiting), t.most) && (n == 0 || size+len(t.waiting[n].row.raw) <= maxGroupBytes) {
		size += len(t.waiting[n].row.raw)
		n++
	}
	group := t.waiting[:n:n]
	t.waiting = slices.Clone(t.waiting[n:])
	return group
}

// write settles a group, within the time of one attempt.
func (t *Target) write(group []*write) {
	ctx, cancel := context.WithTimeout(t.working, t.timeout)
	defer cancel()
	if err := t.prepare(ctx); err != nil {
		settle(group, t.judge(ctx, err))
		return
	}
	t.divide(ctx, group)
}

// divide writes a group. One that the server refuses for what is in it is halved and tried again, so that
// of hundreds only the bad event is refused, for a dozen transactions.
func (t *Target) divide(ctx context.Context, group []*write) {
	err := t.insert(ctx, group)
	if !isContent(err) {
		settle(group, t.judge(ctx, err))
		return
	}
	if len(group) > 1 {
		middle := len(group) / 2
		t.divide(ctx, group[:middle])
		t.divide(ctx, group[middle:])
		return
	}
	if group[0].row.json {
		// The server's jsonb is narrower than we know, by its version or settings. The raw bytes
		// hold the event all the same.
		group[0].row.json = false
		err = t.insert(ctx, group)
	}
	settle(group, t.judge(ctx, err))
}

func settle(group []*write, err error) {
	for _, w := range group {
		w.settled <- err
	}
}

// Close waits for the writes under way, at most for the time of one attempt, and closes the
// connections, for which pgx gives a server that does not answer 15 s.
func (t *Target) Close() error {
	patience := time.AfterFunc(t.timeout, t.stop)
	defer patience.Stop()
	t.mu.Lock()
	t.closed = true
	for t.committing > 0 {
		t.idle.Wait()
	}
	t.mu.Unlock()
	t.stop()
	t.pool.Close()
	return nil
}
