//go:build sizing

package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// secret is what the senders sign with.
const secret = "a secret of the sizing tests"

// process is a program under test, whose use of the machine the kernel counts.
type process struct {
	t     testing.TB
	name  string
	argv  []string
	dir   string
	ready string // the URL that answers 200 once the process can do its work
	log   string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// newProcess is a program that is not started yet. It ends with the test, and the end of its log is shown if that failed.
func newProcess(t testing.TB, name, ready string, argv ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, argv: argv, ready: ready, log: filepath.Join(t.TempDir(), name+".log")}
	t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if raw, err := os.ReadFile(p.log); err == nil && t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, raw[max(0, len(raw)-4000):])
		}
	})
	return p
}

// isSetting tells what a developer's own environment says to genmesh.
func isSetting(variable string) bool {
	return strings.HasPrefix(variable, "GENMESH_") || strings.HasPrefix(variable, "NATS_") || strings.HasPrefix(variable, "OTEL_")
}

func environment() []string {
	return append(slices.DeleteFunc(os.Environ(), isSetting), "SECRET="+secret)
}

// start runs the process, waits until it is ready, and says how long that took.
func (p *process) start() time.Duration {
	p.t.Helper()
	began := time.Now()
	p.launch()
	p.awaitReady()
	return time.Since(began)
}

func (p *process) launch() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	defer log.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, environment(), log, log
	// A group of its own: what it runs under ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	require.NoError(p.t, cmd.Start())
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	p.cmd, p.done = cmd, done
}

func (p *process) awaitReady() {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return p.ended() || status(p.ready) == http.StatusOK }, 2*time.Minute, 5*time.Millisecond, "%s is not ready", p.name)
	require.False(p.t, p.ended(), "%s ended at its start", p.name)
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// end sends a signal and waits for the end.
func (p *process) end(s syscall.Signal) {
	if p.cmd == nil {
		return
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, s)
	<-p.done
}

// status is the status of a GET, or 0.
func status(url string) int {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get(url)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// usage is what a process has used so far.
type usage struct {
	cpu     time.Duration
	written float64 // bytes that it made the kernel write to a disk
}

// ticksPerSecond is the unit of processor time in /proc: the same on all of Linux that Go runs on.
const ticksPerSecond = 100

// usage reads what the kernel has counted: see proc(5).
func (p *process) usage() (u usage) {
	p.t.Helper()
	stat := p.proc("stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // from the third on
	for _, field := range fields[11:13] {                               // utime, stime
		ticks, err := strconv.ParseInt(field, 10, 64)
		require.NoError(p.t, err)
		u.cpu += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	u.written = p.value("io", "write_bytes")
	return u
}

// resident is the memory that the process has now, in bytes.
func (p *process) resident() float64 { return p.value("status", "VmRSS") * 1024 }

// value reads a line such as "name: 17 kB" of a file of the process.
func (p *process) value(file, name string) float64 {
	p.t.Helper()
	for line := range strings.Lines(p.proc(file)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			require.NoError(p.t, err)
			return n
		}
	}
	p.t.Fatalf("/proc says no %s of %s in %s", name, p.name, file)
	return 0
}

func (p *process) proc(file string) string {
	p.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	require.NoError(p.t, err, "the sizing tests need Linux, and %s to run", p.name)
	return string(raw)
}

// meter reads what processes use from now on.
type meter struct {
	of     []*process
	before []usage
}

func metered(of ...*process) meter {
	m := meter{of: of}
	for _, p := range of {
		m.before = append(m.before, p.usage())
	}
	return m
}

// each is what each process has used since then.
func (m meter) each() []usage {
	used := make([]usage, len(m.of))
	for i, p := range m.of {
		now := p.usage()
		used[i] = usage{cpu: now.cpu - m.before[i].cpu, written: now.written - m.before[i].written}
	}
	return used
}

// total is what all of them have used since then.
func (m meter) total() (sum usage) {
	for _, u := range m.each() {
		sum.cpu, sum.written = sum.cpu+u.cpu, sum.written+u.written
	}
	return sum
}

// ownCPU is the processor time of this process: of senders, of targets.
func ownCPU(t testing.TB) time.Duration {
	t.Helper()
	var own syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	return time.Duration(own.Utime.Nano() + own.Stime.Nano())
}

// micros is processor time of one of n, in microseconds.
func micros(cpu time.Duration, n int) float64 { return cpu.Seconds() * 1e6 / float64(n) }
