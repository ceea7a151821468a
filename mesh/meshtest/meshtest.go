// Package meshtest gives tests a real nats-server, and sees to it that nothing is left behind.
package meshtest

import (
	"encoding/json"
	"io"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/embedded"
)

// Server is an embedded nats-server that a test may stop and start again on the same data.
type Server struct {
	t       testing.TB
	options embedded.Options
	running *embedded.Server
}

// Start runs a server on an empty data folder, with a port of its own, until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, options: embedded.Options{
		DataDir: t.TempDir(), Listen: "127.0.0.1:0", Logger: Quiet(),
	}}
	s.Restart()
	// Clients connect again at the same port after Restart.
	s.options.Listen = s.running.ClientURL()[len("nats://"):]
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the server, if it runs.
func (s *Server) Stop() {
	if s.running == nil {
		return
	}
	require.NoError(s.t, s.running.Shutdown())
	s.running = nil
}

// Restart starts the server on the data that it had, after stopping it if it runs.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	running, err := embedded.Start(s.t.Context(), s.options)
	require.NoError(s.t, err)
	s.running = running
}

// URL is where clients reach the server; it stays the same over Restart.
func (s *Server) URL() string { return s.running.ClientURL() }

// Connect opens a connection that lasts until the test ends.
func (s *Server) Connect() *nats.Conn {
	s.t.Helper()
	nc, err := mesh.Connect(s.t.Name(), s.URL(), Quiet())
	require.NoError(s.t, err)
	s.t.Cleanup(nc.Close)
	return nc
}

// JetStream opens a JetStream context that lasts until the test ends.
func (s *Server) JetStream() jetstream.JetStream {
	s.t.Helper()
	js, err := mesh.JetStream(s.Connect())
	require.NoError(s.t, err)
	return js
}

// Quiet is a logger that drops everything.
func Quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// preset is what the tests' topologies may use: the identity of a Genesys webhook.
const preset = `{"verification": {"header": "X-Genesys-Signature"}, "identity": {"interaction": "data.id",
	"event_id": "id", "event_type": "eventTypeId", "media": "data.type", "occurred": "timestamp",
	"fingerprint": ["eventTypeId", "timestamp", "data"]}}`

// Topology parses a streams.json that a test wrote. It may use the preset "genesys" and the
// usual target schemes.
func Topology(t testing.TB, streams string) *mesh.Topology {
	t.Helper()
	topology, err := mesh.ParseTopology([]byte(streams), mesh.ParseOptions{
		Presets:       map[string]json.RawMessage{"genesys": json.RawMessage(preset)},
		TargetSchemes: []string{"http", "https", "file", "nats", "log"},
	})
	require.NoError(t, err)
	return topology
}

// Apply makes the server what the topology says.
func Apply(t testing.TB, js jetstream.JetStream, topology *mesh.Topology) {
	t.Helper()
	plan, err := topology.Plan(t.Context(), js)
	require.NoError(t, err)
	require.NoError(t, plan.Apply(t.Context(), js, false))
}
