package embedded_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/embedded"
)

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

func start(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	o.Logger = quiet()
	s, err := embedded.Start(t.Context(), o)
	require.NoError(t, err)
	return s
}

func TestServerKeepsItsStreamsOverARestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Options{DataDir: dir})
	nc, err := nats.Connect("", s.InProcess())
	require.NoError(t, err)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "s", []byte("kept"))
	require.NoError(t, err)
	nc.Close()
	require.NoError(t, s.Shutdown())

	s = start(t, embedded.Options{DataDir: dir, Listen: "127.0.0.1:0"})
	defer s.Shutdown()
	nc, err = nats.Connect(s.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	js, err = jetstream.New(nc)
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "S")
	require.NoError(t, err)
	msg, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, "kept", string(msg.Data))
}

func TestFolderBelongsToOneServer(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embedded.Options{DataDir: dir})
	_, err := embedded.Start(t.Context(), embedded.Options{DataDir: dir, Logger: quiet()})
	require.ErrorIs(t, err, embedded.ErrLocked)
	require.ErrorContains(t, err, "--data")
	require.NoError(t, s.Shutdown())
	require.NoError(t, start(t, embedded.Options{DataDir: dir}).Shutdown(), "and is free afterwards")
}

func TestStartThatFailsSaysWhyAtOnce(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "jetstream"), []byte("in the way"), 0o600))
	_, err := embedded.Start(t.Context(), embedded.Options{DataDir: dir, Logger: quiet()})
	require.ErrorContains(t, err, "embedded nats-server")
	require.ErrorContains(t, err, "JetStream")
	for _, listen := range []string{"nowhere", "127.0.0.1:x", "127.0.0.1:70000"} {
		_, err = embedded.Start(t.Context(), embedded.Options{DataDir: t.TempDir(), Listen: listen, Logger: quiet()})
		require.ErrorContains(t, err, "NATS address", listen)
	}
}
