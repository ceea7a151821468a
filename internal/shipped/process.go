//go:build linux

package shipped

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

// Process is a program under test. It may be killed, frozen and started again. Its fields may change while it does not run.
type Process struct {
	Name string
	// Argv is the whole command, what it runs under included: ip netns exec, prlimit, strace.
	Argv []string
	Dir  string   // its working directory; "" is that of the test
	Env  []string // Environment at first
	// Ready is the URL that answers 200 once the process can do its work; "" is not asked.
	Ready string
	// Log is the file of all that it has said, in all of its lives.
	Log string

	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
}

// New is a program that is not started yet. It ends with the test, and the end of its log is shown if that failed.
func New(t testing.TB, name string, argv ...string) *Process {
	t.Helper()
	p := &Process{t: t, Name: name, Argv: argv, Log: filepath.Join(t.TempDir(), name+".log"), Env: Environment()}
	t.Cleanup(func() {
		state := "running"
		if !p.Running() && p.cmd != nil {
			state = "ended: " + p.cmd.ProcessState.String()
		}
		p.Resume()
		p.Kill()
		if t.Failed() {
			t.Logf("%s (%s), the end of its log:\n%s", name, state, p.Tail(60))
		}
	})
	return p
}

// Environment is that of the test, without what a developer's own says to genmesh.
func Environment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "GENMESH_") || strings.HasPrefix(variable, "NATS_") || strings.HasPrefix(variable, "OTEL_")
	})
}

// Start runs the process, waits up to two minutes until it is ready, and says how long that took.
func (p *Process) Start() time.Duration {
	p.t.Helper()
	began := time.Now()
	p.Launch()
	p.AwaitReady(2 * time.Minute)
	return time.Since(began)
}

// Launch runs the process.
func (p *Process) Launch() {
	p.t.Helper()
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	defer log.Close()
	cmd := exec.Command(p.Argv[0], p.Argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.Dir, p.Env, log, log
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

// AwaitReady waits until the process, which was launched, can do its work.
func (p *Process) AwaitReady(within time.Duration) {
	p.t.Helper()
	if p.Ready != "" {
		require.Eventually(p.t, func() bool { return Status(p.Ready) == http.StatusOK || !p.Running() }, within, 5*time.Millisecond, "%s is not ready", p.Name)
		require.True(p.t, p.Running(), "%s ended at its start", p.Name)
	}
}

// Running reports whether the process was launched and has not ended. A frozen one is running.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Done is closed when the process that was launched last has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// PID is that of the process, which was launched: of what it runs under, if that does not become the program itself.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process and what it runs under, if it was launched.
func (p *Process) Signal(s syscall.Signal) {
	if p.cmd != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// Kill ends the process without asking it.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Strike kills the process from where nobody can wait for its end.
func (p *Process) Strike() { p.Signal(syscall.SIGKILL) }

// Freeze stops the process in the middle of whatever it does; Resume lets it go on.
func (p *Process) Freeze() { p.Signal(syscall.SIGSTOP) }

// Resume lets a frozen process go on.
func (p *Process) Resume() { p.Signal(syscall.SIGCONT) }

// Terminate asks the process to end and returns its exit code.
func (p *Process) Terminate(within time.Duration) int {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(within):
		require.Fail(p.t, "it did not end", "%s, within %s", p.Name, within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// Logged is how often the process has said something.
func (p *Process) Logged(what string) int {
	p.t.Helper()
	text, err := os.ReadFile(p.Log)
	require.NoError(p.t, err)
	return strings.Count(string(text), what)
}

// Tail is the end of what the process has said.
func (p *Process) Tail(lines int) string {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		return fmt.Sprint(err)
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Status is the status of a GET, or 0.
func Status(url string) int {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}
