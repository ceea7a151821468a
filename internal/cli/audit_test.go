package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

func TestAuditTellsWhoDidWhatAndWhy(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	a.life("call-42")
	require.Equal(t, exitOK, a.on("subscriber", "pause", "crm", "--for", "15m", "--because", "release \x1b[2J4.2").code)
	require.Equal(t, exitOK, a.on("dead", "replay", "1", "--yes", "--because", "the contact is there now").code)
	require.Equal(t, exitOK, a.run("erase", "call-42", "--because", "ticket 7", "--yes").code)

	o := a.on("audit")
	require.Equal(t, exitOK, o.code, o.err)
	assert.NotContains(t, o.out, "call-42")
	lines := fields(o.out)
	assert.Equal(t, "NUMBER AT WHO ACTION RESULT DONE ABOUT REASON", lines[0])
	const at, who = `\S+ \S+ `, `\S+@\S+ `
	for i, want := range []string{
		`^6 ` + at + who + `erase done 4 of 4 interaction with the hash \S+ ticket 7$`,
		`^5 ` + at + who + `erase intended 0 of 4 interaction with the hash \S+ ticket 7$`,
		`^4 ` + at + who + `dead-replay done 1 of 1 by number, 1 the contact is there now$`,
		`^3 ` + at + who + `dead-replay intended 0 of 1 by number, 1 the contact is there now$`,
		`^2 ` + at + who + `pause done - crm, for 15m release \\x1b\[2J4.2$`,
		`^1 ` + at + who + `apply done \d+ of \d+ create stream .* -$`,
	} {
		assert.Regexp(t, want, lines[i+1])
	}

	numbers := func(args ...string) []uint64 {
		o := a.on(append([]string{"audit", "-o", "json"}, args...)...)
		require.Equal(t, exitOK, o.code, o.err)
		numbers := []uint64{}
		for _, record := range parsed[[]admin.AuditRecord](t, o) {
			numbers = append(numbers, record.Number)
		}
		return numbers
	}
	assert.Equal(t, []uint64{6, 5, 4, 3, 2, 1}, numbers())
	assert.Equal(t, []uint64{6, 5}, numbers("--action", "erase"))
	assert.Equal(t, []uint64{2}, numbers("--subscriber", "crm"))
	assert.Equal(t, []uint64{6}, numbers("--limit", "1", "--by", parsed[[]admin.AuditRecord](t, a.on("audit", "-o", "json"))[0].Who.OSUser))
	assert.Empty(t, numbers("--by", "nobody"))
	assert.Empty(t, numbers("--until", "1h"))
	assert.Len(t, numbers("--since", "1h"), 6)
	assert.Contains(t, a.on("audit", "--limit", "2").err, "these are the latest 2; --limit shows more")
	assert.Equal(t, "no records\n", a.on("audit", "--action", "log-level").out)
}

func TestAuditSaysWhereNoneIsKept(t *testing.T) {
	a := newArchive(t, strings.Replace(editedStreams(t), `"audit.>"`, `"elsewhere.>"`, 1))
	o := a.on("audit")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, `nothing is audited: no stream takes "audit.>"`)

	require.NoError(t, a.letters.Bury(t.Context(), mesh.DeadLetter{Event: a.put("1", "connected"), Subscriber: "crm", Reason: mesh.DeadRejected}))
	o = a.on("dead", "discard", "--all", "--yes")
	assert.Equal(t, exitOK, o.code)
	assert.Equal(t, "warning: this is not audited: streams.json has no stream that takes \"audit.>\"\n", o.err)
}

func TestAuditCountsWhatWasDoneOfWhatWasChosen(t *testing.T) {
	for want, record := range map[string]mesh.Audit{
		"-":       {Result: mesh.AuditDone},
		"0 of 12": {Result: mesh.AuditDone, Count: 12},
		"0 of 7":  {Result: mesh.AuditIntended, Count: 7},
		"3 of 4":  {Result: mesh.AuditIncomplete, Count: 4, Done: 3, Failed: 1},
	} {
		assert.Equal(t, want, countText(record))
	}
}

// TestAuditSaysWhatItNeedsStreamsFor where there is none, and how to do without.
func TestAuditSaysWhatItNeedsStreamsFor(t *testing.T) {
	nowhere := invocation{env: map[string]string{"GENMESH_STREAMS": "/no/streams.json"}}
	o := nowhere.run(t, "audit")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "there is no /no/streams.json; name the file with --streams: it says which streams the mesh keeps its events, dead letters and audit in")
	assert.Contains(t, o.err, "with --console-url, none is needed here")
	assert.NotContains(t, nowhere.run(t, "validate").err, "--console-url", "which looks at the file alone")
}
