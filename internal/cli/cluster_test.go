package cli

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

func noEnvironment(string) (string, bool) { return "", false }

func TestRedactedServersShowNoCredentials(t *testing.T) {
	for in, want := range map[string]string{
		"nats://n1:4222": "nats://n1:4222",
		"nats://user:pass@n1:4222,nats://token@n2:42": "nats://n1:4222,nats://n2:42",
		"user:p@ss@n1:4222":                           "nats://n1:4222",
		"tls://n1 , wss://u:p@n2/x":                   "tls://n1,wss://n2/x",
	} {
		assert.Equal(t, want, redacted(in))
	}
}

func TestServerComesFromFlagThenEnvironmentThenDefault(t *testing.T) {
	server := meshtest.Start(t)
	const dead = "nats://127.0.0.1:1"

	o := invocation{env: map[string]string{"NATS_URL": dead}}.run(t, "plan", "-s", server.URL())
	assert.Equal(t, exitChanges, o.code, o.err)
	o = invocation{env: map[string]string{"NATS_URL": server.URL()}}.run(t, "plan")
	assert.Equal(t, exitChanges, o.code, o.err)
	o = invocation{env: map[string]string{"NATS_URL": dead, "GENMESH_SERVER": server.URL()}}.run(t, "plan")
	assert.Equal(t, exitChanges, o.code, "GENMESH_SERVER is ours and wins over NATS_URL: %s", o.err)

	url, _, err := new(clusterFlags).options(noEnvironment)
	require.NoError(t, err)
	assert.Equal(t, defaultServer, url)
}

func TestUnreachableServerIsNamedWithoutItsPassword(t *testing.T) {
	o := run(t, "plan", "--server", "nats://mesh:"+testSecret+"@127.0.0.1:1")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "nats://127.0.0.1:1")
	assert.Contains(t, o.err, "--server")

	o = run(t, "plan", "--server", "nats://mesh:"+testSecret+"@127.0.0.1:port%")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "not a list of URLs")
}

func TestCredentialFlagsThatCannotWork(t *testing.T) {
	for _, tc := range []struct {
		flags clusterFlags
		want  string
	}{
		{clusterFlags{user: "mesh"}, "NATS_PASSWORD"},
		{clusterFlags{tlsCert: "cert.pem"}, "--tlscert and --tlskey belong together"},
		{clusterFlags{nkey: "missing.nk"}, "--nkey missing.nk"},
		{clusterFlags{context: "no-such-context"}, "NATS context no-such-context"},
		{clusterFlags{inboxes: "_INBOX.>"}, `--inbox-prefix "_INBOX.>"`},
	} {
		_, _, err := tc.flags.options(noEnvironment)
		require.ErrorContains(t, err, tc.want)
	}
}

func TestPasswordComesFromTheEnvironment(t *testing.T) {
	f := clusterFlags{user: "mesh"}
	_, options, err := f.options(func(name string) (string, bool) { return "pw", name == "NATS_PASSWORD" })
	require.NoError(t, err)
	o := applyOptions(t, options)
	assert.Equal(t, "mesh", o.User)
	assert.Equal(t, "pw", o.Password)
}

func TestNATSContextSaysWhereAndHow(t *testing.T) {
	server := meshtest.Start(t)
	context, err := json.Marshal(map[string]string{"url": server.URL(), "user": "mesh", "password": testSecret, "inbox_prefix": "_MESH"})
	require.NoError(t, err)
	path := file(t, "prod.json", string(context))

	o := invocation{env: map[string]string{"NATS_CONTEXT": path}}.run(t, "plan")
	assert.Equal(t, exitChanges, o.code, o.err)

	f := clusterFlags{context: path}
	url, options, err := f.options(noEnvironment)
	require.NoError(t, err)
	assert.Equal(t, server.URL(), url)
	read := applyOptions(t, options)
	assert.Equal(t, "mesh", read.User)
	assert.Equal(t, testSecret, read.Password)
	assert.Equal(t, "_MESH", read.InboxPrefix)
	assert.Equal(t, -1, read.MaxReconnect, "what genmesh chose stays")

	f.server, f.inboxes = "nats://elsewhere:4222", "_INBOX_workers"
	url, options, err = f.options(noEnvironment)
	require.NoError(t, err)
	assert.Equal(t, "nats://elsewhere:4222", url)
	assert.Equal(t, "_INBOX_workers", applyOptions(t, options).InboxPrefix)
}

func applyOptions(t *testing.T, options []nats.Option) nats.Options {
	t.Helper()
	o := nats.Options{MaxReconnect: -1}
	for _, option := range options {
		require.NoError(t, option(&o))
	}
	return o
}

func TestPlanShowsWhatApplyThenDoes(t *testing.T) {
	server := meshtest.Start(t)
	at := []string{"--server", server.URL()}

	o := run(t, append(at, "plan")...)
	assert.Equal(t, exitChanges, o.code, o.err)
	assert.Contains(t, o.out, "+ create stream INTERACTIONS")

	o = run(t, append(at, "apply", "--because", "a new subscriber")...)
	require.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.out, "created stream INTERACTIONS\n")
	assert.Contains(t, o.out, "created consumer INTERACTIONS/crm\n")

	o = run(t, append(at, "plan")...)
	assert.Equal(t, exitOK, o.code, o.out)
	o = run(t, append(at, "plan", "-o", "json")...)
	assert.Equal(t, exitOK, o.code)
	assert.JSONEq(t, `{"steps":[]}`, o.out)
	o = run(t, append(at, "apply")...)
	assert.Equal(t, exitOK, o.code)
	assert.Equal(t, "nothing to do: the server is as streams.json says\n", o.out)
}

// TestAStartThatComesTooLateIsSaid: the edit changes nothing, and whoever made it hears of it.
func TestAStartThatComesTooLateIsSaid(t *testing.T) {
	server := appliedServer(t)
	at := []string{"--server", server.URL(), "--streams", file(t, "later.json", editedStreams(t, `"name": "crm",`, `"name": "crm", "start": "now",`))}
	const note = `note: start "now": it counts for a new subscriber, and crm began by deliver_policy all; it goes on where it is` + "\n"
	o := run(t, append(at, "plan")...)
	assert.Equal(t, exitOK, o.code, "nothing is to be done: %s", o.err)
	assert.Contains(t, o.out, note)
	o = run(t, append(at, "apply")...)
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, note+"nothing to do: the server is as streams.json says\n", o.out)
	assert.Len(t, parsed[admin.Applied](t, run(t, append(at, "apply", "-o", "json")...)).Notes, 1)
}

// TestApplySaysWhatItWaitsFor while a subscriber's consumers change and its target has not taken everything.
func TestApplySaysWhatItWaitsFor(t *testing.T) {
	server := appliedServer(t)
	js := server.JetStream()
	_, err := js.Publish(t.Context(), "genesys.00.interaction.call.1", []byte("{}"))
	require.NoError(t, err)
	consumer, err := js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	held := make(chan jetstream.Msg, 1)
	consuming, err := consumer.Consume(func(m jetstream.Msg) { held <- m })
	require.NoError(t, err)
	defer consuming.Stop()
	m := <-held
	divided := file(t, "divided.json", editedStreams(t, `"name": "crm",`, `"name": "crm", "partitions": 2,`))
	applying := serve(t, nil, "apply", "--server", server.URL(), "--streams", divided)
	applying.await(applying.err, `(crm: waiting for 1 event under way to its target, before its consumers change)`)
	require.NoError(t, m.DoubleAck(t.Context()))
	applying.await(applying.out, `(switched consumer INTERACTIONS/crm)`)
	assert.Equal(t, exitOK, applying.end())
}

func TestApplyRefusesWhatLosesDataAndDoesTheRest(t *testing.T) {
	server := appliedServer(t)
	_, err := server.JetStream().Publish(t.Context(), "genesys.x", make([]byte, 5000))
	require.NoError(t, err)
	path := file(t, "streams.json", editedStreams(t,
		`"max_ack_pending": 1024`, `"max_ack_pending": 512`,
		`"max_bytes": 10737418240`, `"max_bytes": 1000`))
	at := []string{"--server", server.URL(), "--streams", path}

	o := run(t, append(at, "apply")...)
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.out, "updated consumer INTERACTIONS/analytics, max_ack_pending 1024 → 512\n")
	assert.Contains(t, o.out, "refused to update stream INTERACTIONS: it loses")
	assert.Equal(t, "genmesh: refused without --allow-destroy: 1 step that would lose data\n", o.err)

	o = run(t, append(at, "apply", "--allow-destroy")...)
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, "updated stream INTERACTIONS, max_bytes 10737418240 → 1000\n", o.out)
	assert.Equal(t, exitOK, run(t, append(at, "plan")...).code)
}

func TestApplyNamesARefusedDeletion(t *testing.T) {
	server := appliedServer(t)
	var streams map[string]any
	require.NoError(t, json.Unmarshal([]byte(editedStreams(t)), &streams))
	streams["subscribers"] = streams["subscribers"].([]any)[:2]
	fewer, err := json.Marshal(streams)
	require.NoError(t, err)
	at := []string{"--server", server.URL(), "--streams", file(t, "fewer.json", string(fewer))}

	o := run(t, append(at, "apply")...)
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.out, "refused to delete consumer INTERACTIONS/compliance")
	assert.Equal(t, 1, strings.Count(o.out+o.err, "INTERACTIONS/compliance"), "each is named once")
	assert.Equal(t, "genmesh: refused without --allow-destroy: 2 steps that would lose data\n", o.err)

	result := parsed[admin.Applied](t, run(t, append(at, "apply", "-o", "json")...))
	assert.Empty(t, result.Done)
	assert.Len(t, result.Refused, 2)

	o = run(t, append(at, "apply", "--allow-destroy")...)
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, "deleted consumer DEAD_LETTERS/compliance\ndeleted consumer INTERACTIONS/compliance\n", o.out)
}

func FuzzRedactedNeverShowsAPassword(f *testing.F) {
	f.Add("mesh", "pass")
	f.Add("", "p@s:s/w,o?rd")
	f.Add("mesh", "12,")
	f.Fuzz(func(t *testing.T, user, password string) {
		servers := "nats://" + url.UserPassword(user, password+"SECRET").String() + "@n1:4222,nats://n2:4222"
		if err := checkServers(servers); err != nil {
			require.NotContains(t, err.Error(), "SECRET")
			return
		}
		shown := redacted(servers)
		require.NotContains(t, shown, "SECRET")
		require.Contains(t, shown, "n1:4222")
		require.Contains(t, shown, "n2:4222")
	})
}
