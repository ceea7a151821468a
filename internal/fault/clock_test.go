//go:build fault

package fault

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
	"github.com/genmesh/genmesh/internal/shipped"
)

// clockVariable names the file that says by how many seconds a process with a clock of its own is wrong.
const clockVariable = "GENMESH_FAULT_CLOCK"

// skew is what such a process has in its package time besides: the wall clock is wrong, the monotonic one is not, as after somebody set the
// clock of the machine. A process namespace has no wall clock of its own, and Go asks no library that could be put in between.
const skew = `package time

import (
	"sync/atomic"
	"syscall"
)

var wrongBy atomic.Int64 // read where the runtime has no stack for more: timers ask Now there

func init() {
	if name, ok := syscall.Getenv("` + clockVariable + `"); ok {
		go func() {
			for {
				readSkew(name)
				Sleep(20 * Millisecond)
			}
		}()
	}
}

func readSkew(name string) {
	file, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	var text [32]byte
	n, _ := syscall.Read(file, text[:])
	syscall.Close(file)
	seconds, sign := int64(0), int64(1)
	for _, c := range text[:max(n, 0)] {
		if c == '-' {
			sign = -1
		} else if c >= '0' && c <= '9' {
			seconds = 10*seconds + int64(c-'0')
		}
	}
	wrongBy.Store(sign * seconds)
}
`

// buildWithClocks builds the programs under test with a wall clock that can be set.
func buildWithClocks(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	//lint:ignore SA1019 the same tool chain builds the programs
	source := filepath.Join(runtime.GOROOT(), "src", "time", "time.go")
	plain, err := os.ReadFile(source)
	require.NoError(t, err)
	const now = "sec, nsec, mono := runtimeNow()\n"
	require.Contains(t, string(plain), now)
	changed := writeFile(t, "time.go", strings.ReplaceAll(string(plain), now, now+"\tsec += wrongBy.Load()\n"))
	added := writeFile(t, "skew.go", skew)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		source: changed, filepath.Join(filepath.Dir(source), "skew.go"): added,
	}})
	require.NoError(t, err)
	for name, pkg := range map[string]string{"genmesh": "github.com/genmesh/genmesh", "nats-server": "github.com/nats-io/nats-server/v2"} {
		compile := exec.Command("go", "build", "-overlay", writeFile(t, "overlay.json", string(overlay)), "-o", filepath.Join(folder, name), pkg)
		out, err := compile.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return folder
}

// TestTheClockJumps sets the clock of NATS, of the ingress and of the workers an hour ahead and back, each alone, under load.
func TestTheClockJumps(t *testing.T) {
	if testing.Short() {
		t.Skip("not tried: programs with a clock of their own take minutes to build; task test:fault tries it")
	}
	programs := buildWithClocks(t)
	l := ledger.New()
	crm, analytics := subscribe(t, l, "crm"), subscribe(t, l, "analytics")
	mesh := startParts(t, configuration(1, crm.entry(""), analytics.entry("")), 2)
	for _, p := range mesh.all() {
		p.Terminate(20 * time.Second)
		p.Argv[0] = filepath.Join(programs, filepath.Base(p.Argv[0]))
		p.Env = append(p.Env, clockVariable+"="+filepath.Join(t.TempDir(), "clock"))
		p.Start()
	}
	load := send(t, l, "clock", 8, 2*time.Millisecond, mesh.http...)
	for _, p := range mesh.all() {
		for _, seconds := range []int{3600, -3600, 1, 0} {
			load.more(100, time.Minute)
			setClock(t, p, seconds)
			pause(t.Context(), 3*time.Second)
		}
	}
	load.more(200, time.Minute)
	load.stop()
	v := settled(t, l, mesh.nats.jetStream(), 2*time.Minute, crm, analytics)
	figure(t, "P2", "%d events while the clocks of %d processes jumped by an hour, there and back: none missing, taken again %v", l.Tally().Answered, len(mesh.all()), v.Doubled)
}

// setClock makes the wall clock of a process wrong by so many seconds.
func setClock(t testing.TB, p *shipped.Process, seconds int) {
	t.Helper()
	file, _ := strings.CutPrefix(p.Env[len(p.Env)-1], clockVariable+"=")
	require.NoError(t, os.WriteFile(file, []byte(strconv.Itoa(seconds)), 0o600))
}
