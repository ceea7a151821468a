package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/meshtest"
)

// child is a genmesh in a process of its own, which can be killed and started again.
type child struct {
	t       testing.TB
	args    []string
	console string
	cmd     *exec.Cmd
	mu      sync.Mutex
	output  bytes.Buffer
}

// startChild runs genmesh with args and a console address, in dir, until the test ends.
func startChild(t testing.TB, dir string, args ...string) *child {
	t.Helper()
	c := &child{t: t, console: meshtest.FreeAddr(t)}
	c.args = append(args, "--console", c.console)
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("the output of %v:\n%s", c.args, c.String())
		}
	})
	c.start(dir)
	return c
}

func (c *child) start(dir string) {
	c.t.Helper()
	raw, err := json.Marshal(c.args)
	require.NoError(c.t, err)
	exe, err := os.Executable()
	require.NoError(c.t, err)
	cmd := exec.Command(exe)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), argsVariable+"="+string(raw), "SECRET="+secret)
	cmd.Stdout, cmd.Stderr = c, c
	require.NoError(c.t, cmd.Start())
	c.cmd = cmd
	c.awaitReady()
}

// again starts the process anew, as a supervisor does.
func (c *child) again() {
	c.t.Helper()
	c.start(c.cmd.Dir)
}

func (c *child) awaitReady() {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		resp, err := http.Get("http://" + c.console + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, 30*time.Second, 10*time.Millisecond, "the process is not ready")
}

// kill ends the process as a power switch does: it gets no chance to tidy up.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
}

// terminate asks the process to end and returns its exit code.
func (c *child) terminate() int {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(syscall.SIGTERM))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.cmd.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		c.t.Error("the process did not end in time")
		_ = c.cmd.Process.Kill()
		<-ended
	}
	return c.cmd.ProcessState.ExitCode()
}

func (c *child) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.Write(p)
}

func (c *child) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String()
}
