package app

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/meshtest"
)

// natsServerVariable makes this test binary a nats-server with this configuration file.
const natsServerVariable = "GENMESH_TEST_NATS_SERVER"

// serveNATS is a nats-server as its own program is one, until it is told to end.
func serveNATS(config string) error {
	options, err := server.ProcessConfigFile(config)
	if err != nil {
		return err
	}
	options.NoSigs = true
	s, err := server.NewServer(options)
	if err != nil {
		return err
	}
	ending := make(chan os.Signal, 1)
	signal.Notify(ending, syscall.SIGTERM)
	s.ConfigureLogger()
	s.Start()
	<-ending
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// natsServer is a nats-server in a process of its own, as it is where genmesh serve runs.
type natsServer struct {
	t       *testing.T
	config  string
	running *exec.Cmd
	url     string
	options []nats.Option // of who may look whether it runs
}

// startNATSServer runs a server with its streams in a folder until the test ends.
func startNATSServer(t *testing.T, folder string) *natsServer {
	t.Helper()
	n := newNATSServer(t, folder)
	n.start()
	return n
}

// newNATSServer is one that does not run yet. Lines of more configure it.
func newNATSServer(t *testing.T, folder string, more ...string) *natsServer {
	t.Helper()
	addr := meshtest.FreeAddr(t)
	n := &natsServer{t: t, config: t.TempDir() + "/nats.conf", url: "nats://" + addr}
	require.NoError(t, os.WriteFile(n.config, fmt.Appendf(nil,
		"server_name: nats-1\nlisten: %q\njetstream {store_dir: %q, sync_interval: always, max_file_store: 1TB}\n%s", addr, folder, strings.Join(more, "\n")), 0o600))
	t.Cleanup(n.stop)
	return n
}

func (n *natsServer) start() {
	n.t.Helper()
	exe, err := os.Executable()
	require.NoError(n.t, err)
	n.running = exec.Command(exe)
	n.running.Env = append(os.Environ(), natsServerVariable+"="+n.config)
	n.running.Stderr = os.Stderr
	require.NoError(n.t, n.running.Start())
	require.Eventually(n.t, n.takesStreams, testPatience, 20*time.Millisecond)
}

func (n *natsServer) takesStreams() bool {
	nc, err := nats.Connect(n.url, n.options...)
	if err != nil {
		return false
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return false
	}
	_, err = js.AccountInfo(n.t.Context())
	return err == nil
}

// stop ends the server as a supervisor does.
func (n *natsServer) stop() {
	if n.running == nil {
		return
	}
	_ = n.running.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = n.running.Wait()
}
