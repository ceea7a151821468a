//go:build unix

package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

func TestConformance(t *testing.T) {
	server(t) // outlives the goroutines that the suite looks at
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		schema := newSchema()
		return targettest.Fixture{
			Target:    newTarget(t, schema),
			Arrived:   func(t testing.TB) []targettest.Arrival { return arrivals(t, schema) },
			Collapses: true,
		}
	})
}

// arrivals reads the events as the package's documentation tells a reader to.
func arrivals(t testing.TB, schema string) []targettest.Arrival {
	t.Helper()
	type arrival struct {
		Source, Type, Interaction []byte
		Sequence                  int64
		Key                       string
		Body                      []byte
	}
	var found []targettest.Arrival
	for _, a := range query[arrival](t, in(schema, `SELECT decode(source, 'escape'), decode(type, 'escape'), decode(interaction, 'escape'),
			sequence, idempotency_key, raw FROM {schema}.events`)) {
		found = append(found, targettest.Arrival{
			Source: string(a.Source), Type: string(a.Type), Interaction: string(a.Interaction),
			Sequence: uint64(a.Sequence), Key: a.Key, Body: a.Body,
		})
	}
	return found
}

// later is the event that follows n seconds after the suite's ordinary one.
func later(n int, interaction, eventType, body string) mesh.Event {
	e := targettest.Event(uint64(n))
	e.Interaction, e.Type, e.Body = interaction, eventType, []byte(body)
	e.Fingerprint = fmt.Sprintf("%s-%d", interaction, n)
	e.Stored = e.Stored.Add(time.Duration(n) * time.Second)
	return e
}

func TestTheTablesTellTheStoryOfACall(t *testing.T) {
	schema := newSchema()
	target := newTarget(t, schema)
	story := []mesh.Event{
		later(1, "call-1", "connected", `{"agent":null}`),
		later(2, "call-1", "answered", `{"agent":{"name":"Zoë"}}`),
		later(3, "call-1", "disconnected", `{"agent":{"name":"Zoë"},"seconds":61.50}`),
	}
	for _, event := range story {
		require.NoError(t, target.Handle(t.Context(), event))
	}

	type latest struct {
		Type, Media, Agent    string
		Seconds               float64
		Events, Version       int64
		Sequence              int64
		FirstStored, Stored   time.Time
		IdempotencyKey, Whole string
	}
	got := one[json.RawMessage](t, in(schema, `SELECT to_jsonb(i) FROM {schema}.interactions i`))
	assert.Contains(t, string(got), `"first_stored"`)
	found := query[latest](t, in(schema, `SELECT i.type, i.media, i.body #>> '{agent,name}', (i.body->>'seconds')::float8, events, version,
		i.sequence, first_stored, i.stored, i.idempotency_key, convert_from(e.raw, 'UTF8')
		FROM {schema}.interactions i JOIN {schema}.events e USING (idempotency_key) WHERE i.source = 'genesys' AND i.interaction = 'call-1'`))
	require.Len(t, found, 1)
	last := story[2]
	assert.Equal(t, latest{
		Type: "disconnected", Media: "call", Agent: "Zoë", Seconds: 61.5, Events: 3, Version: 3, Sequence: 3,
		FirstStored: found[0].FirstStored, Stored: found[0].Stored, IdempotencyKey: last.IdempotencyKey(), Whole: string(last.Body),
	}, found[0])
	assert.True(t, found[0].FirstStored.Equal(story[0].Stored) && found[0].Stored.Equal(last.Stored))

	type event struct {
		Stream, Organization, EventID, Subject, Fingerprint string
		Occurred, Received                                  time.Time
	}
	e := query[event](t, in(schema, `SELECT stream, organization, event_id, subject, fingerprint, occurred, received
		FROM {schema}.events WHERE idempotency_key = $1`), last.IdempotencyKey())[0]
	assert.True(t, e.Occurred.Equal(last.Occurred) && e.Received.Equal(last.Received))
	assert.Equal(t, []string{last.Stream, last.Organization, last.ID, last.Subject, last.Fingerprint},
		[]string{e.Stream, e.Organization, e.EventID, e.Subject, e.Fingerprint})
}

func TestWhatIsUnknownIsNull(t *testing.T) {
	schema := newSchema()
	event := targettest.Event(1)
	event.Occurred, event.Received = time.Time{}, time.Time{}
	require.NoError(t, newTarget(t, schema).Handle(t.Context(), event))
	assert.True(t, one[bool](t, in(schema, `SELECT occurred IS NULL AND received IS NULL FROM {schema}.events`)))
}

func TestARedeliveredEventChangesNothing(t *testing.T) {
	schema := newSchema()
	target := newTarget(t, schema)
	first, second := later(1, "call-1", "connected", `{}`), later(2, "call-1", "answered", `{}`)
	require.NoError(t, target.Handle(t.Context(), first))
	require.NoError(t, target.Handle(t.Context(), second))
	dump := in(schema, `SELECT jsonb_build_array((SELECT jsonb_agg(to_jsonb(i)) FROM {schema}.interactions i),
		(SELECT jsonb_agg(to_jsonb(e) ORDER BY sequence) FROM {schema}.events e))::text`)
	before := one[string](t, dump)

	replayed := first
	replayed.Sequence, replayed.Stored, replayed.Attempt = 99, first.Stored.Add(time.Hour), 3
	for _, again := range []mesh.Event{first, second, replayed} {
		require.NoError(t, target.Handle(t.Context(), again))
	}
	assert.Equal(t, before, one[string](t, dump))
}

// shown is an interaction as the table shows it.
type shown struct {
	Interaction     string
	Events, Version int64
	First, Stored   int64 // seconds
	Sequence        int64
	Body            string
}

func TestTheNewestEventWinsWhateverTheOrderOfArrival(t *testing.T) {
	schema := newSchema()
	target := newTarget(t, schema)
	require.NoError(t, target.prepare(t.Context()))
	show := in(schema, `SELECT interaction, events, version, extract(epoch FROM first_stored)::bigint, extract(epoch FROM stored)::bigint,
		sequence, body->>'n' FROM {schema}.interactions WHERE source = $1`)
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		source := fmt.Sprintf("source-%d", round)
		arriving := rapid.SliceOfN(rapid.Custom(someEvent), 1, 20).Draw(rt, "events") // some of them twice
		wanted, seen := map[string]*shown{}, map[string]bool{}
		for len(arriving) > 0 {
			n := rapid.IntRange(1, len(arriving)).Draw(rt, "group")
			for i := range arriving[:n] {
				arriving[i].Source = source
			}
			requireSettled(t, target, arriving[:n])
			expect(wanted, seen, arriving[:n])
			arriving = arriving[n:]
		}
		got := query[shown](t, show, source)
		require.Len(rt, got, len(wanted))
		for _, s := range got {
			require.Equal(rt, *wanted[s.Interaction], s)
		}
	})
}

// someEvent may have the time of another event, but not its sequence.
func someEvent(rt *rapid.T) mesh.Event {
	n := rapid.IntRange(1, 12).Draw(rt, "n")
	e := later(n/3, rapid.SampledFrom([]string{"a", "b", `c\`}).Draw(rt, "interaction"), "interaction", fmt.Sprintf(`{"n":%d}`, n))
	e.Sequence, e.Fingerprint = uint64(n), fmt.Sprint(n)
	return e
}

// expect is what the table must show, written down as the documentation says it.
func expect(wanted map[string]*shown, seen map[string]bool, group []mesh.Event) {
	moved := map[string]bool{}
	for _, e := range group {
		if seen[e.IdempotencyKey()] {
			continue
		}
		seen[e.IdempotencyKey()] = true
		name, at := text(e.Interaction), e.Stored.Unix()
		s := wanted[name]
		if s == nil {
			s = &shown{Interaction: name, First: at, Stored: -1}
			wanted[name] = s
		}
		s.Events++
		s.First = min(s.First, at)
		if s.Stored > at || s.Stored == at && s.Sequence > int64(e.Sequence) {
			continue
		}
		s.Stored, s.Sequence, s.Body = at, int64(e.Sequence), fmt.Sprint(e.Sequence)
		if !moved[name] {
			moved[name] = true
			s.Version++
		}
	}
}

// requireSettled writes events as one group.
func requireSettled(t testing.TB, target *Target, events []mesh.Event) {
	t.Helper()
	group := groupOf(events)
	target.write(group)
	for _, w := range group {
		require.NoError(t, <-w.settled)
	}
}

func groupOf(events []mesh.Event) []*write {
	var group []*write
	for _, e := range events {
		group = append(group, &write{row: newRow(e), settled: make(chan error, 1)})
	}
	return group
}

func TestEverythingSurvivesACrashOfTheServerInTheMiddle(t *testing.T) {
	const interactions, each, crashes = 60, 20, 2
	schema := newSchema()
	target := newTarget(t, schema)
	acknowledged := make(chan struct{}, interactions*each)
	var runner sync.WaitGroup
	for i := range interactions {
		runner.Go(func() {
			for n := 1; n <= each; n++ {
				handleUntilDone(t, target, later(n, fmt.Sprintf("call-%d", i), "interaction", fmt.Sprintf(`{"n":%d}`, n)))
				acknowledged <- struct{}{}
			}
		})
	}
	for range crashes {
		for range interactions * each / (crashes + 1) {
			<-acknowledged
		}
		shared.kill()
		require.NoError(t, shared.start())
	}
	runner.Wait()

	assert.EqualValues(t, interactions*each, one[int64](t, in(schema, `SELECT count(*) FROM {schema}.events`)))
	assert.EqualValues(t, interactions, one[int64](t, in(schema, `SELECT count(*) FROM {schema}.interactions
		WHERE events = $1 AND version = $1 AND sequence = $1 AND (body->>'n')::int = $1`), each))
}

// handleUntilDone is what a runner does with a subscriber that has attempts enough.
func handleUntilDone(t *testing.T, target *Target, event mesh.Event) {
	for deadline := time.Now().Add(time.Minute); ; {
		err := target.Handle(t.Context(), event)
		if err == nil {
			return
		}
		if time.Now().After(deadline) || !assert.NotEqual(t, workers.Refuse, targettest.FateOf(err), "%v", err) {
			assert.NoError(t, err)
			return
		}
		time.Sleep(5 * time.Millisecond) // the backoff
	}
}

func TestOneBadEventHurtsNoOther(t *testing.T) {
	schema := newSchema()
	target := newTarget(t, schema)
	require.NoError(t, target.prepare(t.Context()))
	shared.exec(t, in(schema, `ALTER TABLE {schema}.events ADD CONSTRAINT nobody_knows CHECK (type <> 'unknown')`))
	events := make([]mesh.Event, 100)
	for i := range events {
		events[i] = later(i+1, fmt.Sprintf("call-%d", i), "interaction", `{}`)
	}
	events[37].Type = "unknown"
	group := groupOf(events)
	target.write(group)
	for i, w := range group {
		err := <-w.settled
		if i != 37 {
			assert.NoError(t, err)
			continue
		}
		assert.Equal(t, workers.Refuse, targettest.FateOf(err))
		var failure *workers.Failure
		require.ErrorAs(t, err, &failure)
		assert.ErrorContains(t, err, "(SQLSTATE 23514)")
		assert.Contains(t, string(failure.Answer), "nobody_knows")
	}
	assert.EqualValues(t, 99, one[int64](t, in(schema, `SELECT count(*) FROM {schema}.interactions`)))
}

func TestWhatFailsAtTheCommitIsNotAcknowledged(t *testing.T) {
	schema := newSchema()
	target := newTarget(t, schema)
	require.NoError(t, target.prepare(t.Context()))
	shared.exec(t, in(schema, `
		CREATE FUNCTION {schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$;
		CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {schema}.events DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION {schema}.refuse()`))
	err := target.Handle(t.Context(), targettest.Event(1))
	require.ErrorContains(t, err, "not today (SQLSTATE P0001)")
	assert.Equal(t, workers.Retry, targettest.FateOf(err))
	assert.Zero(t, one[int64](t, in(schema, `SELECT count(*) FROM {schema}.events`)))
}

// An acknowledged event must survive a crash, however the database is set up.
func TestEachCommitWaitsForTheDisk(t *testing.T) {
	schema := newSchema()
	shared := server(t)
	require.NoError(t, newTarget(t, schema).prepare(t.Context()))
	shared.exec(t, in(schema, `
		CREATE TABLE {schema}.seen (role text, synchronous_commit text, statement_timeout text, application_name text);
		CREATE FUNCTION {schema}.look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO {schema}.seen VALUES (current_user, current_setting('synchronous_commit'),
				current_setting('statement_timeout'), current_setting('application_name'));
			RETURN NULL; END $$;
		CREATE TRIGGER look AFTER INSERT ON {schema}.events FOR EACH ROW EXECUTE FUNCTION {schema}.look()`))
	for i, setting := range []string{"off", "local", "on", "remote_apply"} {
		role := schema + "_" + setting
		shared.exec(t, in(schema, `CREATE ROLE `+role+` LOGIN SUPERUSER; ALTER ROLE `+role+` SET synchronous_commit = `+setting))
		target := newTargetAt(t, shared.url(role, "postgres", "&genmesh_schema="+schema))
		require.NoError(t, target.Handle(t.Context(), targettest.Event(uint64(i+1))))
	}
	type seen struct{ Role, Commit, Timeout, Name string }
	assert.ElementsMatch(t, []seen{
		{schema + "_off", "on", "10s", "genmesh/crm"}, {schema + "_local", "on", "10s", "genmesh/crm"},
		{schema + "_on", "on", "10s", "genmesh/crm"}, {schema + "_remote_apply", "remote_apply", "10s", "genmesh/crm"},
	}, query[seen](t, in(schema, `SELECT * FROM {schema}.seen`)))
}

func TestSeveralProcessesMakeTheTablesAtOnce(t *testing.T) {
	for range 3 {
		schema := newSchema()
		var processes sync.WaitGroup
		for i := range 6 {
			target := newTarget(t, schema)
			processes.Go(func() { assert.NoError(t, target.Handle(t.Context(), targettest.Event(uint64(i+1)))) })
		}
		processes.Wait()
		assert.EqualValues(t, 6, one[int64](t, in(schema, `SELECT events FROM {schema}.interactions`)))
	}
}

// A redelivery can bring the same events to two processes at once, in another order, and so can
// other events of the same interactions. Neither process may hold what the other waits for: the server would
// end one of them with an error.
func TestProcessesThatWriteTheSameRowsDoNotBlockEachOther(t *testing.T) {
	const rounds, events = 10, 200
	schema := newSchema()
	one, other := newTarget(t, schema), newTarget(t, schema)
	wanted := 0
	for round := range rounds {
		forwards, backwards := make([]mesh.Event, events), make([]mesh.Event, events)
		for i := range events {
			e := later(round*events+i+1, fmt.Sprintf("call-%d", i), "interaction", `{}`)
			forwards[i] = e
			if round%2 == 1 {
				e.Fingerprint += "'"
			}
			backwards[events-1-i] = e
		}
		wanted += events * (1 + round%2)
		var processes sync.WaitGroup
		processes.Go(func() { requireAll(t, one, forwards) })
		processes.Go(func() { requireAll(t, other, backwards) })
		processes.Wait()
	}
	type sum struct{ Events int64 }
	assert.Equal(t, []sum{{int64(wanted)}}, query[sum](t, in(schema, `SELECT sum(events)::bigint FROM {schema}.interactions`)))
}

func requireAll(t *testing.T, target *Target, events []mesh.Event) {
	group := groupOf(events)
	target.write(group)
	for _, w := range group {
		assert.NoError(t, <-w.settled)
	}
}

func TestTablesThatSomebodyDroppedAreMadeAgain(t *testing.T) {
	schema := newSchema()
	target := newTarget(t, schema)
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	shared.exec(t, in(schema, `DROP SCHEMA {schema} CASCADE`))
	assert.Equal(t, workers.Wait, targettest.FateOf(target.Handle(t.Context(), targettest.Event(2))))
	require.NoError(t, target.Handle(t.Context(), targettest.Event(2)))
}

// What is wrong with the database as a whole makes the subscriber wait, and it goes on by itself
// once somebody has seen to it.
func TestTheSubscriberWaitsForTheAdministrator(t *testing.T) {
	shared := server(t)
	shared.exec(t, `CREATE ROLE guest LOGIN; CREATE ROLE lonely LOGIN CONNECTION LIMIT 0;
		CREATE ROLE reader LOGIN SUPERUSER; ALTER ROLE reader SET default_transaction_read_only = on`)
	shared.exec(t, `CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0`)
	for _, c := range []struct{ name, url, says, remedy string }{
		{"wrong password", shared.url("locked:s3cr3t", "postgres", ""), "28P01", `ALTER ROLE locked SUPERUSER PASSWORD 's3cr3t'`},
		{"no such database", shared.url("admin", "warehouse", ""), "3D000", `CREATE DATABASE warehouse`},
		{"no such role", shared.url("stranger", "postgres", ""), "28000", `CREATE ROLE stranger LOGIN SUPERUSER`},
		{"no privilege", shared.url("guest", "postgres", "&genmesh_schema=guests"), "42501", `CREATE SCHEMA guests AUTHORIZATION guest`},
		{"too many connections", shared.url("lonely", "postgres", ""), "53300", `ALTER ROLE lonely SUPERUSER`},
		{"read only", shared.url("reader", "postgres", "&genmesh_schema=unread"), "25006",
			`ALTER ROLE reader RESET default_transaction_read_only`},
		{"another encoding", shared.url("admin", "ascii", ""), "encoding is not UTF8",
			`DROP DATABASE ascii WITH (FORCE)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := newTargetAt(t, c.url)
			err := target.Handle(t.Context(), targettest.Event(1))
			require.ErrorContains(t, err, c.says)
			assert.Equal(t, workers.Wait, targettest.FateOf(err), "%v", err)
			assert.NotContains(t, err.Error(), "s3cr3t")
			assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "s3cr3t")
			shared.exec(t, c.remedy)
			if c.name == "another encoding" {
				shared.exec(t, `CREATE DATABASE ascii ENCODING 'UTF8' TEMPLATE template0`)
			}
			target.pool.Reset()
			require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
		})
	}
}

func TestAUserWhoMayOnlyWriteIsEnough(t *testing.T) {
	schema := newSchema()
	require.NoError(t, newTarget(t, schema).prepare(t.Context()))
	shared.exec(t, in(schema, `CREATE ROLE writer LOGIN; GRANT USAGE ON SCHEMA {schema} TO writer;
		GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA {schema} TO writer`))
	target := newTargetAt(t, shared.url("writer", "postgres", "&genmesh_schema="+schema))
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	require.NoError(t, target.Handle(t.Context(), targettest.Event(2)))
}

// blocked holds the table events, so that nobody can write to it until the test ends or frees it.
func blocked(t *testing.T, schema string) (free func()) {
	t.Helper()
	conn, err := server(t).connect(t.Context())
	require.NoError(t, err)
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), in(schema, `LOCK TABLE {schema}.events IN EXCLUSIVE MODE`))
	require.NoError(t, err)
	free = sync.OnceFunc(func() {
		assert.NoError(t, tx.Rollback(context.Background()))
		assert.NoError(t, conn.Close(context.Background()))
	})
	t.Cleanup(free)
	return free
}

func slowTarget(t *testing.T, schema string) *Target {
	t.Helper()
	prepared := newTarget(t, schema)
	require.NoError(t, prepared.prepare(t.Context()))
	target, err := New(mesh.Target{
		URL: shared.url("admin", "postgres", "&pool_max_conns=1&genmesh_schema="+schema), Timeout: mesh.Duration(300 * time.Millisecond),
	}, "crm", quiet())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, target.Close()) })
	return target
}

func TestAnAttemptTakesNoLongerThanItsTimeout(t *testing.T) {
	schema := newSchema()
	target := slowTarget(t, schema)
	free := blocked(t, schema)
	err := target.Handle(t.Context(), targettest.Event(1))
	require.ErrorContains(t, err, "300ms")
	assert.Equal(t, workers.Retry, targettest.FateOf(err))
	free()
	require.Eventually(t, func() bool { return target.Handle(t.Context(), targettest.Event(1)) == nil }, 10*time.Second, time.Millisecond)
	assert.EqualValues(t, 1, one[int64](t, in(schema, `SELECT events FROM {schema}.interactions`)))
}

func TestCloseWaitsForWhatIsUnderWayButNotForEver(t *testing.T) {
	schema := newSchema()
	target := slowTarget(t, schema)
	blocked(t, schema)
	handled := make(chan error, 5)
	for i := range cap(handled) {
		go func() { handled <- target.Handle(t.Context(), targettest.Event(uint64(i+1))) }()
	}
	require.Eventually(t, func() bool {
		target.mu.Lock()
		defer target.mu.Unlock()
		return target.committing == 1
	}, 20*time.Second, time.Millisecond)
	started := time.Now()
	require.NoError(t, target.Close())
	assert.Less(t, time.Since(started), 5*time.Second)
	for range cap(handled) {
		err := <-handled
		require.Error(t, err)
		assert.Equal(t, workers.Retry, targettest.FateOf(err))
	}
}

// A server may nest less deeply than its default; the event is no less whole for it.
func TestABodyThatTheServerCannotReadStaysRaw(t *testing.T) {
	schema := newSchema()
	shared := server(t)
	require.NoError(t, newTarget(t, schema).prepare(t.Context()))
	shared.exec(t, in(schema, `CREATE ROLE shallow LOGIN SUPERUSER; ALTER ROLE shallow SET max_stack_depth = '100kB'`))
	target := newTargetAt(t, shared.url("shallow", "postgres", "&genmesh_schema="+schema))
	nested := strings.Repeat("[", maxJSONDepth) + strings.Repeat("]", maxJSONDepth)
	require.NoError(t, target.Handle(t.Context(), later(1, "call-1", "interaction", nested)))
	assert.Equal(t, nested, one[string](t, in(schema, `SELECT convert_from(raw, 'UTF8') FROM {schema}.events WHERE body IS NULL`)))
}

func TestBodiesBecomeJSONBWhereItSaysTheSame(t *testing.T) {
	schema := newSchema()
	target := newTarget(t, schema)
	for name, c := range map[string]struct {
		body string
		json bool
	}{
		"object":            {` {"b": [1, 2.50, 1e3], "a": "é 😀 \\u0000"} `, true},
		"text":              {`"x"`, true},
		"null":              {`null`, true},
		"largest float64":   {`[1.7976931348623157e308,5e-324]`, true},
		"exact number":      {`123456789012345678901234567890.123456789`, true},
		"deepest":           {strings.Repeat("[", maxJSONDepth) + strings.Repeat("]", maxJSONDepth), true},
		"too deep":          {strings.Repeat("[", maxJSONDepth+1) + strings.Repeat("]", maxJSONDepth+1), false},
		"NUL":               {`{"a":"x\u0000y"}`, false},
		"NUL in a name":     {`{"\u0000":1}`, false},
		"half a surrogate":  {`"\ud800"`, false},
		"huge exponent":     {`1e131071`, false},
		"absurd exponent":   {`1e999999999999999999999`, false},
		"tiny":              {`1e-20000`, false},
		"many digits":       {strings.Repeat("7", 2000), false},
		"many exponents":    {`[` + strings.Repeat(`1e1000,`, 2000) + `0]`, false},
		"names given twice": {`{"a":1,"a":2}`, false},
		"not UTF-8":         {"\"\xff\"", false},
		"not JSON":          {`{"a":`, false},
		"two values":        {`{} {}`, false},
		"empty":             {``, false},
	} {
		t.Run(name, func(t *testing.T) {
			event := later(1, name, "interaction", c.body)
			require.NoError(t, target.Handle(t.Context(), event))
			type kept struct {
				Raw  []byte
				JSON bool
			}
			got := query[kept](t, in(schema, `SELECT raw, body IS NOT NULL FROM {schema}.events WHERE idempotency_key = $1`), event.IdempotencyKey())
			assert.Equal(t, []kept{{[]byte(c.body), c.json}}, got)
		})
	}
}

// What fitsJSONB lets through, the server must take: else a group is divided for nothing.
func FuzzFitsJSONB(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,2.5e3,"\u0041\\u0000\ud83d\ude00",null]}`, `1e1499`, `-0`, `1E-1400`, "\"\u2028\"", `"\u0000"`, `{"a":1,"a":2}`,
	} {
		f.Add([]byte(seed))
	}
	conn := server(f).admin
	f.Fuzz(func(t *testing.T, body []byte) {
		if !fitsJSONB(body) {
			return
		}
		var written string
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT (convert_from($1::bytea, 'UTF8')::jsonb)::text`, body).Scan(&written))
		require.True(t, json.Valid([]byte(written)))
	})
}

func TestTextComesBackWithDecode(t *testing.T) {
	conn := server(t).admin
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.SliceOf(rapid.SampledFrom([]byte("a\x00\\7\xff\xc3\xa9"))).Draw(rt, "value")
		var got []byte
		require.NoError(rt, conn.QueryRow(t.Context(), `SELECT decode($1::text, 'escape')`, text(string(want))).Scan(&got))
		require.Equal(rt, string(want), string(got))
	})
}

// The claim of the group commit: rows per second of 64 callers, each event by itself and in groups.
func BenchmarkHandle(b *testing.B) {
	const callers = 64
	require.NoError(b, server(b).setFsync(true))
	b.Cleanup(func() { require.NoError(b, shared.setFsync(false)) })
	for _, c := range []struct {
		name        string
		most, lanes int
	}{{"OneByOne", 1, 1}, {"OneByOneOn4Connections", 1, 4}, {"Groups", maxGroupEvents, 1}, {"GroupsOn2Connections", maxGroupEvents, 2},
		{"GroupsOn4Connections", maxGroupEvents, 4}} {
		b.Run(c.name, func(b *testing.B) {
			schema := newSchema()
			target := newTarget(b, schema)
			target.most, target.lanes = c.most, c.lanes
			require.NoError(b, target.prepare(b.Context()))
			body := `{"id":"1","data":{"text":"` + strings.Repeat("words ", 160) + `"}}`
			next := make(chan int, callers)
			var running sync.WaitGroup
			b.ResetTimer()
			for range callers {
				running.Go(func() {
					for n := range next {
						assert.NoError(b, target.Handle(b.Context(), later(n, fmt.Sprintf("call-%d", n/10), "interaction", body)))
					}
				})
			}
			for n := range b.N {
				next <- n
			}
			close(next)
			running.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
