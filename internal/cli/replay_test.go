package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

func TestReplayTellsWhatItComesToBeforeItBegins(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	for i := range 20 {
		a.put(fmt.Sprint("call-", i%4), fmt.Sprint(i))
	}

	o := a.on("replay", "crm", "--interaction", "call-1", "--rate", "30/m", "--dry-run")
	require.Equal(t, exitOK, o.code, o.err)
	lines := fields(o.out)
	assert.Equal(t, "events at most 5", lines[1])
	assert.Equal(t, "sequences 1 to 20 of stream INTERACTIONS", lines[2])
	assert.Regexp(t, `^stored from \S+ \S+ to \S+ \S+$`, lines[3])
	assert.Regexp(t, `(?m)^size +about \d[\d.]* (Ki)?B$`, o.out)
	assert.Contains(t, o.out, "10s at 30/m")
	assert.Contains(t, o.out, "5 calls of the target, up to 30 if it fails")

	plan := parsed[replayPlan](t, a.on("replay", "crm", "--since", "1h", "--dry-run", "-o", "json"))
	assert.True(t, plan.DryRun)
	assert.EqualValues(t, 20, plan.Events)
	assert.Equal(t, "50/s", plan.Rate.String())
	assert.Equal(t, 400*time.Millisecond, time.Duration(plan.Estimate.Takes))
	assert.Positive(t, plan.Estimate.Bytes)
	assert.Equal(t, "no replays\n", a.on("replay", "list").out, "it was all talk")

	o = a.on("replay", "crm", "--all")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "replay 20 events to crm? Confirm with --yes")
	assert.Contains(t, a.on("replay", "crm", "--type", "nothing", "--yes").err, "the stream holds no such event")
	assert.Empty(t, parsed[[]mesh.RunningReplay](t, a.on("replay", "list", "-o", "json")))
}

// TestReplayOfAMediaTypeIsTakenForAMistake: --type looks as if it meant what a call is.
func TestReplayOfAMediaTypeIsTakenForAMistake(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	assert.Contains(t, a.on("replay", "crm", "--type", "call").err, `the stream holds no such event; type "call" is the type of an event`+"\n", "there is none to learn from")
	a.put("call-1", "connected")
	o := a.on("replay", "crm", "--type", "call")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, `the stream holds no such event; type "call" is the type of an event, and "call" is a media type; the latest events are of interaction`+"\n")
	o = a.on("replay", "crm", "--type", "survey")
	assert.Contains(t, o.err, `type "survey" is the type of an event; the latest events are of interaction`+"\n")
	o = a.on("replay", "crm", "--type", "interaction", "--since", "2h", "--until", "1h")
	assert.Contains(t, o.err, `type "interaction" is the type of an event`+"\n", "it is the time that has none")
}

func TestReplayIsListedAndCanceled(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	for i := range 20 {
		a.put(fmt.Sprint("call-", i), "connected")
	}
	o := a.on("replay", "crm", "--type", "interaction", "--because", "the CRM lost an hour", "--yes", "--detach")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Regexp(t, `^replay [0-9a-f]{8} to crm has begun: 20 events, at most 50/s\n`, o.out)
	begun := parsed[replayPlan](t, a.on("replay", "analytics", "--interaction", "call-7", "--yes", "--detach", "-o", "json"))
	assert.Len(t, begun.ID, 8)
	assert.False(t, begun.Ended)

	lines := fields(a.on("replay", "list").out)
	assert.Equal(t, "ID SUBSCRIBER EVENTS LEFT IN HAND RATE SERVED BEGAN TYPE INTERACTION BY REASON", lines[0])
	assert.Regexp(t, `^[0-9a-f]{8} crm 20 20 0 50/s no \S+ \S+ interaction - \S+@\S+ the CRM lost an hour$`, lines[1])
	assert.Regexp(t, `^`+begun.ID+` analytics 1 1 0 50/s no \S+ \S+ - call-7 \S+@\S+ -$`, lines[2])
	assert.Contains(t, a.on("subscriber", "show", "crm").out, "\nreplays\n")

	id := parsed[[]mesh.RunningReplay](t, a.on("replay", "list", "crm", "-o", "json"))[0].ID
	assert.Contains(t, a.on("replay", "cancel", "analytics", id).err, "no replay "+id+" to analytics is running")
	o = a.on("replay", "cancel", "crm", id)
	require.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, "canceled replay "+id+" to crm: 20 of 20 events were left\n", o.out)
	assert.Contains(t, a.on("replay", "watch", "crm", id).err, "no replay "+id+" to crm is running")
	assert.Equal(t, begun.ID, parsed[mesh.RunningReplay](t, a.on("replay", "cancel", "analytics", begun.ID, "-o", "json")).ID)

	var actions []string
	for _, record := range a.audits() {
		actions = append(actions, record.Action)
		assert.NotContains(t, record.About+record.Reason, "call-7", "the audit has nothing that would have to be erased")
	}
	assert.Equal(t, []string{"replay", "replay", "replay-cancel", "replay-cancel"}, actions)
}

func TestInterruptedReplayGoesOn(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	a.put("call-1", "connected")
	replay := serve(t, nil, "replay", "crm", "--all", "--yes", "--server", a.url, "--streams", a.file)
	id := replay.await(replay.out, `replay (\S+) to crm has begun`)
	assert.Equal(t, exitError, replay.end())
	assert.Equal(t, id, parsed[[]mesh.RunningReplay](t, a.on("replay", "list", "-o", "json"))[0].ID)
	assert.Contains(t, replay.err.String(), "the replay goes on without this command:\n  genmesh replay watch crm "+id)
	assert.Contains(t, replay.err.String(), "genmesh replay cancel crm "+id)
	assert.NotContains(t, replay.out.String(), "has ended")
}

func TestReplayToWhoIsPausedSaysThatItWaits(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	a.put("call-1", "connected")
	require.Equal(t, exitOK, a.on("subscriber", "pause", "crm", "--because", "release").code)
	replay := serve(t, nil, "replay", "crm", "--all", "--yes", "--server", a.url, "--streams", a.file)
	replay.await(replay.err, `(crm is paused .*: release: the replay waits)`)
	replay.end()
	assert.Equal(t, 1, strings.Count(replay.err.String(), "the replay waits"))
}

func TestReplayThatNobodyServesSaysSo(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	a.put("call-1", "connected")
	replay := serve(t, nil, "replay", "crm", "--all", "--yes", "--server", a.url, "--streams", a.file)
	replay.await(replay.err, `(nobody serves crm: the replay waits)`)
	replay.end()
}

// A subscriber may be called as a command is.
func TestReplayToASubscriberCalledList(t *testing.T) {
	a := newArchive(t, strings.ReplaceAll(editedStreams(t), `"name": "crm"`, `"name": "list"`))
	a.put("call-1", "connected")
	assert.Equal(t, "no replays\n", a.on("replay", "list").out)
	o := run(t, "replay", "--all", "--dry-run", "--server", a.url, "--streams", a.file, "--", "list")
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, "replay to list", fields(o.out)[0])
}

func TestReplayRefusesWhatCannotBe(t *testing.T) {
	server := appliedServer(t)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"crm"}, "choose what to replay by --since, --interaction or --type, or take it --all"},
		{[]string{"crm", "--until", "1h"}, "choose what to replay"},
		{[]string{"crm", "--all", "--since", "1h"}, "choose what to replay"},
		{[]string{"crm", "--since", "1h", "--until", "2h"}, "--until must be later than --since"},
		{[]string{"crm", "--since", "yesterday"}, `--since "yesterday"`},
		{[]string{"crm", "--all", "--rate", "fast"}, `--rate: "fast" is not a rate`},
		{[]string{"crm", "--all", "--rate", ""}, "--rate: write a rate such as 50/s"},
		{[]string{"crm", "--all", "--because", strings.Repeat("x", 2000)}, "--because has 2000 bytes"},
		{[]string{"crn", "--all"}, `there is no subscriber "crn"`},
		{[]string{"crm", "--all", "--yes"}, "the stream holds no such event"},
		{[]string{"--all"}, "SUBSCRIBER is missing"},
		{[]string{"watch", "crm"}, "ID is missing"},
		{[]string{"cancel", "crm", "0badcafe"}, "no replay 0badcafe to crm is running"},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			args := append([]string{"replay"}, tc.args...)
			o := run(t, append(args, "--server", server.URL())...)
			assert.Equal(t, exitError, o.code)
			assert.Contains(t, o.err, tc.want)
		})
	}
}

func FuzzParseRate(f *testing.F) {
	for _, text := range []string{"50/s", "30/m", "1000/h", "", "0/s", "-1/s", "1/d", `"`, "1/s\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rate, err := parseRate(text)
		if err == nil {
			require.Positive(t, rate.PerSecond())
			again, err := parseRate(rate.String())
			require.NoError(t, err)
			require.Equal(t, rate, again)
		}
	})
}

// inbox is a target that remembers what it took. While it fails it takes nothing.
type inbox struct {
	*httptest.Server
	fails atomic.Bool
	mu    sync.Mutex
	got   []delivered
}

type delivered struct{ interaction, sequence, key string }

func newInbox(t *testing.T) *inbox {
	b := new(inbox)
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.fails.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.got = append(b.got, delivered{r.Header.Get("Genmesh-Interaction"), r.Header.Get("Genmesh-Sequence"), r.Header.Get("Idempotency-Key")})
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *inbox) all() []delivered {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]delivered{}, b.got...)
}

func (b *inbox) of(interaction string) []delivered {
	got := []delivered{}
	for _, d := range b.all() {
		if d.interaction == interaction {
			got = append(got, d)
		}
	}
	return got
}

// household is a genmesh dev with two HTTP targets.
type household struct {
	t              *testing.T
	crm, analytics *inbox
	env            map[string]string
	args           []string
	dev            *serving
	webhook, nats  string
	sent           int
}

func newHousehold(t *testing.T) *household {
	h := &household{t: t, crm: newInbox(t), analytics: newInbox(t), args: devArgs(t)}
	record := filepath.ToSlash(filepath.Join(t.TempDir(), "compliance.ndjson"))
	h.env = map[string]string{"CRM_URL": h.crm.URL, "ANALYTICS_URL": h.analytics.URL, "COMPLIANCE_URL": "file:" + record}
	h.start()
	return h
}

func (h *household) start() {
	h.t.Helper()
	h.dev = serve(h.t, h.env, h.args...)
	h.webhook = h.dev.await(h.dev.out, `webhooks +(http://\S+)`)
	h.nats = h.dev.await(h.dev.out, `NATS +(nats://\S+)`)
}

// send posts an event of the interaction, as its sender does.
func (h *household) send(interaction string) {
	h.t.Helper()
	h.sent++
	const body = `{"id":"e-%d","timestamp":1767225600,"eventTypeId":"interaction","data":{"id":%q,"type":"call","turn":%d}}`
	event := fmt.Sprintf(body, h.sent, interaction, h.sent)
	o := invocation{env: h.env, in: event}.run(h.t, "send", "--url", h.webhook, "-")
	require.Equal(h.t, exitOK, o.code, o.err)
}

func (h *household) run(args ...string) outcome {
	h.t.Helper()
	o := invocation{env: h.env}.run(h.t, append(args, "--server", h.nats)...)
	require.Equal(h.t, exitOK, o.code, o.err)
	return o
}

func (h *household) eventually(what string, is func() bool) {
	h.t.Helper()
	require.Eventually(h.t, is, 30*time.Second, 20*time.Millisecond, what)
}

func (h *household) crmState() mesh.SubscriberState {
	h.t.Helper()
	return parsed[mesh.SubscriberState](h.t, h.run("subscriber", "show", "crm", "-o", "json"))
}

func TestPausedSubscriberGetsItAllLater(t *testing.T) {
	h := newHousehold(t)
	h.send("call-1")
	h.eventually("both get the first event", func() bool { return len(h.crm.all()) == 1 && len(h.analytics.all()) == 1 })

	h.crm.fails.Store(true)
	h.send("call-1")
	h.send("call-1")
	h.eventually("crm has two in hand", func() bool { return h.crmState().InHand == 2 })
	h.run("subscriber", "pause", "crm", "--because", "release")
	h.crm.fails.Store(false)
	for range 4 {
		h.send("call-1")
	}
	h.eventually("the others go on", func() bool { return len(h.analytics.all()) == 7 })
	s := h.crmState()
	// The server counts what waits a moment after it has answered that it is stored.
	h.eventually("four wait", func() bool { s = h.crmState(); return s.Waiting == 4 })
	assert.EqualValues(t, 2, s.InHand)
	assert.Equal(t, "release", s.Pause.Reason)
	assert.Len(t, h.crm.all(), 1)

	// It holds over a restart of everything.
	require.Equal(t, exitOK, h.dev.end())
	h.start()
	h.send("call-2")
	h.eventually("analytics is served again", func() bool { return len(h.analytics.all()) == 8 })
	h.eventually("crm is served again, and seven wait", func() bool { s = h.crmState(); return s.Served && s.Waiting+s.InHand == 7 })
	assert.Len(t, h.crm.all(), 1)

	resumed := parsed[admin.PauseResult](t, h.run("subscriber", "resume", "crm", "-o", "json"))
	assert.Nil(t, resumed.Pause)
	h.eventually("all of it comes", func() bool { return len(h.crm.all()) >= 8 })
	var sequences []string
	for _, d := range h.crm.of("call-1") {
		sequences = append(sequences, d.sequence)
	}
	assert.Equal(t, []string{"1", "2", "3", "4", "5", "6", "7"}, sequences, "in order, and once")
	assert.Len(t, h.crm.of("call-2"), 1)
}

func TestPauseEndsByItself(t *testing.T) {
	h := newHousehold(t)
	h.send("call-1")
	h.eventually("crm is served", func() bool { return len(h.crm.all()) == 1 })
	began := time.Now()
	h.run("subscriber", "pause", "crm", "--for", "2s", "--because", "a short release")
	h.send("call-1")
	h.eventually("it comes by itself", func() bool { return len(h.crm.all()) == 2 })
	assert.GreaterOrEqual(t, time.Since(began), 2*time.Second)
	assert.Nil(t, h.crmState().Pause)
}

func TestReplayReachesItsSubscriberAlone(t *testing.T) {
	h := newHousehold(t)
	for i := range 12 {
		h.send(fmt.Sprintf("call-%d", i%3))
	}
	h.eventually("everything is delivered", func() bool { return len(h.crm.all()) == 12 && len(h.analytics.all()) == 12 })
	first := h.crm.of("call-1")

	dry := parsed[replayPlan](t, h.run("replay", "crm", "--interaction", "call-1", "--dry-run", "-o", "json"))
	ended := parsed[replayPlan](t, h.run("replay", "crm", "--interaction", "call-1", "--yes", "-o", "json"))
	assert.True(t, ended.Ended)
	assert.EqualValues(t, 4, dry.Events)
	assert.Equal(t, dry.Events, ended.Events)
	assert.Equal(t, append(first, first...), h.crm.of("call-1"), "the same events, in the same order, under the same keys")
	assert.Len(t, h.crm.all(), 16)
	assert.Equal(t, "no replays\n", h.run("replay", "list").out)

	// A span of time, while live events come in.
	began := parsed[replayPlan](t, h.run("replay", "crm", "--since", "1h", "--rate", "5/s", "--yes", "--detach", "-o", "json"))
	require.EqualValues(t, 12, began.Events)
	h.send("call-live")
	h.eventually("live events go first", func() bool { return len(h.crm.of("call-live")) == 1 })
	require.NotEmpty(t, parsed[[]mesh.RunningReplay](t, h.run("replay", "list", "crm", "-o", "json")), "the replay still goes on")
	assert.Contains(t, h.run("replay", "watch", "crm", began.ID).out, "replay "+began.ID+" to crm has ended")
	assert.Len(t, h.crm.all(), 29)
	assert.Len(t, h.crm.of("call-live"), 1, "what came in later is no part of it")
	assert.Len(t, h.analytics.all(), 13, "nobody else gets any of it")

	keys := map[string]int{}
	for _, d := range h.crm.all() {
		keys[d.key]++
	}
	assert.Len(t, keys, 13)
}

func TestReplayGoesOnOverARestartAndEndsWhenCanceled(t *testing.T) {
	h := newHousehold(t)
	for i := range 40 {
		h.send(fmt.Sprintf("call-%d", i))
	}
	h.eventually("everything is delivered", func() bool { return len(h.crm.all()) == 40 })
	began := parsed[replayPlan](t, h.run("replay", "crm", "--all", "--rate", "20/s", "--yes", "--detach", "-o", "json"))
	h.eventually("it is under way", func() bool { return len(h.crm.all()) > 45 })
	require.Equal(t, exitOK, h.dev.end())
	before := len(h.crm.all())
	require.Less(t, before, 80)
	h.start()
	assert.Contains(t, h.run("replay", "watch", "crm", began.ID).out, "has ended")
	assert.Len(t, h.crm.all(), 80, "each event once more, and once only")

	slow := parsed[replayPlan](t, h.run("replay", "crm", "--all", "--rate", "30/m", "--yes", "--detach", "-o", "json"))
	h.eventually("it is under way", func() bool { return len(h.crm.all()) > 80 })
	assert.Contains(t, h.run("replay", "cancel", "crm", slow.ID).out, "canceled replay "+slow.ID)
	assert.Equal(t, "no replays\n", h.run("replay", "list").out)
	h.send("call-live")
	h.eventually("live events are not touched", func() bool { return len(h.crm.of("call-live")) == 1 })
	assert.Less(t, len(h.crm.all()), 100)
}
