package deploy_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/meshtest"
)

func TestOnlyTheCertificateOfARoleLetsAClientIn(t *testing.T) {
	roles, nodes := newAuthority(t, "roles"), newAuthority(t, "nodes")
	options := shippedOptions(t, "nats-1", roles, nodes, meshtest.FreePort(t))
	options.Cluster, options.Routes = server.ClusterOpts{}, nil
	n := startServer(t, options, roles)
	n.connect("ingress")

	trusting := nats.RootCAs(roles.file)
	for who, options := range map[string][]nats.Option{
		"nobody":                                {trusting},
		"a role of another authority":           {trusting, presenting(newAuthority(t, "stranger"), "ingress.genmesh")},
		"a role that the nodes' authority made": {trusting, presenting(nodes, "ingress.genmesh")},
		"a node":                                {trusting, presenting(roles, "localhost")},
		"a name that is no role":                {trusting, presenting(roles, "ingress")},
		"a name and no certificate":             {trusting, nats.UserInfo("operator.genmesh", "")},
		"a role that says to be another":        {trusting, presenting(roles, "ingress.genmesh"), nats.UserInfo("operator.genmesh", "secret")},
		"an old TLS": {presenting(roles, "ingress.genmesh"), func(o *nats.Options) error {
			o.TLSConfig.MinVersion, o.TLSConfig.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			return nil
		}, trusting},
	} {
		_, err := nats.Connect(n.url(), options...)
		assert.Error(t, err, who)
	}
}

// presenting is a client with a certificate for a name.
func presenting(a *authority, name string) nats.Option {
	certificate, key := a.signed(name)
	return nats.ClientCert(certificate, key)
}

func TestTheNodeListensForClientsRoutesAndItsOwnHealthAlone(t *testing.T) {
	options := shippedOptions(t, "nats-1", newAuthority(t, "roles"), newAuthority(t, "nodes"), meshtest.FreePort(t))
	assert.Zero(t, options.Websocket.Port+options.MQTT.Port+options.LeafNode.Port+options.Gateway.Port+options.HTTPSPort+options.ProfPort)
	assert.Equal(t, "127.0.0.1", options.HTTPHost)
	assert.Empty(t, options.NoAuthUser)
	assert.True(t, options.SyncAlways)
	for _, u := range options.Users {
		assert.Empty(t, u.Password, u.Username)
		require.NotNil(t, u.Permissions, u.Username)
		assert.Empty(t, u.Permissions.Publish.Deny, "%s: a list of what is denied forgets something", u.Username)
		assert.Empty(t, u.Permissions.Subscribe.Deny, u.Username)
		assert.NotEmpty(t, u.Permissions.Publish.Allow, u.Username)
		assert.NotEmpty(t, u.Permissions.Subscribe.Allow, u.Username)
	}
}

func TestOnlyANodeOpensARoute(t *testing.T) {
	roles, nodes := newAuthority(t, "roles"), newAuthority(t, "nodes")
	own, others := meshtest.FreePort(t), meshtest.FreePort(t)
	n := startServer(t, shippedOptions(t, "nats-1", roles, nodes, own, others), roles)

	for who, as := range map[string]struct {
		of   *authority
		name string
	}{
		"a role":                                {roles, "operator.genmesh"},
		"a node of the roles' authority":        {roles, "localhost"},
		"a role that the nodes' authority made": {nodes, "operator.genmesh"},
	} {
		t.Run(who, func(t *testing.T) {
			refusals := len(n.log.with(""))
			stranger := shippedOptions(t, "stranger", roles, nodes, others, own)
			stranger.Cluster.TLSConfig.InsecureSkipVerify = true // it takes the node for what it is
			certificate, key := as.of.signed(as.name)
			pair, err := tls.LoadX509KeyPair(certificate, key)
			require.NoError(t, err)
			stranger.Cluster.TLSConfig.Certificates = []tls.Certificate{pair}
			startServer(t, stranger, roles)
			require.Eventually(t, func() bool { return len(n.log.with("")) > refusals }, 20*time.Second, 10*time.Millisecond, "it does not even try")
			assert.Zero(t, n.NumRoutes())
		})
	}
	startServer(t, shippedOptions(t, "nats-2", roles, nodes, others, own), roles)
	require.Eventually(t, func() bool { return n.NumRoutes() > 0 }, 30*time.Second, 10*time.Millisecond, "and a node does")
}
