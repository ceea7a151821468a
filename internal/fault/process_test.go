//go:build fault

package fault

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// secret is what the senders of these tests sign with.
const secret = "a secret of the fault tests"

// process is a program under test. It may be killed, frozen and started again.
type process struct {
	t    testing.TB
	name string
	// argv is the whole command, what it runs under included: ip netns exec, prlimit, strace.
	argv []string
	dir  string
	env  []string
	// ready is the URL that answers 200 once the process can do its work; "" is not asked.
	ready string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  string
}

// newProcess is a program that is not started yet. It ends with the test, and its log is shown if that failed.
func newProcess(t testing.TB, name, dir string, argv ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, argv: argv, dir: dir, log: filepath.Join(t.TempDir(), name+".log")}
	p.env = append(slices.DeleteFunc(os.Environ(), isSetting), "SECRET="+secret)
	t.Cleanup(func() {
		state := "running"
		if p.ended() {
			state = "ended: " + p.cmd.ProcessState.String()
		}
		p.resume()
		p.kill()
		if t.Failed() {
			t.Logf("%s (%s), the end of its log:\n%s", name, state, p.tail(60))
		}
	})
	return p
}

// isSetting tells what a developer's own environment says to genmesh.
func isSetting(variable string) bool {
	return strings.HasPrefix(variable, "GENMESH_") || strings.HasPrefix(variable, "NATS_") || strings.HasPrefix(variable, "OTEL_")
}

// genmesh is a genmesh process with a console at addr.
func genmesh(t testing.TB, name, dir, console string, args ...string) *process {
	t.Helper()
	p := newProcess(t, name, dir, append(append([]string{program("genmesh")}, args...), "--console", console)...)
	p.ready = "http://" + console + "/readyz"
	return p
}

// start runs the process and waits until it is ready.
func (p *process) start() {
	p.t.Helper()
	p.launch()
	p.awaitReady(60 * time.Second)
}

// launch runs the process.
func (p *process) launch() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	defer log.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env, log, log
	// A group of its own: what it runs under is killed with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	require.NoError(p.t, cmd.Start())
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	p.cmd, p.done = cmd, done
}

func (p *process) awaitReady(within time.Duration) {
	p.t.Helper()
	if p.ready != "" {
		require.Eventually(p.t, func() bool { return get(p.ready) == http.StatusOK || p.ended() }, within, 10*time.Millisecond, "%s is not ready", p.name)
		require.False(p.t, p.ended(), "%s ended at its start", p.name)
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// get is the status of a GET, or 0.
func get(url string) int {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func (p *process) signal(s syscall.Signal) {
	if p.cmd != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// kill ends the process without asking it.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	p.signal(syscall.SIGKILL)
	<-p.done
}

// strike kills the process from where nobody can wait for its end.
func (p *process) strike() { p.signal(syscall.SIGKILL) }

// freeze stops the process in the middle of whatever it does; resume lets it go on.
func (p *process) freeze() { p.signal(syscall.SIGSTOP) }
func (p *process) resume() { p.signal(syscall.SIGCONT) }

// terminate asks the process to end and returns its exit code.
func (p *process) terminate(within time.Duration) int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(within):
		require.Fail(p.t, "it did not end", "%s, within %s", p.name, within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// logged reports whether the process has said something.
func (p *process) logged(what string) bool {
	text, err := os.ReadFile(p.log)
	return err == nil && strings.Contains(string(text), what)
}

func (p *process) tail(lines int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprint(err)
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
