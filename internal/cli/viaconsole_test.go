package cli

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/console/api"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// console runs a console of the archive, which knows by the token who asks: an admin, or a viewer. It returns the flags to go through it.
func (a *archive) console() []string {
	a.t.Helper()
	topology := topologyOf(a.t, editedStreams(a.t))
	direct := admin.NewDirect(admin.DirectOptions{
		JetStream: a.js, Topology: func() *mesh.Topology { return topology }, Logger: meshtest.Quiet(),
	})
	tasks := admin.NewTasks(meshtest.Quiet())
	ctx, cancel := context.WithCancel(a.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tasks.Run(ctx) }()
	all := api.New(api.Options{
		Operator: direct, Viewer: admin.ForViewer(direct, func(string) bool { return true }), Tasks: tasks, Logger: meshtest.Quiet(),
	})
	users := map[string]access.Identity{
		"Bearer " + testSecret: {Name: "alice", Role: access.Admin, Via: "token"},
		"Bearer looks-only":    {Name: "bob", Role: access.Viewer, Via: "token"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(a.t, "genmesh/v1.2.3", r.UserAgent())
		all.ServeHTTP(w, r.WithContext(access.With(r.Context(), users[r.Header.Get("Authorization")])))
	}))
	a.t.Cleanup(func() {
		server.Close()
		cancel()
		assert.NoError(a.t, <-ended)
	})
	return []string{"--console-url", server.URL}
}

// through runs a command through a console, without a streams.json.
func through(t *testing.T, console []string, token string, args ...string) outcome {
	t.Helper()
	return invocation{env: map[string]string{"GENMESH_STREAMS": "/no/streams.json", tokenVariable: token}}.run(t, append(args, console...)...)
}

// TestWhatIsSeenThroughAConsoleIsTheSame as what is seen on NATS itself.
func TestWhatIsSeenThroughAConsoleIsTheSame(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	first := a.life("call-42")
	a.life("call-43")
	a.awaitWaiting(4)
	require.NoError(t, a.letters.Bury(t.Context(), mesh.DeadLetter{
		Event: first, Subscriber: "analytics", Reason: mesh.DeadExhausted, Attempts: 6, Error: "dial tcp: \x1b[2Jrefused",
	}))
	require.Equal(t, exitOK, a.on("replay", "crm", "--all", "--yes", "--detach", "--because", "it lost an hour").code)
	console := a.console()
	moving := regexp.MustCompile(`stored \S+ ago| \d+m?s `) // what time itself changes
	for _, args := range [][]string{
		{"dead", "list"}, {"dead", "list", "-o", "json"}, {"dead", "groups"}, {"dead", "groups", "-o", "json"}, {"dead", "list", "--subscriber", "crm", "--limit", "1"}, {"dead", "show", "1"},
		{"dead", "show", "3", "-o", "json"}, {"dead", "show", "99"}, {"dead", "discard", "--all"},
		{"quarantine", "list"}, {"quarantine", "list", "-o", "json"}, {"quarantine", "show", "1"}, {"quarantine", "show", "1", "-o", "json"},
		{"quarantine", "show", "99"}, {"quarantine", "release", "--all", "--dry-run"},
		{"subscriber", "list", "-o", "json"}, {"subscriber", "show", "crm"}, {"subscriber", "show", "crn"},
		{"replay", "list"}, {"replay", "list", "crm", "-o", "json"}, {"replay", "cancel", "crm", "0badcafe"},
		{"replay", "crm", "--type", "call", "--dry-run"}, {"replay", "crm", "--interaction", "call-42", "--dry-run"},
		{"timeline", "call-42", "--bodies"}, {"timeline", "call-44"}, {"erase", "call-42", "--dry-run"}, {"erase", "call-42", "--dry-run", "--source", "gensys"},
		{"plan"}, {"apply"}, {"audit"}, {"audit", "-o", "json", "--limit", "1"},
	} {
		direct, seen := a.on(args...), through(t, console, testSecret, args...)
		assert.Equal(t, direct.code, seen.code, "%v: %s", args, seen.err)
		assert.Equal(t, moving.ReplaceAllString(direct.out, ""), moving.ReplaceAllString(seen.out, ""), args)
		assert.Equal(t, direct.err, seen.err, args)
	}
}

// TestWhatIsDoneThroughAConsoleIsDone by the user that it knows.
func TestWhatIsDoneThroughAConsoleIsDone(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	for _, interaction := range []string{"call-41", "call-42", "call-43"} {
		a.life(interaction)
	}
	_, err := a.committer.Quarantine(t.Context(), a.event("call-44", "odder"), "schema")
	require.NoError(t, err)
	console := a.console()
	do := func(args ...string) string {
		t.Helper()
		o := through(t, console, testSecret, args...)
		require.Equal(t, exitOK, o.code, o.err)
		assert.Empty(t, o.err, args)
		return o.out
	}
	assert.Equal(t, "replayed 1 dead letter\n", do("dead", "replay", "1", "--yes", "--because", "mended"))
	assert.Equal(t, "discarded 2 dead letters\n", do("dead", "discard", "--subscriber", "crm", "--yes"))
	assert.Equal(t, "discarded 1 event\n", do("quarantine", "discard", "1", "--yes"))
	assert.Contains(t, do("subscriber", "pause", "crm", "--for", "15m", "--because", "release 4.2"), "by alice: release 4.2")
	assert.Contains(t, do("subscriber", "resume", "crm"), "crm is not paused")
	begun := parsed[replayPlan](t, outcome{out: do("replay", "crm", "--all", "--yes", "--detach", "-o", "json")})
	assert.Contains(t, do("replay", "cancel", "crm", begun.ID, "--because", "enough"), "canceled replay "+begun.ID)
	assert.Contains(t, do("erase", "call-42", "--because", "ticket 7", "--yes"), "told the subscribers of genesys")
	assert.Equal(t, "nothing to do: the server is as streams.json says\n", do("apply"))

	o := through(t, console, testSecret, "quarantine", "release", "--all", "--yes")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "still not good", "and why is told through a console, too")

	for _, record := range a.audits() {
		assert.Equal(t, "alice", record.Who.User, record.Action)
		assert.Equal(t, "admin", record.Who.Role, record.Action)
		assert.Equal(t, "token", record.Who.Via, record.Action)
	}
	assert.Contains(t, do("audit", "--by", "alice", "--action", "dead-replay"), "mended")
	assert.Contains(t, do("audit", "--action", "replay-cancel"), "enough")
}

func TestViewerLooksThroughAConsoleAndChangesNothing(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	a.life("call-42")
	console := a.console()
	o := through(t, console, "looks-only", "dead", "show", "1")
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.out, "not shown: its source is sensitive")
	assert.NotContains(t, o.out, `"state"`)
	o = through(t, console, "looks-only", "dead", "discard", "--all", "--yes")
	assert.Equal(t, exitError, o.code)
	assert.Equal(t, exitError, through(t, console, "nobody", "dead", "list").code)
	assert.Equal(t, exitOK, a.on("dead", "show", "1").code)
	assert.Empty(t, a.audits())
}

// guarded serves a console over TLS that knows nobody who asks here, and returns its URL and the file with its certificate.
func guarded(t *testing.T) (url, ca string) {
	t.Helper()
	user, _, err := access.NewTokenUser("ann", access.Viewer)
	require.NoError(t, err)
	users, err := json.Marshal(map[string]any{"users": []access.User{user}})
	require.NoError(t, err)
	guard, err := access.New(access.Options{
		File: file(t, "access.json", string(users)), Secure: true, Logger: meshtest.Quiet(), Registerer: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(guard.Handler(http.NotFoundHandler()))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
}

func TestAConsoleThatIsNotTrustedNamesTheFlagThatHelps(t *testing.T) {
	url, ca := guarded(t)
	o := through(t, []string{"--console-url", url}, testSecret, "dead", "list")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "unknown authority; name the authority that signed the console's certificate with --console-ca")

	another := certificateFile(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	o = through(t, []string{"--console-url", url, "--console-ca", another}, testSecret, "dead", "list")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "none of the certificates in --console-ca "+another)

	o = through(t, []string{"--console-url", strings.Replace(url, "127.0.0.1", "localhost", 1), "--console-ca", ca}, testSecret, "dead", "list")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "not localhost")
	assert.NotContains(t, o.err, "--console-ca", "no authority helps against another name")
}

func TestAConsoleThatDoesNotKnowWhoAsksNamesWhereTokensComeFrom(t *testing.T) {
	url, ca := guarded(t)
	token := file(t, "token", testSecret)
	for _, tc := range []struct {
		token string
		more  []string
		want  string
	}{
		{"", nil, "put a token into the environment variable GENMESH_CONSOLE_TOKEN, or name a file with --console-token-file"},
		{testSecret, nil, "does not take the token in the environment variable GENMESH_CONSOLE_TOKEN"},
		{"", []string{"--console-token-file", token}, "does not take the token of --console-token-file " + token + ", which goes before the one in GENMESH_CONSOLE_TOKEN"},
	} {
		o := through(t, append([]string{"--console-url", url, "--console-ca", ca}, tc.more...), tc.token, "dead", "list")
		assert.Equal(t, exitError, o.code)
		assert.Contains(t, o.err, tc.want)
	}

	a := newArchive(t, editedStreams(t)) // whose API is asked by nobody that the guard has let in
	assert.Contains(t, through(t, a.console(), "nobody", "dead", "list").err, "GENMESH_CONSOLE_TOKEN")
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer proxy.Close()
	assert.Contains(t, through(t, []string{"--console-url", proxy.URL}, "", "dead", "list").err, "GENMESH_CONSOLE_TOKEN")
}
