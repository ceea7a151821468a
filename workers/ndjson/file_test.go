package ndjson

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

func TestURLsOfFiles(t *testing.T) {
	for url, want := range map[string]string{
		"file:events.ndjson":           "events.ndjson",
		"file:var/events.ndjson":       "var/events.ndjson",
		"file:../events.ndjson":        "../events.ndjson",
		"file:/var/events.ndjson":      "/var/events.ndjson",
		"file:///var/events.ndjson":    "/var/events.ndjson",
		"file:///var/my%20events.json": "/var/my events.json",
		"file:my%20events.json":        "my events.json",
		"file:":                        "",
		"file:/":                       "",
		"file:folder/":                 "",
		"file://host/events":           "",
		"file:events?rotate=1":         "",
		"file:events#1":                "",
		"file:a%00b":                   "",
		"file:a%zzb":                   "",
		"events.ndjson":                "",
		"http://host/events":           "",
	} {
		path, err := parsePath(mesh.Target{URL: url})
		assert.Equal(t, want, path, url)
		assert.Equal(t, want == "", err != nil, url)
		checked := Check(mesh.Target{URL: url})
		assert.Equal(t, want == "", checked != nil, url)
		if want == "" {
			assert.ErrorContains(t, checked, "url: ")
		}
	}
	assert.NotContains(t, Check(mesh.Target{URL: "file://user:s3cret@host/events"}).Error(), "s3cret")
}

func TestFilesAndFoldersAreNotForEveryone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(folder, "events.ndjson")
	target := newTarget(t, mesh.Target{URL: "file:" + path})
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	for name, want := range map[string]os.FileMode{path: 0o600, path + ".lock": 0o600, folder: 0o750} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&^want, name)
	}
}

func TestATornLastLineIsCutOff(t *testing.T) {
	whole := string(encodeLine(targettest.Event(1)))
	for name, torn := range map[string]string{
		"none":         "",
		"short":        `{"source":"gen`,
		"long":         strings.Repeat("x", 200<<10),
		"zeros":        strings.Repeat("\x00", 4096),
		"no line feed": `{"source":"genesys"}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.ndjson")
			require.NoError(t, os.WriteFile(path, []byte(whole+torn), 0o600))
			log, logged := test.NewNullLogger()
			target, err := New(mesh.Target{URL: "file:" + path}, "analytics", log)
			require.NoError(t, err)
			defer target.Close() //nolint:errcheck // a test
			require.NoError(t, target.Handle(t.Context(), targettest.Event(2)))
			assert.Equal(t, []uint64{1, 2}, sequences(arrivals(t, path)))
			if torn == "" {
				assert.Empty(t, logged.Entries)
				return
			}
			assert.Equal(t, int64(len(torn)), logged.LastEntry().Data["bytes"])
		})
	}
}

func TestATornFirstLineIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("x", 64<<10)), 0o600))
	target := newTarget(t, mesh.Target{URL: "file:" + path})
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	assert.Equal(t, []uint64{1}, sequences(arrivals(t, path)))
}

func TestRotationKeepsEveryLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	line := int64(len(encodeLine(targettest.Event(10))))
	target := newTarget(t, mesh.Target{URL: "file:" + path, RotateBytes: 3 * line})
	for i := range 20 {
		require.NoError(t, target.Handle(t.Context(), targettest.Event(uint64(i+10))))
	}
	rotated, err := filepath.Glob(filepath.Join(filepath.Dir(path), "events-*Z-[0-9][0-9][0-9].ndjson"))
	require.NoError(t, err)
	require.Len(t, rotated, 6, "three lines each")
	slices.Sort(rotated)
	got := sequences(arrivals(t, append(rotated, path)...))
	assert.Len(t, got, 20)
	assert.True(t, slices.IsSorted(got), "the names sort by time: %v", got)
}

func TestRotationNeverOverwrites(t *testing.T) {
	f := newFile(filepath.Join(t.TempDir(), "events.ndjson"), 1, quiet())
	now := time.Date(2026, 11, 23, 14, 15, 0, 0, time.UTC)
	first, err := f.rotatedName(now)
	require.NoError(t, err)
	assert.Equal(t, "events-20261123T141500.000Z-000.ndjson", filepath.Base(first))
	require.NoError(t, os.WriteFile(first, nil, 0o600))
	second, err := f.rotatedName(now)
	require.NoError(t, err)
	assert.Equal(t, "events-20261123T141500.000Z-001.ndjson", filepath.Base(second))
}

func TestReopenAfterLogrotate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	target := newTarget(t, mesh.Target{URL: "file:" + path})
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	require.NoError(t, os.Rename(path, path+".1"))
	require.NoError(t, target.Handle(t.Context(), targettest.Event(2)))
	require.NoError(t, target.Reopen())
	require.NoError(t, target.Handle(t.Context(), targettest.Event(3)))
	assert.Equal(t, []uint64{1, 2}, sequences(arrivals(t, path+".1")))
	assert.Equal(t, []uint64{3}, sequences(arrivals(t, path)))
	require.NoError(t, target.Close())
	assert.ErrorIs(t, target.Reopen(), errClosed)
}

// faulty is a real file whose writes or fsyncs fail while the faults are on.
type faulty struct {
	handle
	faults *faults
}

type faults struct {
	write, sync, truncate atomic.Bool
}

func (f faulty) Write(p []byte) (int, error) {
	if !f.faults.write.Load() {
		return f.handle.Write(p)
	}
	n, err := f.handle.Write(p[:len(p)/2]) // as a full disk does
	return n, errors.Join(syscall.ENOSPC, err)
}

func (f faulty) Sync() error {
	if f.faults.sync.Load() {
		return syscall.EIO
	}
	return f.handle.Sync()
}

func (f faulty) Truncate(size int64) error {
	if f.faults.truncate.Load() {
		return syscall.EIO
	}
	return f.handle.Truncate(size)
}

func TestAFailedWriteLeavesNoHalfLine(t *testing.T) {
	for name, on := range map[string]func(f *faults){
		"write":              func(f *faults) { f.write.Store(true) },
		"fsync":              func(f *faults) { f.sync.Store(true) },
		"write and truncate": func(f *faults) { f.write.Store(true); f.truncate.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.ndjson")
			target := newTarget(t, mesh.Target{URL: "file:" + path})
			fault := &faults{}
			target.file.open = func(path string) (handle, error) {
				h, err := openRegular(path)
				return faulty{h, fault}, err
			}
			require.NoError(t, target.Reopen())
			require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))

			on(fault)
			err := target.Handle(t.Context(), targettest.Event(2))
			require.ErrorContains(t, err, path)
			assert.Equal(t, workers.Wait, targettest.FateOf(err), "the file's fault, not the event's")

			*fault = faults{}
			require.NoError(t, target.Handle(t.Context(), targettest.Event(3)))
			require.NoError(t, target.Handle(t.Context(), targettest.Event(2)))
			assert.Equal(t, []uint64{1, 3, 2}, sequences(arrivals(t, path)))
		})
	}
}

func TestWaitingCallsShareACommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	target := newTarget(t, mesh.Target{URL: "file:" + path})
	var syncs atomic.Int32
	entered, leave := make(chan struct{}, 64), make(chan struct{})
	target.file.open = func(path string) (handle, error) {
		h, err := openRegular(path)
		return slow{h, func() { syncs.Add(1); entered <- struct{}{}; <-leave }}, err
	}
	require.NoError(t, target.Reopen())

	var calls sync.WaitGroup
	calls.Go(func() { assert.NoError(t, target.Handle(t.Context(), targettest.Event(1))) })
	<-entered // the first commit is under way
	for i := range 50 {
		calls.Go(func() { assert.NoError(t, target.Handle(t.Context(), targettest.Event(uint64(i+2)))) })
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- target.Handle(ctx, targettest.Event(99)) }()
	require.Eventually(t, func() bool { return waitingCalls(target) == 51 }, 20*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	assert.Equal(t, 50, waitingCalls(target), "who gives up before the commit is taken out of it")
	close(leave)
	calls.Wait()
	assert.Equal(t, int32(2), syncs.Load())
	assert.Len(t, arrivals(t, path), 51)
}

func TestAHangingDiskEndsACallInTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	target := newTarget(t, mesh.Target{URL: "file:" + path, Timeout: mesh.Duration(20 * time.Millisecond)})
	leave := make(chan struct{})
	target.file.open = func(path string) (handle, error) {
		h, err := openRegular(path)
		return slow{h, func() { <-leave }}, err
	}
	require.NoError(t, target.Reopen())
	for i := range 3 {
		err := target.Handle(t.Context(), targettest.Event(uint64(i+1)))
		require.ErrorContains(t, err, "within 20ms")
		assert.Equal(t, workers.Wait, targettest.FateOf(err))
	}
	assert.Zero(t, waitingCalls(target), "nothing piles up")
	close(leave)
}

type slow struct {
	handle
	beforeSync func()
}

func (s slow) Sync() error {
	s.beforeSync()
	return s.handle.Sync()
}

func waitingCalls(target *Target) int {
	target.mu.Lock()
	defer target.mu.Unlock()
	return len(target.waiting)
}

func TestAFileHasOneWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.ndjson")
	release := holdInAnotherProcess(t, path)

	target := newTarget(t, mesh.Target{URL: "file:" + path})
	err := target.Handle(t.Context(), targettest.Event(2))
	require.ErrorIs(t, err, errLocked)
	require.ErrorContains(t, err, path)
	assert.Equal(t, workers.Wait, targettest.FateOf(err))

	release()
	require.NoError(t, target.Handle(t.Context(), targettest.Event(2)))
	assert.Equal(t, []uint64{1, 2}, sequences(arrivals(t, path)))
}

const holdVariable = "GENMESH_TEST_HOLD_FILE"

// holdInAnotherProcess runs TestHold in a process of its own until release is called.
func holdInAnotherProcess(t *testing.T, path string) (release func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHold$")
	cmd.Env = append(os.Environ(), holdVariable+"="+path)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	release = sync.OnceFunc(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(release)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "holding\n", line)
	return release
}

func TestHold(t *testing.T) {
	path := os.Getenv(holdVariable)
	if path == "" {
		t.Skip("only as a process of another test")
	}
	target, err := New(mesh.Target{URL: "file:" + path}, "analytics", quiet())
	require.NoError(t, err)
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	fmt.Println("holding")
	_, _ = io.Copy(io.Discard, os.Stdin)
	// The process ends without Close, as a killed one does: the lock ends with it.
}

func TestNewRefusesWhatIsNoFile(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "file"), nil, 0o600))
	require.NoError(t, os.Symlink("/dev/null", filepath.Join(folder, "device")))
	for _, url := range []string{"file:" + folder, "file:" + folder + "/file/below.ndjson", "file:" + folder + "/device"} {
		_, err := New(mesh.Target{URL: url}, "analytics", quiet())
		assert.ErrorContains(t, err, "subscriber analytics", url)
	}
}

func sequences(arrived []targettest.Arrival) []uint64 {
	var found []uint64
	for _, a := range arrived {
		found = append(found, a.Sequence)
	}
	return found
}

func BenchmarkHandle(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			target := newTarget(b, mesh.Target{URL: "file:" + filepath.Join(b.TempDir(), "events.ndjson")})
			var left atomic.Int64
			left.Store(int64(b.N))
			var calls sync.WaitGroup
			b.ResetTimer()
			for range callers {
				calls.Go(func() {
					for left.Add(-1) >= 0 {
						if err := target.Handle(b.Context(), targettest.Event(1)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			calls.Wait()
		})
	}
}
