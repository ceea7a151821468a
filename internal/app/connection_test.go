package app

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// A process that is started before NATS says that it is not ready, refuses what comes in with a 503, and goes to work once NATS is there.
func TestAProcessMayStartBeforeNATS(t *testing.T) {
	server, crm := newNATSServer(t, t.TempDir()), newRecord(t)
	c := recorder(t, crm.url)
	c.NATSURL = server.url
	p := startProcess(t, c)
	assert.Contains(t, p.untilUnready(t, testPatience), "NATS is out of reach")
	callers, stop := startCallers(t, p.desk(), 1)
	p.eventually(t, func() bool { n, _ := callers.refusals(); return n > 0 }, "a call is told to come again")

	server.start()
	callers.untilMore(5, testPatience, p)
	p.untilReady(t)
	stop()
	crm.awaitAll(callers, p)
	assert.Equal(t, 1, strings.Count(p.log.String(), "NATS is away"), "%s", p.log)
	assert.Contains(t, p.log.String(), "connected to NATS")
}

func TestAProcessThatWaitsForNATSEndsAtOnce(t *testing.T) {
	c := recorder(t, "log:")
	c.NATSURL = "nats://" + meshtest.FreeAddr(t)
	p := startProcess(t, c)
	code, _ := p.get(t, "/healthz")
	assert.Equal(t, http.StatusOK, code, "it lives while it waits")
	began := time.Now()
	p.stop()
	assert.Less(t, time.Since(began), 2*time.Second)
}

// Waiting mends no credentials: a process that is refused at its start ends with the reason.
func TestAProcessThatNATSRefusesAtItsStartEnds(t *testing.T) {
	server := newNATSServer(t, t.TempDir(), `authorization {users: [{user: "genmesh", password: "right"}]}`)
	server.options = []nats.Option{nats.UserInfo("genmesh", "right")}
	server.start()
	c := recorder(t, "log:")
	c.NATSURL, c.NATSOptions, c.Logger, c.LookupEnv = server.url, []nats.Option{nats.UserInfo("genmesh", "wrong")}, quiet(), environment
	require.ErrorContains(t, Run(t.Context(), c), "Authorization Violation")
}

// A process cannot end for a server that refuses it later, which may be wrong for a while; but it says so.
func TestARefusalByAServerThatCameLaterIsSaid(t *testing.T) {
	server := newNATSServer(t, t.TempDir(), `authorization {users: [{user: "genmesh", password: "right"}]}`)
	server.options = []nats.Option{nats.UserInfo("genmesh", "right")}
	log := new(journal)
	a := &app{Config: Config{Logger: logrus.New()}}
	a.Logger.SetOutput(log)
	nc, err := a.reach(server.url, []nats.Option{nats.UserInfo("genmesh", "wrong")})
	require.NoError(t, err)
	defer nc.Close()
	a.js, err = mesh.JetStream(nc)
	require.NoError(t, err)
	inBackground(t, func(ctx context.Context) error { return a.tellAway(ctx, 10*time.Millisecond) })
	server.start()
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "Authorization Violation") }, testPatience, 10*time.Millisecond)
	assert.Contains(t, log.String(), "NATS is still away")
}
