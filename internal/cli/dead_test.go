package cli

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// graveyard is a server with dead letters.
type graveyard struct {
	url     string
	js      jetstream.JetStream
	letters *mesh.DeadLetters
}

func newGraveyard(t *testing.T) graveyard {
	server := appliedServer(t)
	js := server.JetStream()
	letters, err := mesh.NewDeadLetters(js, topologyOf(t, editedStreams(t)))
	require.NoError(t, err)
	return graveyard{server.URL(), js, letters}
}

func (g graveyard) bury(t *testing.T, sequence uint64, edit func(*mesh.DeadLetter)) {
	t.Helper()
	d := mesh.DeadLetter{
		Event: mesh.Event{
			Source: "genesys", Interaction: fmt.Sprintf("call-%d", sequence), ID: "e-1", Type: "interaction", Media: "call",
			Fingerprint: fmt.Sprintf("f%d", sequence), Subject: fmt.Sprintf("genesys.07.interaction.call.call-%d", sequence),
			Received: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
			Body:     []byte(`{"data":{"id":"call"}}`), Stream: "INTERACTIONS", Sequence: sequence,
		},
		Subscriber: "crm", Reason: mesh.DeadRejected, Attempts: 1, Status: 422, Answer: "no such contact", Error: "the target answered 422",
	}
	if edit != nil {
		edit(&d)
	}
	require.NoError(t, g.letters.Bury(t.Context(), d))
}

func (g graveyard) run(t *testing.T, args ...string) outcome {
	t.Helper()
	return run(t, append([]string{"dead", args[0], "--server", g.url}, args[1:]...)...)
}

func (g graveyard) numbers(t *testing.T, args ...string) []uint64 {
	t.Helper()
	o := g.run(t, append([]string{"list", "-o", "json"}, args...)...)
	require.Equal(t, exitOK, o.code, o.err)
	numbers := []uint64{}
	for _, d := range parsed[[]deadJSON](t, o) {
		numbers = append(numbers, d.Number)
	}
	return numbers
}

func TestDeadListShowsATable(t *testing.T) {
	g := newGraveyard(t)
	assert.Equal(t, "no dead letters\n", g.run(t, "list").out)
	assert.JSONEq(t, "[]", g.run(t, "list", "-o", "json").out)

	g.bury(t, 1, nil)
	g.bury(t, 2, func(d *mesh.DeadLetter) {
		d.Subscriber, d.Reason, d.Status, d.Attempts = "analytics", mesh.DeadExhausted, 0, 6
		d.Error = "dial tcp: \x1b[2J refused " + strings.Repeat("x", 100)
	})
	lines := strings.Split(g.run(t, "list").out, "\n")
	assert.Equal(t, "NUMBER SUBSCRIBER REASON STATUS ATTEMPTS INTERACTION TYPE BURIED ERROR", strings.Join(strings.Fields(lines[0]), " "))
	assert.Regexp(t, `^1       crm         rejected   422     1         call-1       interaction  \d{4}-.{14}  the target answered 422$`, lines[1])
	assert.Regexp(t, `^2       analytics   exhausted  -       6         call-2       interaction  \d{4}-.{14}  dial tcp: \\x1b\[2J refused x+…$`, lines[2])
}

func TestDeadListFilters(t *testing.T) {
	g := newGraveyard(t)
	g.bury(t, 1, nil)
	g.bury(t, 2, func(d *mesh.DeadLetter) { d.Subscriber = "analytics" })
	g.bury(t, 3, func(d *mesh.DeadLetter) { d.Reason = mesh.DeadExhausted })
	third, err := g.letters.Get(t.Context(), 3)
	require.NoError(t, err)

	assert.Equal(t, []uint64{1, 2, 3}, g.numbers(t))
	assert.Equal(t, []uint64{1, 3}, g.numbers(t, "--subscriber", "crm"))
	assert.Equal(t, []uint64{3}, g.numbers(t, "--reason", "exhausted"))
	assert.Equal(t, []uint64{1, 2}, g.numbers(t, "--limit", "2"))
	assert.Equal(t, []uint64{1, 2, 3}, g.numbers(t, "--since", "2h"))
	assert.Empty(t, g.numbers(t, "--until", "2h"))
	assert.Equal(t, []uint64{3}, g.numbers(t, "--since", third.Buried.Format(time.RFC3339Nano)))
	assert.Contains(t, g.run(t, "list", "--reason", "bored").err, `--reason "bored"`)
	for _, reason := range mesh.DeadReasons() { // each that the list can show can be asked for
		assert.Empty(t, g.run(t, "list", "--reason", string(reason)).err, reason)
	}
	assert.Contains(t, g.run(t, "list", "--limit", "2").err, "--limit shows more")
}

// TestDeadLettersOfOneCauseAreFoundReplayedAndDiscarded by what dead groups calls it.
func TestDeadLettersOfOneCauseAreFoundReplayedAndDiscarded(t *testing.T) {
	g := newGraveyard(t)
	assert.Equal(t, "no dead letters\n", g.run(t, "groups").out)
	for n := range uint64(5) {
		g.bury(t, n+1, func(d *mesh.DeadLetter) {
			if d.Error = fmt.Sprintf("no contact %d", 100+n); n >= 3 {
				d.Status, d.Error = 500, "\x1b[2J the database is away"
			}
		})
	}
	lines := fields(g.run(t, "groups", "--subscriber", "crm").out)
	assert.Equal(t, "CAUSE COUNT SUBSCRIBER REASON STATUS FIRST LAST NEWEST ERROR", lines[0])
	assert.Regexp(t, `^[0-9a-f]{16} 3 crm rejected 422 \S+ \S+ \S+ \S+ 3 no contact 102: no such contact$`, lines[1])
	assert.Regexp(t, `^[0-9a-f]{16} 2 crm rejected 500 \S+ \S+ \S+ \S+ 5 \\x1b\[2J the database is away: no such contact$`, lines[2])
	assert.Equal(t, "no dead letters\n", g.run(t, "groups", "--subscriber", "analytics").out)

	groups := parsed[admin.DeadGroups](t, g.run(t, "groups", "-o", "json")).Groups
	require.Len(t, groups, 2)
	contact, database := groups[0].Cause, groups[1].Cause
	assert.Len(t, parsed[admin.DeadGroups](t, g.run(t, "groups", "-o", "json", "--cause", database)).Groups, 1)
	assert.Equal(t, []uint64{4, 5}, g.numbers(t, "--cause", database))
	assert.Contains(t, g.run(t, "replay", "--cause", contact).err, "replay 3 dead letters? Confirm with --yes")
	assert.Equal(t, "replayed 2 dead letters\n", g.run(t, "replay", "--cause", database, "--yes").out)
	assert.Equal(t, "discarded 1 dead letter\n", g.run(t, "discard", "--cause", contact, "--limit", "1", "--yes").out)
	assert.Equal(t, []uint64{2, 3}, g.numbers(t))
	assert.Contains(t, g.run(t, "replay", "2", "--cause", contact).err, "name dead letters by number, or choose them with")
}

func TestDeadShowPrintsAllAndNothingRaw(t *testing.T) {
	g := newGraveyard(t)
	g.bury(t, 9, func(d *mesh.DeadLetter) {
		d.Answer = "<b>\x1b]0;title\a</b>"
		d.Body = []byte("{\"a\":{\"b\":1},\"c\":\"\u202e\u009b\"}")
	})
	o := g.run(t, "show", "1")
	require.Equal(t, exitOK, o.code, o.err)
	for _, want := range []string{
		"subscriber", "event       9 of stream INTERACTIONS", `answer      <b>\x1b]0;title\a</b>`,
		"Genmesh-Interaction: call-9", "Genmesh-Received: 2026-01-02T03:04:05Z", "\n    \"b\": 1\n", `"c": "\u202e\u009b"`,
	} {
		assert.Contains(t, o.out, want)
	}
	for _, r := range o.out {
		assert.False(t, r != '\n' && (r < ' ' || r == 0x9b || r == 0x202e), "%U", r)
	}

	shown := parsed[deadJSON](t, g.run(t, "show", "1", "-o", "json"))
	assert.Equal(t, map[string]any{"a": map[string]any{"b": 1.0}, "c": "\u202e\u009b"}, shown.Body)
	assert.Equal(t, "<b>\x1b]0;title\a</b>", shown.Answer)

	o = g.run(t, "show", "77")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "no such dead letter: 77")
}

func TestDeadReplayHandsTheEventToItsSubscriberAgain(t *testing.T) {
	g := newGraveyard(t)
	for n := range uint64(30) {
		g.bury(t, n+1, nil)
	}
	o := g.run(t, "replay", "1", "2", "--yes")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, "replayed 2 dead letters\n", o.out)
	assert.Len(t, g.numbers(t), 28)

	stream, err := g.js.Stream(t.Context(), "DEAD_LETTERS")
	require.NoError(t, err)
	last, err := stream.GetLastMsgForSubject(t.Context(), "replay.crm.>")
	require.NoError(t, err)
	assert.Equal(t, "replay.crm.genesys.07.interaction.call.call-2", last.Subject)

	o = g.run(t, "replay", "--subscriber", "crm", "--limit", "20", "--yes", "-o", "json")
	require.Equal(t, exitOK, o.code, o.err)
	assert.JSONEq(t, `{"action":"replay","chosen":20,"done":20,"failed":[],"audited":true}`, o.out)
	assert.Len(t, g.numbers(t), 8)
}

func TestDeadDiscardDeletesOnlyWhatWasNamed(t *testing.T) {
	g := newGraveyard(t)
	g.bury(t, 1, nil)
	g.bury(t, 2, func(d *mesh.DeadLetter) { d.Subscriber = "analytics" })

	o := g.run(t, "discard", "1", "44", "--yes")
	assert.Equal(t, exitError, o.code)
	assert.Equal(t, "discarded 1 dead letter\n", o.out)
	assert.Contains(t, o.err, "44: no such dead letter")
	assert.Contains(t, o.err, "1 of 2 dead letters could not be discarded")
	assert.Equal(t, []uint64{2}, g.numbers(t))

	assert.Equal(t, "discarded 0 dead letters\n", g.run(t, "discard", "--subscriber", "crm", "--yes").out)
	assert.Equal(t, "discarded 1 dead letter\n", g.run(t, "discard", "--all", "--yes").out)
	assert.Empty(t, g.numbers(t))
}

func TestDeadLettersAreNotTouchedWithoutConsent(t *testing.T) {
	g := newGraveyard(t)
	g.bury(t, 1, nil)
	for _, verb := range []string{"replay", "discard"} {
		o := g.run(t, verb, "--all")
		assert.Equal(t, exitError, o.code)
		assert.Contains(t, o.err, verb+" 1 dead letter? Confirm with --yes")
	}
	assert.Equal(t, []uint64{1}, g.numbers(t))
}

func TestOnlyAYesIsConsent(t *testing.T) {
	for answer, consent := range map[string]bool{"y\n": true, " YES \r\n": true, "n\n": false, "\n": false, "": false, "yep\n": false} {
		var out bytes.Buffer
		err := ask(strings.NewReader(answer), &out, "discard 3 dead letters?")
		assert.Equal(t, consent, err == nil, "%q", answer)
		assert.Equal(t, "discard 3 dead letters? [y/N] ", out.String())
	}
}

func FuzzParseTime(f *testing.F) {
	for _, text := range []string{"", "2h", "7d", "1d12h", "2026-01-31T12:00:00Z", "-2h", "99999999d"} {
		f.Add(text)
	}
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseTime("since", text, now)
		if err != nil || text == "" {
			require.Zero(t, at)
			return
		}
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			require.False(t, at.After(now), "a time ago is not ahead")
		}
	})
}
