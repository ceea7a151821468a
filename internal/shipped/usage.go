//go:build linux

package shipped

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Usage is what a process has used of the machine.
type Usage struct {
	CPU     time.Duration
	Written float64 // bytes that it made the kernel write to a disk
}

// ticksPerSecond is the unit of processor time in /proc: the same on all of Linux that Go runs on.
const ticksPerSecond = 100

// Usage reads what the kernel has counted since the process was launched: see proc(5).
func (p *Process) Usage() (u Usage) {
	p.t.Helper()
	stat := p.proc("stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]) // from the third on
	for _, field := range fields[11:13] {                               // utime, stime
		ticks, err := strconv.ParseInt(field, 10, 64)
		require.NoError(p.t, err)
		u.CPU += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	u.Written = p.value("io", "write_bytes")
	return u
}

// Resident is the memory that the process has now, in bytes.
func (p *Process) Resident() float64 { return p.value("status", "VmRSS") * 1024 }

// value reads a line such as "name: 17 kB" of a file of the process.
func (p *Process) value(file, name string) float64 {
	p.t.Helper()
	for line := range strings.Lines(p.proc(file)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			require.NoError(p.t, err)
			return n
		}
	}
	p.t.Fatalf("/proc says no %s of %s in %s", name, p.Name, file)
	return 0
}

func (p *Process) proc(file string) string {
	p.t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.PID(), file))
	require.NoError(p.t, err, "what %s uses is read from /proc while it runs", p.Name)
	return string(raw)
}

// Meter reads what processes use from a time on.
type Meter struct {
	of     []*Process
	before []Usage
}

// Metered begins now.
func Metered(of ...*Process) Meter {
	m := Meter{of: of}
	for _, p := range of {
		m.before = append(m.before, p.Usage())
	}
	return m
}

// Each is what each process has used since then.
func (m Meter) Each() []Usage {
	used := make([]Usage, len(m.of))
	for i, p := range m.of {
		now := p.Usage()
		used[i] = Usage{CPU: now.CPU - m.before[i].CPU, Written: now.Written - m.before[i].Written}
	}
	return used
}

// Total is what all of them have used since then.
func (m Meter) Total() (sum Usage) {
	for _, u := range m.Each() {
		sum.CPU, sum.Written = sum.CPU+u.CPU, sum.Written+u.Written
	}
	return sum
}

// OwnCPU is the processor time of the process that asks.
func OwnCPU(t testing.TB) time.Duration {
	t.Helper()
	var own syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &own))
	return time.Duration(own.Utime.Nano() + own.Stime.Nano())
}
