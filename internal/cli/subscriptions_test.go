package cli

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/genesys/simulator"
)

// organization is a simulated Genesys Cloud and a streams.json that names it.
type organization struct {
	streams string
	client  *cloud.Client
}

const subscriptionBlock = `"preset": "genesys",
      "api": {"url": "${GENESYS_API}", "client_id": "simulator", "client_secret": "${GENESYS_CLIENT_SECRET}"},
      "subscription": {"name": "mesh", "event_types": ["interaction"], "target_url": "https://mesh.example.com/webhooks/genesys"},`

func newOrganization(t *testing.T) (organization, invocation) {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	s, err := simulator.New(simulator.Options{Addr: "127.0.0.1:0", Rate: 1, Logger: log})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	transport := new(http.Transport)
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
		transport.CloseIdleConnections()
	})
	api := "http://" + s.Addr()
	client, err := cloud.New(cloud.Options{URL: api, ClientID: "simulator", ClientSecret: "simulator", HTTPClient: &http.Client{Transport: transport, Timeout: time.Minute}})
	require.NoError(t, err)
	streams := file(t, "streams.json", editedStreams(t, `"preset": "genesys",`, subscriptionBlock))
	i := withSecret("GENESYS_API", api, "GENESYS_CLIENT_SECRET", "simulator", "GENMESH_STREAMS", streams)
	return organization{streams, client}, i
}

func (o organization) edit(t *testing.T, i invocation, edits ...string) {
	t.Helper()
	i.env["GENMESH_STREAMS"] = file(t, "streams.json", editedStreams(t, append([]string{`"preset": "genesys",`, subscriptionBlock}, edits...)...))
}

func TestSyncMakesGenesysWhatStreamsJSONSays(t *testing.T) {
	org, i := newOrganization(t)
	assert.Equal(t, "no subscriptions\n", i.run(t, "genesys", "subscriptions", "list").out)

	o := i.run(t, "genesys", "subscriptions", "sync", "--dry-run")
	assert.Equal(t, exitChanges, o.code)
	assert.Contains(t, o.out, "create mesh")
	assert.Contains(t, o.out, "max_retries: 5")
	assert.Contains(t, o.out, "backoff_type: EXPONENTIAL")
	assert.Contains(t, i.run(t, "genesys", "subscriptions", "sync").err, "--yes", "nobody is there to ask")
	_, err := org.client.FindSubscription(t.Context(), "mesh")
	require.ErrorIs(t, err, cloud.ErrNotFound, "nothing was done yet")

	o = i.run(t, "genesys", "subscriptions", "sync", "--yes")
	require.Equal(t, exitOK, o.code, o.err)
	made, err := org.client.FindSubscription(t.Context(), "mesh")
	require.NoError(t, err)
	assert.Equal(t, cloud.RetryPolicy{MaxRetries: 5, BackoffType: "EXPONENTIAL"}, made.RetryPolicy)
	assert.True(t, made.Active)
	assert.Equal(t, "https://mesh.example.com/webhooks/genesys", made.TargetURL)
	assert.Equal(t, "nothing to do\n", i.run(t, "genesys", "subscriptions", "sync", "--yes").out, "it is idempotent")

	org.edit(t, i, `"event_types": ["interaction"],`, `"event_types": ["interaction", "agent"], "retry_policy": {"max_retries": 3}, "active": false,`)
	assert.Equal(t, "nothing to do\n", i.run(t, "genesys", "subscriptions", "create", "--yes").out, "create changes nothing that is there")
	o = i.run(t, "genesys", "subscriptions", "sync", "--yes")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.out, "max_retries: 5 → 3")
	assert.Contains(t, o.out, "event_types: interaction → agent,interaction")
	changed, err := org.client.FindSubscription(t.Context(), "mesh")
	require.NoError(t, err)
	assert.False(t, changed.Active)
	assert.Equal(t, made.Keys(), changed.Keys())

	shown := i.run(t, "genesys", "subscriptions", "show", "mesh")
	assert.Contains(t, shown.out, "present")
	assert.NotContains(t, shown.out, made.Keys()[0], "a key is never shown")
	listed := parsed[[]subscriptionJSON](t, i.run(t, "genesys", "subscriptions", "list", "-o", "json"))
	require.Len(t, listed, 1)
	assert.Equal(t, made.ID, listed[0].ID)

	assert.Contains(t, i.run(t, "genesys", "subscriptions", "delete", "mesh").err, "--yes")
	require.Equal(t, exitOK, i.run(t, "genesys", "subscriptions", "delete", made.ID, "--yes").code, "by its id as well")
	assert.Equal(t, exitError, i.run(t, "genesys", "subscriptions", "show", "mesh").code)
}

func TestSubscriptionsNeedAnAPIBlock(t *testing.T) {
	o := withSecret().run(t, "genesys", "subscriptions", "list")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "api block")
	o = withSecret().run(t, "genesys", "subscriptions", "sync")
	assert.Contains(t, o.err, "subscription block")

	_, i := newOrganization(t)
	i.env["GENESYS_CLIENT_SECRET"] = testSecret // another one's; the harness sees that it is not shown
	o = i.run(t, "genesys", "subscriptions", "list")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "client_secret")
}

func TestDoctorLooksAtSubscriptions(t *testing.T) {
	_, i := newOrganization(t)
	i.env["NATS_URL"] = "nats://127.0.0.1:1"
	look := func() finding {
		return examined(t, i.run(t, "doctor", "-o", "json"))["subscription genesys"]
	}
	f := look()
	assert.Equal(t, healthFail, f.Status)
	assert.Contains(t, f.Remedy, "genmesh genesys subscriptions sync")

	require.Equal(t, exitOK, i.run(t, "genesys", "subscriptions", "sync", "--yes").code)
	f = look()
	assert.Equal(t, healthOK, f.Status, f.Detail)
	assert.Equal(t, "active, with 1 key, changed today", f.Detail)

	organization{}.edit(t, i, `"event_types": ["interaction"],`, `"event_types": ["interaction"], "retry_policy": {"max_retries": 7},`)
	f = look()
	assert.Equal(t, healthWarn, f.Status)
	assert.Contains(t, f.Detail, "max_retries: 5 → 7")

	i.env["GENESYS_CLIENT_SECRET"] = "wrong"
	f = look()
	assert.Equal(t, healthFail, f.Status)
	assert.Contains(t, f.Remedy, "OAuth client")
}

func TestDoctorLooksAtTheOAuthClientOfNotifications(t *testing.T) {
	_, i := newOrganization(t)
	i.env["NATS_URL"] = "nats://127.0.0.1:1"
	i.env["GENMESH_STREAMS"] = file(t, "streams.json", editedStreams(t, `"preset": "genesys",`, `"preset": "genesys",
      "api": {"url": "${GENESYS_API}", "client_id": "simulator", "client_secret": "${GENESYS_CLIENT_SECRET}"}, "notifications": {"topics": ["v2.users.a.presence"]},`))
	look := func() finding { return examined(t, i.run(t, "doctor", "-o", "json"))["api genesys"] }
	assert.Equal(t, healthOK, look().Status)
	i.env["GENESYS_CLIENT_SECRET"] = "wrong"
	assert.Equal(t, healthFail, look().Status)
}
