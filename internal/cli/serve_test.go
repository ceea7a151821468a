package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/simulator"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

func TestNotificationsGoWhereNobodyCanListenIn(t *testing.T) {
	for _, tc := range []struct {
		to, want string
	}{
		{"http://mesh.example.com", "--forward-to is not https"},
		{"mesh.example.com", "--forward-to is no base URL"},
		{"ftp://mesh.example.com", "--forward-to is no base URL"},
		{"https://mesh.example.com/?key=" + testSecret, "--forward-to is no base URL"},
		{"https://mesh:" + testSecret + "@mesh.example.com", "--forward-to has a user or a password"},
	} {
		o := withSecret().run(t, "serve", "notifications", "--forward-to", tc.to)
		assert.Equal(t, exitError, o.code)
		assert.Contains(t, o.err, tc.want)
	}
	o := withSecret().run(t, "serve", "ingress", "notifications", "--tls-cert", "cert.pem", "--tls-key", "key.pem")
	assert.Contains(t, o.err, "--forward-to is missing")
	for _, good := range []string{"", "https://mesh.example.com", "https://mesh.example.com/base/", "http://127.0.0.1:8080", "http://[::1]:1", "http://localhost"} {
		assert.NoError(t, checkForwardTo(good))
	}
}

func TestServeSaysThatNotificationsAreBestEffort(t *testing.T) {
	assert.Contains(t, run(t, "serve", "--help").out, "best effort")
	assert.Contains(t, run(t, "__complete", "serve", "").out, "notifications")
	s := serve(t, map[string]string{secretVariable: testSecret, "GENMESH_STREAMS": sampleFile}, "serve", "notifications", "--console", "")
	s.await(s.err, "no source of streams.json has a notifications block")
}

// TestServeNotificationsAlone forwards from a simulated Genesys Cloud to a server, without NATS.
func TestServeNotificationsAlone(t *testing.T) {
	log := logrus.New()
	log.SetOutput(new(lines))
	genesys, err := simulator.New(simulator.Options{Addr: "127.0.0.1:0", Rate: 200, Logger: log})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- genesys.Run(ctx) }()
	defer func() { cancel(); assert.NoError(t, <-done) }()
	posted := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case posted <- r.URL.Path + " " + r.Header.Get("X-Api-Key"):
		default:
		}
	}))
	defer server.Close()
	streams := file(t, "streams.json", fmt.Sprintf(`{
		"sources": [{
			"name": "desk", "path": "/webhooks/desk", "preset": "genesys-notification", "secret": "${DESK_KEY}", "stream": "DESK",
			"api": {"url": "http://%s", "client_id": "simulator", "client_secret": "${CLIENT_SECRET}"},
			"notifications": {"topics": ["v2.routing.queues.q-01.conversations"]}
		}],
		"streams": [
			{"name": "DESK", "subjects": ["desk.>"], "max_age": "1h", "duplicate_window": "10m"},
			{"name": "DEAD_LETTERS", "subjects": ["dead.>"]}, {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
			{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}]
	}`, genesys.Addr()))
	s := serve(t, map[string]string{"DESK_KEY": testSecret, "CLIENT_SECRET": "simulator", "NATS_URL": "nats://127.0.0.1:1"},
		"serve", "notifications", "--streams", streams, "--console", "127.0.0.1:0", "--forward-to", server.URL+"/base")
	select {
	case got := <-posted:
		assert.Equal(t, "/base/webhooks/desk "+testSecret, got)
	case <-time.After(20 * time.Second):
		require.Fail(t, "nothing is forwarded", s.err.String())
	}
	assert.Equal(t, exitOK, s.end())
}

// TestServeSendsNoEventIntoItsOwnNetwork: whoever may edit a target must not reach what only this machine can, unless the file allows it.
// dev is one developer's machine, where subscribers live on localhost.
func TestServeSendsNoEventIntoItsOwnNetwork(t *testing.T) {
	const target = `"target": {"url": "${CRM_URL:-log:}",`
	for name, c := range map[string]struct {
		run     []string
		streams string
		guarded bool
	}{
		"serve":                         {[]string{"serve", "--apply"}, editedStreams(t), true},
		"serve workers":                 {[]string{"serve", "workers", "--apply"}, editedStreams(t), true},
		"serve, where the file says so": {[]string{"serve", "--apply"}, editedStreams(t, target, target+` "allow_networks": ["127.0.0.1"],`), false},
		"dev":                           {devArgs(t), editedStreams(t), false},
	} {
		t.Run(name, func(t *testing.T) {
			crm, compliance := newKnocked(t), filepath.Join(t.TempDir(), "compliance.ndjson")
			env := map[string]string{
				"CRM_URL": crm.URL, "COMPLIANCE_URL": "file:" + filepath.ToSlash(compliance), secretVariable: testSecret,
				"GENMESH_STREAMS": file(t, "streams.json", c.streams), "GENMESH_CONSOLE": "127.0.0.1:0", "GENMESH_HTTP": "127.0.0.1:0",
			}
			if c.run[0] == "serve" {
				env["NATS_URL"] = meshtest.Start(t).URL()
			}
			served := serve(t, env, c.run...)
			if c.run[0] == "dev" {
				env["NATS_URL"] = served.await(served.out, `NATS +(nats://\S+)`)
			} else {
				served.await(served.err, `("msg":"serving")`)
			}
			store(t, env["NATS_URL"])

			var waits string
			require.Eventually(t, func() bool {
				waits = waitOf(t, env, "crm")
				return waits != "" || crm.connections.Load() > 0
			}, 60*time.Second, 50*time.Millisecond, "the event goes nowhere: %s", served.err)
			if c.guarded {
				assert.Contains(t, waits, "127.0.0.1 is not public (loopback): events don't go there; add it to allow_networks")
				assert.Zero(t, crm.connections.Load(), "the target must not even be knocked at")
			} else {
				assert.Empty(t, waits)
			}
			require.Eventually(t, func() bool { return countLines(compliance) == 1 }, 60*time.Second, 50*time.Millisecond, "the others don't wait")
			assert.Equal(t, exitOK, served.end(), served.err)
		})
	}
}

// knocked is a target that counts its connections.
type knocked struct {
	*httptest.Server
	connections atomic.Int64
}

func newKnocked(t *testing.T) *knocked {
	t.Helper()
	k := &knocked{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))}
	k.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			k.connections.Add(1)
		}
	}
	k.Start()
	t.Cleanup(k.Close)
	return k
}

// store stores one event, as ingress does.
func store(t *testing.T, server string) {
	t.Helper()
	conn, err := nats.Connect(server)
	require.NoError(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	_, err = js.PublishMsg(t.Context(), (&archive{t: t}).message("call-1"))
	require.NoError(t, err)
}

// waitOf is why a subscriber waits, as subscriber show says; "" if it doesn't.
func waitOf(t *testing.T, env map[string]string, subscriber string) string {
	t.Helper()
	o := invocation{env: env}.run(t, "subscriber", "show", subscriber, "-o", "json")
	if !assert.Equal(t, exitOK, o.code, o.err) {
		return ""
	}
	if state := parsed[mesh.SubscriberState](t, o); state.Wait != nil {
		return state.Wait.Reason
	}
	return ""
}
