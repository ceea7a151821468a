package cli

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// on runs a command that has commands of its own.
func (a *archive) on(args ...string) outcome {
	a.t.Helper()
	return run(a.t, append(args, "--server", a.url, "--streams", a.file)...)
}

// fields are the words of each line.
func fields(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// awaitWaiting waits until the server has counted what waits for crm, analytics and compliance: it does so a moment after it has
// answered that an event is stored.
func (a *archive) awaitWaiting(events uint64) {
	a.t.Helper()
	require.Eventually(a.t, func() bool {
		states, err := mesh.SubscriberStates(a.t.Context(), a.js, topologyOf(a.t, editedStreams(a.t)))
		require.NoError(a.t, err)
		return !slices.ContainsFunc(states, func(s mesh.SubscriberState) bool { return s.Waiting < events })
	}, 10*time.Second, 5*time.Millisecond)
}

func TestSubscriberListShowsWhoGetsNothing(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	for i := range 3 {
		a.put(fmt.Sprint("call-", i), "connected")
	}
	a.awaitWaiting(3)
	state, err := mesh.OpenState(t.Context(), a.js)
	require.NoError(t, err)
	require.NoError(t, state.SetBreaker(t.Context(), "analytics", mesh.BreakerState{
		Open: true, Since: time.Now().Add(-2 * time.Hour), Until: time.Now().Add(time.Minute), Error: "dial tcp: \x1b[2Jrefused",
	}))
	require.NoError(t, state.SetWait(t.Context(), "compliance", mesh.Wait{
		Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Minute), Reason: "crm answered 401 Unauthorized: check auth",
	}))
	require.Equal(t, exitOK, a.on("subscriber", "pause", "crm", "--because", "release 4.2").code)

	o := a.on("subscriber", "list")
	require.Equal(t, exitOK, o.code, o.err)
	lines := fields(o.out)
	assert.Equal(t, "SUBSCRIBER STREAM WAITING IN HAND OLDEST SERVED REPLAYS STATE", lines[0])
	assert.Regexp(t, `^crm INTERACTIONS 3 0 \S+ no 0 paused: release 4.2$`, lines[1])
	assert.Regexp(t, `^analytics INTERACTIONS 3 0 \S+ no 0 breaker still open after 2h: dial tcp: \\x1b\[2Jrefused$`, lines[2])
	assert.Regexp(t, `^compliance INTERACTIONS 3 0 \S+ no 0 waits until \S+ \S+: crm answered 401 Unauthorized: check auth$`, lines[3])

	all := parsed[[]mesh.SubscriberState](t, a.on("subscriber", "list", "-o", "json"))
	require.Len(t, all, 3)
	assert.Equal(t, "release 4.2", all[0].Pause.Reason)
	assert.Contains(t, all[0].Pause.By, "@")

	o = a.on("subscriber", "show", "crm")
	require.Equal(t, exitOK, o.code, o.err)
	for _, want := range []string{"interaction, 1 partition", "event 1, stored ", "release 4.2", "replayed dead letters", "HELD BACK UNTIL"} {
		assert.Contains(t, o.out, want)
	}
	assert.Contains(t, a.on("subscriber", "show", "analytics").out, "next try")
	assert.Regexp(t, `(?m)^waits +since .{19}, next try .{19}; nothing is spent meanwhile\nbecause +crm answered 401 Unauthorized: check auth$`,
		a.on("subscriber", "show", "compliance").out)
	require.NoError(t, state.SetWait(t.Context(), "compliance", mesh.Wait{}))
	assert.Regexp(t, `^compliance INTERACTIONS 3 0 \S+ no 0 -$`, fields(a.on("subscriber", "list").out)[3])
	assert.EqualValues(t, 3, parsed[mesh.SubscriberState](t, a.on("subscriber", "show", "crm", "-o", "json")).Waiting)
}

func TestSubscribersThatWereNotApplied(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	require.NoError(t, a.js.DeleteConsumer(t.Context(), "INTERACTIONS", "crm"))
	assert.Contains(t, a.on("subscriber", "list").out, "not applied")
}

func TestPauseSaysInItsUsageThatAReasonIsNeeded(t *testing.T) {
	o := run(t, "subscriber", "pause", "--help")
	assert.Contains(t, o.out, "genmesh subscriber pause NAME --because TEXT [flags]")
	o = run(t, "subscriber", "pause", "crm")
	assert.Contains(t, o.err, "--because is missing")
}

func TestPauseTellsWhatWaitsAndChangesNoPlan(t *testing.T) {
	a := newArchive(t, editedStreams(t, `"max_in_flight": 32,`, `"max_in_flight": 32, "rate_limit": "1000/s",`))
	for i := range 30 {
		a.put(fmt.Sprint("call-", i), "connected")
	}
	a.awaitWaiting(30)

	o := a.on("subscriber", "pause", "crm", "--for", "15m", "--because", "CRM release")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Empty(t, o.err)
	assert.Regexp(t, `^crm is paused, since \S+ \S+ until \S+ \S+ by \S+@\S+: CRM release\n`, o.out)
	assert.Contains(t, o.out, "waiting now: 30, in hand: 0\n")
	assert.Regexp(t, `lately \S+ events per second came for it \(counted over \d+s\)\n`, o.out)
	assert.Regexp(t, `so about \d+ will wait when the pause ends\n`, o.out)
	assert.Regexp(t, `at its rate_limit of 1000/s the backlog takes about \S+, with what comes in meanwhile\n`, o.out)
	plan := a.run("plan")
	assert.Equal(t, exitOK, plan.code, plan.out)

	result := parsed[admin.PauseResult](t, a.on("subscriber", "pause", "crm", "--because", "for longer", "-o", "json"))
	assert.Equal(t, "for longer", result.Pause.Reason)
	assert.True(t, result.Pause.Until.IsZero())
	assert.EqualValues(t, 30, result.CatchUp.Backlog)
	assert.Positive(t, result.CatchUp.Arrivals)
	o = a.on("subscriber", "pause", "crm", "--because", "for longer")
	assert.Contains(t, o.out, "more will wait after each hour")
	assert.Contains(t, o.out, "mind that the stream INTERACTIONS deletes what is older than 168h")

	for range 2 {
		o = a.on("subscriber", "resume", "crm", "--because", "it is released")
		require.Equal(t, exitOK, o.code, o.err)
		assert.True(t, strings.HasPrefix(o.out, "crm is not paused\nwaiting now: 30"), o.out)
	}
	assert.Equal(t, exitOK, a.run("plan").code)

	var actions []string
	for _, record := range a.audits() {
		actions = append(actions, record.Action+" "+record.Subscriber+": "+record.Reason)
	}
	assert.Equal(t, []string{
		"pause crm: CRM release", "pause crm: for longer", "pause crm: for longer", "resume crm: it is released", "resume crm: it is released",
	}, actions)
}

func TestResumeWarnsOfAPauseInStreamsJSON(t *testing.T) {
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	a := newArchive(t, editedStreams(t, `"max_in_flight": 32,`, `"max_in_flight": 32, "pause_until": "`+until.Format(time.RFC3339)+`",`))
	assert.Contains(t, a.on("subscriber", "list").out, "the server holds back until "+momentText(until))
	o := a.on("subscriber", "resume", "crm")
	assert.Equal(t, exitOK, o.code)
	assert.Contains(t, o.err, "pause_until in streams.json is "+momentText(until))
	assert.NotContains(t, a.on("subscriber", "list").out, "holds back")
	assert.Equal(t, exitChanges, a.run("plan").code, "streams.json says otherwise")
}

func TestSubscriberRefusesWhatCannotBe(t *testing.T) {
	server := appliedServer(t)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"pause", "crm"}, "--because is missing"},
		{[]string{"pause", "crm", "--because", "x", "--for", "0s"}, `--for "0s"`},
		{[]string{"pause", "crm", "--because", "x", "--for", "400d"}, `--for "400d"`},
		{[]string{"pause", "crm", "--because", "x", "--for", "soon"}, `--for "soon"`},
		{[]string{"pause", "crm", "--because", strings.Repeat("x", 2000)}, "--because has 2000 bytes"},
		{[]string{"pause", "crn", "--because", "x"}, `there is no subscriber "crn" in streams.json; there are crm, analytics, compliance`},
		{[]string{"show", "nobody"}, `there is no subscriber "nobody"`},
		{[]string{"resume"}, "NAME is missing"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			args := append([]string{"subscriber"}, tc.args...)
			o := run(t, append(args, "--server", server.URL())...)
			assert.Equal(t, exitError, o.code)
			assert.Contains(t, o.err, tc.want)
		})
	}
}

func TestCatchUpIsSaidByWhatItIsBasedOn(t *testing.T) {
	slow := mesh.Rate{Events: 10, Per: time.Second}
	for want, c := range map[string]admin.CatchUp{
		"it has no rate_limit: the backlog goes out as fast as the target takes it, up to 32 calls at once in a process\n": {Backlog: 5, MaxInFlight: 32},
		"its rate_limit of 10/s lets out less than comes in: it will not catch up\n":                                       {Backlog: 5, Never: true, RateLimit: slow},
		"": {},
	} {
		var out bytes.Buffer
		writeCatchUp(&out, c)
		assert.Equal(t, want, out.String())
	}
}

func TestDurationsAsPeopleSayThem(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0s": -time.Second, "20ms": 20 * time.Millisecond, "1m30s": 90 * time.Second, "2h": 2*time.Hour + time.Second, "3d": 73 * time.Hour,
	} {
		assert.Equal(t, want, roughly(d))
	}
}
