//go:build linux

package app

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/embedded/disk"
)

const (
	// firstWord bounds how long senders and probes may wait until they are told, and recovery how long it takes after space returned.
	firstWord = 2 * time.Second
	recovery  = 30 * time.Second
	// noticed is given on top to a machine that does other things too.
	noticed = 4 * time.Second
)

// A file system that is small enough to be filled at once, and one whose reserve is many times what callers store between two looks at it.
const (
	smallest = 24 << 20
	small    = 256 << 20
)

// smallDisk is a file system of its own.
type smallDisk struct {
	t      *testing.T
	folder string
	filler string
}

func mountSmallDisk(t *testing.T, size int) *smallDisk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount the small file system that is filled here")
	}
	d := &smallDisk{t: t, folder: t.TempDir()}
	d.filler = filepath.Join(d.folder, "filler")
	d.run("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "genmesh-test", d.folder)
	t.Cleanup(func() { d.run("umount", "--lazy", d.folder) }) // a server that has ended lets go of its files a moment later
	return d
}

func (d *smallDisk) run(command ...string) {
	d.t.Helper()
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	require.NoError(d.t, err, "%v: %s", command, out)
}

// fill leaves at most so many bytes free. Unless that is 0 no one else meets a full disk meanwhile.
func (d *smallDisk) fill(leave int64) {
	d.t.Helper()
	file, err := os.Create(d.filler)
	require.NoError(d.t, err)
	defer file.Close()
	zeros := make([]byte, 1<<20)
	for {
		space, err := disk.Read(d.folder)
		require.NoError(d.t, err)
		if space.Free <= leave {
			return
		}
		if _, err = file.Write(zeros[:min(space.Free-leave, int64(len(zeros)))]); err != nil {
			require.ErrorContains(d.t, err, "no space left on device")
			require.Zero(d.t, leave)
		}
	}
}

func (d *smallDisk) free() { require.NoError(d.t, os.Remove(d.filler)) }

func (d *smallDisk) enlarge() { d.run("mount", "-o", "remount,size=64m", d.folder) }

// callers send calls until each is taken, and note how they are answered.
type callers struct {
	t    *testing.T
	url  string
	http http.Client

	mu      sync.Mutex
	taken   map[string]bool
	latest  time.Time // when a call was taken
	refused int
	slowest time.Duration // refusal since the count began
}

func startCallers(t *testing.T, url string, n int) (c *callers, stop func()) {
	c = &callers{t: t, url: url, taken: map[string]bool{}}
	ending := make(chan struct{})
	var all sync.WaitGroup
	for caller := range n {
		all.Go(func() {
			for i := 0; c.call(ending, fmt.Sprintf("c-%d-%d", caller, i)); i++ {
			}
		})
	}
	stop = sync.OnceFunc(func() { close(ending); all.Wait(); c.http.CloseIdleConnections() })
	t.Cleanup(stop)
	return c, stop
}

// call sends one call until it is taken; false means that it is over.
func (c *callers) call(ending <-chan struct{}, id string) bool {
	body := fmt.Sprintf(`{"call": %q, "padding": %q}`, id, strings.Repeat("x", 1000))
	for {
		request, err := http.NewRequest(http.MethodPost, c.url, strings.NewReader(body))
		if !assert.NoError(c.t, err) {
			return false
		}
		request.Header.Set("X-Key", deskKey)
		began := time.Now()
		answer, err := c.http.Do(request)
		if !assert.NoError(c.t, err) {
			return false
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if c.note(id, answer, time.Since(began)) {
			return !isClosed(ending)
		}
		select {
		case <-ending:
			return false
		case <-time.After(50 * time.Millisecond): // Retry-After says 5 s, which a test has not
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (c *callers) note(id string, answer *http.Response, took time.Duration) (taken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer.StatusCode == http.StatusAccepted || answer.StatusCode == http.StatusOK {
		c.taken[id], c.latest = true, time.Now()
		return true
	}
	assert.Equal(c.t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.NotEmpty(c.t, answer.Header.Get("Retry-After"))
	c.refused++
	c.slowest = max(c.slowest, took)
	return false
}

// refusals tells how many there were since the last time and how long the slowest took.
func (c *callers) refusals() (n int, slowest time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, slowest = c.refused, c.slowest
	c.refused, c.slowest = 0, 0
	return n, slowest
}

func (c *callers) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.taken)
}

func (c *callers) untilMore(n int, within time.Duration, p *process) {
	c.t.Helper()
	from := c.count()
	require.Eventually(c.t, func() bool { return c.count() >= from+n }, within, 10*time.Millisecond, "calls are not taken\n%s", p.log)
}

// record is a target that keeps which calls it got.
type record struct {
	mu     sync.Mutex
	closed bool // it answers 503
	calls  map[string]bool
	url    string
}

func newRecord(t *testing.T) *record {
	r := &record{calls: map[string]bool{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *record) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || r.closed {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if parts := strings.Split(string(body), `"`); len(parts) > 3 {
		r.calls[parts[3]] = true
	}
}

func (r *record) close(closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = closed
}

// missing are calls that were taken and have not arrived.
func (r *record) missing(c *callers) (missing []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range c.taken {
		if !r.calls[id] {
			missing = append(missing, id)
		}
	}
	return missing
}

func (r *record) awaitAll(c *callers, p *process) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return len(r.missing(c)) == 0 }, recovery, 50*time.Millisecond, "%d are missing\n%s", len(r.missing(c)), p.log)
}

// recorded is a streams.json with one source and one subscriber, stored as genmesh dev does.
func recorded(target string) string {
	one := strings.Replace(phones("", "", target), `"allow_direct": true}`, `"allow_direct": true, "allow_atomic": true}`, 1)
	return strings.Replace(one, `"target": {"url": "`+target, `"backoff": {"base": "100ms", "factor": 1}, "max_attempts": 50, "target": {"url": "`+target, 1)
}

// devOn runs all of genmesh dev with its data on a disk.
func devOn(t *testing.T, d *smallDisk, target string) *process {
	t.Helper()
	c := recorder(t, target)
	c.Embedded = &Embedded{DataDir: filepath.Join(d.folder, "data"), Listen: "127.0.0.1:0"}
	return startProcess(t, c)
}

// recorder takes events in and hands them on to a target.
func recorder(t *testing.T, target string) Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "streams.json")
	require.NoError(t, os.WriteFile(file, []byte(recorded(target)), 0o600))
	return Config{
		Streams: StreamsFile{Path: file}, Apply: true,
		Ingress: &Ingress{Addr: "127.0.0.1:0", Grace: time.Second}, Workers: &Workers{Grace: time.Second},
	}
}

func (p *process) desk() string { return "http://" + p.addresses.Ingress + "/webhooks/desk" }

// untilUnready waits until the process is not ready and returns why.
func (p *process) untilUnready(t *testing.T, within time.Duration) string {
	t.Helper()
	var why string
	require.Eventually(t, func() bool {
		code, text := p.get(t, "/readyz")
		why = text
		return code == http.StatusServiceUnavailable
	}, within, 20*time.Millisecond, "%s", p.log)
	return why
}

func (p *process) untilReady(t *testing.T) {
	t.Helper()
	p.eventually(t, func() bool { code, _ := p.get(t, "/readyz"); return code == http.StatusOK }, "it is ready again")
}

// failToWrite writes to a full disk behind the back of ingress, which may have seen in time that the disk is full.
func (p *process) failToWrite(t *testing.T) {
	t.Helper()
	nc, err := nats.Connect(p.addresses.NATS)
	require.NoError(t, err)
	defer nc.Close()
	p.eventually(t, func() bool {
		_ = nc.Publish("quarantine.test", make([]byte, 8<<10))
		return strings.Contains(p.log.String(), "no space left on device")
	}, "a write fails")
}

// The disk fills up at once, so that a write fails: nats-server takes nothing into that stream any more until it is started anew.
func TestAfterAFullDiskTheProcessGoesOnByItself(t *testing.T) {
	for name, giveSpace := range map[string]func(*smallDisk){"space is freed": (*smallDisk).free, "the disk grows": (*smallDisk).enlarge} {
		t.Run(name, func(t *testing.T) {
			disk, crm := mountSmallDisk(t, smallest), newRecord(t)
			p := devOn(t, disk, crm.url)
			callers, stop := startCallers(t, p.desk(), 8)
			callers.untilMore(100, recovery, p)

			disk.fill(0)
			why := p.untilUnready(t, firstWord+noticed)
			assert.Contains(t, why, "nothing is stored: ")
			assert.Contains(t, why, "Free space")
			p.failToWrite(t)
			callers.refusals()
			require.Eventually(t, func() bool { return callers.count() == callers.countAfter(time.Second) }, 10*time.Second, time.Millisecond)
			n, slowest := callers.refusals()
			assert.Positive(t, n)
			assert.Less(t, slowest, firstWord+noticed, "senders are told at once")

			giveSpace(disk)
			began := time.Now()
			callers.untilMore(100, recovery, p)
			t.Logf("calls are taken %s after space returned", time.Since(began).Round(time.Millisecond))
			p.untilReady(t)
			stop()
			crm.awaitAll(callers, p)
			p.stop()
			assert.Equal(t, 1, strings.Count(p.log.String(), "is started anew"), "%s", p.log)
		})
	}
}

// countAfter counts again after a while.
func (c *callers) countAfter(while time.Duration) int {
	<-time.After(while)
	return c.count()
}

// What is kept in reserve is for what was taken already: its deliveries go on, and nothing breaks.
func TestNearlyFullDiskTakesNoEventsAndDeliversThoseItHas(t *testing.T) {
	disk, crm := mountSmallDisk(t, small), newRecord(t)
	p := devOn(t, disk, crm.url)
	crm.close(true)
	callers, stop := startCallers(t, p.desk(), 4)
	callers.untilMore(100, recovery, p)

	disk.fill(small / 21) // a twentieth is the reserve
	why := p.untilUnready(t, firstWord+noticed)
	assert.Contains(t, why, "the disk of the data folder is nearly full. Free space until there are 17 MB")
	p.eventually(t, func() bool { n, slowest := callers.refusals(); return n > 0 && slowest < firstWord+noticed }, "senders are told at once")
	crm.close(false)
	crm.awaitAll(callers, p)

	disk.free()
	callers.untilMore(100, recovery, p)
	p.untilReady(t)
	stop()
	crm.awaitAll(callers, p)
	assert.NotContains(t, p.log.String(), "is started anew")
	assert.NotContains(t, p.log.String(), "no space left on device")
}

// A process that ends while its server waits for space ends in order.
func TestProcessEndsWhileItsDiskIsFull(t *testing.T) {
	disk, crm := mountSmallDisk(t, smallest), newRecord(t)
	p := devOn(t, disk, crm.url)
	callers, stop := startCallers(t, p.desk(), 4)
	callers.untilMore(20, recovery, p)
	disk.fill(0)
	p.untilUnready(t, firstWord+noticed)
	stop()
	p.stop()
	disk.free()
	again := devOn(t, disk, crm.url)
	again.untilReady(t)
	crm.awaitAll(callers, again)
}

// A nats-server elsewhere is the operator's to restart: the process says so, refuses at once meanwhile, and needs no hand itself.
func TestAfterAFullDiskOfAnotherServerTheProcessSaysWhatToDo(t *testing.T) {
	disk, crm := mountSmallDisk(t, smallest), newRecord(t)
	server := startNATSServer(t, filepath.Join(disk.folder, "data"))
	c := recorder(t, crm.url)
	c.NATSURL = server.url
	p := startProcess(t, c)
	callers, stop := startCallers(t, p.desk(), 8)
	callers.untilMore(100, recovery, p)

	disk.fill(0)
	const untilCertain = 5 * time.Second // a publish has this long to be answered
	why := p.untilUnready(t, untilCertain+firstWord+noticed)
	assert.Contains(t, why, "stream DESK has stored nothing since ")
	assert.Contains(t, why, "nats-server nats-1 answers, but not what is published. Its disk may be full: free space there, then restart that nats-server")
	callers.refusals()
	taken := callers.count()
	callers.countAfter(time.Second)
	n, _ := callers.refusals()
	assert.Greater(t, n, 20, "all but the few that are tried are told at once")

	disk.free()
	assert.Equal(t, taken, callers.countAfter(2*time.Second), "space alone does not help nats-server 2.15")
	server.stop()
	server.start()
	began := time.Now()
	callers.untilMore(100, recovery, p)
	t.Logf("calls are taken %s after the server was started", time.Since(began).Round(time.Millisecond))
	p.untilReady(t)
	stop()
	crm.awaitAll(callers, p)
	assert.Equal(t, 1, strings.Count(p.log.String(), "events are not taken"), "%s", p.log)
	assert.Contains(t, p.log.String(), "the stream stores events again")
}
