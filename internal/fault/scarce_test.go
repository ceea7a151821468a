//go:build fault

package fault

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
	"github.com/genmesh/genmesh/internal/shipped"
)

// TestFewFileDescriptors: a process that may open few files refuses what it can't take, and takes it when there are files again.
func TestFewFileDescriptors(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	mesh := newDev(t, writeConfiguration(t, configuration(1, crm.entry(""))), t.TempDir())
	mesh.Argv = append([]string{"prlimit", "--nofile=96"}, mesh.Argv...)
	mesh.Start()
	load := send(t, l, "few", 4, time.Millisecond, mesh.ingress)
	load.more(100, time.Minute)
	for range rounds(1, 10) {
		idle := occupy(t, mesh.ingress, 200)
		pause(t.Context(), 3*time.Second)
		for _, conn := range idle {
			conn.Close()
		}
		load.more(100, time.Minute)
	}
	load.stop()
	assert.True(t, mesh.Running())
	settled(t, l, connect(t, mesh.nats), time.Minute, crm)
}

// occupy opens connections and says nothing on them.
func occupy(t testing.TB, addr string, many int) []net.Conn {
	t.Helper()
	var all []net.Conn
	for range many {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			break // the listener's own queue is full
		}
		all = append(all, conn)
	}
	return all
}

// TestLittleMemory: a thousand large events at once, dripped, in a process whose soft limit (GOMEMLIMIT) is 192 MiB.
func TestLittleMemory(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	mesh := newDev(t, writeConfiguration(t, configuration(1, crm.entry(""))), t.TempDir())
	mesh.Env = append(mesh.Env, "GOMEMLIMIT=192MiB")
	mesh.Start()
	load := send(t, l, "memory", 4, time.Millisecond, mesh.ingress)
	load.more(100, time.Minute)
	head := "POST /webhooks/genesys HTTP/1.1\r\nHost: mesh\r\nX-Genesys-Signature: " + strings.Repeat("0", 64) + "\r\nContent-Length: 500000\r\n\r\n"
	half := strings.Repeat("x", 250_000)
	for range rounds(1, 5) {
		idle := occupy(t, mesh.ingress, 1000)
		for _, conn := range idle {
			_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
			_, _ = conn.Write([]byte(head + half))
		}
		pause(t.Context(), 2*time.Second)
		resident := residentMegabytes(t, mesh.PID())
		figure(t, "P9", "%d MiB resident with %d bodies of half a megabyte under way", resident, len(idle))
		assert.Less(t, resident, 512)
		for _, conn := range idle {
			conn.Close()
		}
		load.more(100, time.Minute)
	}
	load.stop()
	assert.True(t, mesh.Running())
	settled(t, l, connect(t, mesh.nats), time.Minute, crm)
}

func residentMegabytes(t testing.TB, pid int) int {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if size, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.Atoi(strings.Fields(size)[0])
			require.NoError(t, err)
			return kilobytes / 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// TestTheDiskFillsAndEmpties: while the disk is full senders are told to come again, and the process says why; when there is space again, all goes
// on by itself.
func TestTheDiskFillsAndEmpties(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	store := newMemory(t, 96)
	mesh := newDev(t, writeConfiguration(t, configuration(1, crm.entry(""))), store)
	mesh.Start()
	load := send(t, l, "full", 8, 0, mesh.ingress)
	for range rounds(1, 5) {
		load.more(200, time.Minute)
		filler := filepath.Join(store, "filler")
		_ = exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=64k").Run() // until nothing goes on to the disk any more
		require.Eventually(t, func() bool { return shipped.Status(mesh.Ready) == 503 }, 20*time.Second, 100*time.Millisecond, "it does not say that it can't store")
		before := l.Tally().Answered
		pause(t.Context(), 3*time.Second)
		assert.Equal(t, before, l.Tally().Answered, "nothing is answered that is not stored")
		require.NoError(t, os.Remove(filler))
		load.more(100, 30*time.Second)
		require.Eventually(t, func() bool { return shipped.Status(mesh.Ready) == 200 }, 30*time.Second, 100*time.Millisecond, "it is ready again")
	}
	load.stop()
	figure(t, "P12", "genmesh dev on a disk that fills and empties: %d events answered, longest stall %s with the 3 s that it was held full", l.Tally().Answered, l.Tally().Stall.Round(time.Millisecond))
	settled(t, l, connect(t, mesh.nats), time.Minute, crm)
}

// TestTheDiskSaysThatItCannotSync: after an error of fsync nothing may be answered 2xx until NATS was started again, for nobody knows what of it is
// on the disk.
func TestTheDiskSaysThatItCannotSync(t *testing.T) {
	l := ledger.New()
	crm := subscribe(t, l, "crm")
	disk := newDisk(t, 512)
	mesh := &parts{nats: newNode(t, disk.dir)}
	mesh.nats.Dir = t.TempDir()
	plain := mesh.nats.Argv
	mesh.nats.Start()
	dir := writeConfiguration(t, configuration(1, crm.entry("")))
	mesh.nats.apply(dir)
	ingress := mesh.addIngress(t, dir, mesh.nats.url)
	mesh.addWorkers(t, dir, mesh.nats.url)
	mesh.nats.Kill()
	mesh.nats.Argv = append([]string{"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=200+"}, plain...)
	mesh.nats.Start()
	load := send(t, l, "eio", 8, 0, mesh.http...)
	require.Eventually(t, func() bool { return ingress.Logged("events are not taken") > 0 }, time.Minute, 10*time.Millisecond, "nothing is said of it")
	pause(t.Context(), time.Second) // what was stored before is answered by now
	before := l.Tally().Answered
	pause(t.Context(), 5*time.Second)
	assert.Equal(t, before, l.Tally().Answered, "nothing is answered that may not be on the disk")
	disk.cut() // what was never synced is gone
	mesh.nats.Kill()
	disk.back()
	mesh.nats.Argv = plain
	mesh.nats.Start()
	load.more(100, time.Minute)
	load.stop()
	settled(t, l, mesh.nats.jetStream(), time.Minute, crm)
}
