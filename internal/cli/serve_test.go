package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/simulator"
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
	s := serve(t, map[string]string{secretVariable: testSecret, "GENMESH_STREAMS": "../../streams.json"}, "serve", "notifications", "--console", "")
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
