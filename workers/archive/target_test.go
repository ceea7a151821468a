package archive

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/ndjson"
	"github.com/genmesh/genmesh/workers/targettest"
)

func TestConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		folder := t.TempDir()
		target := newTarget(t, mesh.Target{URL: LocalScheme + "://" + folder, FlushEvery: mesh.Duration(5 * time.Millisecond)})
		return targettest.Fixture{Target: target, Arrived: func(t testing.TB) []targettest.Arrival { return arrivals(t, folder) }}
	})
}

func TestEventsAreGatheredIntoOneObjectOfTheirHour(t *testing.T) {
	folder := t.TempDir()
	target := newTarget(t, mesh.Target{URL: LocalScheme + "://" + folder, FlushEvents: 100, FlushEvery: mesh.Duration(time.Hour)})
	handleAll(t, target, events(1, 100)...)

	names := objectNames(t, folder)
	require.Len(t, names, 1)
	assert.Regexp(t, regexp.MustCompile(
		`^INTERACTIONS/year=2026/month=11/day=23/hour=14/000000000001-000000000100-[0-9a-f]{16}\.ndjson\.gz$`), names[0])
	lines := bytes.SplitAfter(content(t, folder, names[0]), []byte("\n"))
	require.Len(t, lines, 101, "the last is empty")
	for i, event := range events(1, 100) {
		assert.Equal(t, string(ndjson.Line(event)), string(lines[i]))
	}
}

func TestTheHourIsThatOfTheStoringInUTC(t *testing.T) {
	folder := t.TempDir()
	target := newTarget(t, mesh.Target{URL: LocalScheme + "://" + folder, FlushEvents: 3, FlushEvery: mesh.Duration(time.Hour)})
	all := events(1, 3)
	all[0].Stored = time.Date(2026, 11, 24, 0, 59, 59, 0, time.FixedZone("CET", 3600))
	all[1].Stored = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	all[2].Stored, all[2].Stream = all[0].Stored, "../../etc/passwd"
	handleAll(t, target, all...)
	names := strings.Join(objectNames(t, folder), "\n")
	assert.Contains(t, names, "INTERACTIONS/year=2026/month=11/day=23/hour=23/000000000001-000000000001-")
	assert.Contains(t, names, "INTERACTIONS/year=2026/month=11/day=24/hour=00/000000000002-000000000002-")
	assert.Contains(t, names, "______etc_passwd/year=2026/month=11/day=23/hour=23/000000000003-")
}

func TestTheTimeEndsTheGathering(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		target := newTarget(t, mesh.Target{URL: LocalScheme + "://" + folder})
		start := time.Now()
		handleAll(t, target, events(1, 7)...)
		assert.Equal(t, 10*time.Second, time.Since(start))
	})
	assert.Len(t, objectNames(t, folder), 1)
}

func TestTheSizeEndsTheGathering(t *testing.T) {
	folder := t.TempDir()
	target := newTarget(t, mesh.Target{URL: LocalScheme + "://" + folder, FlushEvents: 40, FlushEvery: mesh.Duration(time.Hour)})
	target.groupBytes = 32 << 10
	all := events(1, 80)
	for i := range all {
		all[i].Body = []byte(`"` + strings.Repeat("x", 1<<10) + `"`)
	}
	// Some 22 fit into a group: three groups, and the rest waits for Close.
	var calls sync.WaitGroup
	for _, event := range all {
		calls.Go(func() { assert.NoError(t, target.Handle(t.Context(), event)) })
	}
	require.Eventually(t, func() bool {
		return len(objectNames(t, folder)) == 3 && len(arrivals(t, folder))+target.waiting() == 80
	}, time.Minute, 5*time.Millisecond)
	require.NoError(t, target.Close())
	calls.Wait()
	assert.Len(t, objectNames(t, folder), 4)
	assert.Len(t, arrivals(t, folder), 80)
}

func TestCloseWritesWhatIsGathered(t *testing.T) {
	folder := t.TempDir()
	target := newTarget(t, mesh.Target{URL: LocalScheme + "://" + folder, FlushEvery: mesh.Duration(time.Hour)})
	handled := make(chan error, 1)
	go func() { handled <- target.Handle(t.Context(), targettest.Event(1)) }()
	require.Eventually(t, func() bool { return target.waiting() == 1 }, 20*time.Second, time.Millisecond)
	require.NoError(t, target.Close())
	require.NoError(t, <-handled)
	assert.Len(t, arrivals(t, folder), 1)
}

func TestACallThatIsGivenUpIsNotWritten(t *testing.T) {
	folder := t.TempDir()
	target := newTarget(t, mesh.Target{URL: LocalScheme + "://" + folder, FlushEvents: 2, FlushEvery: mesh.Duration(time.Hour)})
	ctx, cancel := context.WithCancel(t.Context())
	handled := make(chan error, 1)
	go func() { handled <- target.Handle(ctx, targettest.Event(1)) }()
	require.Eventually(t, func() bool { return target.waiting() == 1 }, 20*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-handled, context.Canceled)
	handleAll(t, target, events(2, 2)...)
	found := arrivals(t, folder)
	require.Len(t, found, 2)
	assert.Equal(t, uint64(2), found[0].Sequence)
}

func TestAFailedObjectFailsItsEventsAndTheSubscriberWaits(t *testing.T) {
	folder := t.TempDir()
	archive := filepath.Join(folder, "archive")
	require.NoError(t, os.WriteFile(archive, nil, 0o600), "a file where the folder should be")
	target := newTarget(t, mesh.Target{URL: LocalScheme + "://" + archive, FlushEvents: 3, FlushEvery: mesh.Duration(time.Hour)})
	var calls sync.WaitGroup
	for _, event := range events(1, 3) {
		calls.Go(func() {
			err := target.Handle(t.Context(), event)
			assert.ErrorContains(t, err, "archive 3 events in "+LocalScheme+"://"+archive)
			assert.Equal(t, workers.Wait, targettest.FateOf(err))
		})
	}
	calls.Wait()
	require.NoError(t, os.Remove(archive))
	handleAll(t, target, events(1, 3)...)
	assert.Len(t, arrivals(t, archive), 3)
}

func TestTheSameObjectIsWrittenOverItself(t *testing.T) {
	folder := t.TempDir()
	target := newTarget(t, mesh.Target{URL: LocalScheme + "://" + folder, FlushEvents: 5, FlushEvery: mesh.Duration(time.Hour)})
	handleAll(t, target, events(1, 5)...)
	handleAll(t, target, events(1, 5)...)
	assert.Len(t, objectNames(t, folder), 1)
	handleAll(t, target, events(2, 5)...)
	assert.Len(t, objectNames(t, folder), 2)
}

// TestMemoryIsBounded: a store that hangs stops the intake.
func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newTarget(t, mesh.Target{URL: LocalScheme + "://" + t.TempDir(), Timeout: mesh.Duration(time.Hour)})
		target.store, target.held = hangingStore{}, semaphore.NewWeighted(10*weightOf(targettest.Event(1)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var full int
		var mu sync.Mutex
		var calls sync.WaitGroup
		for range 50 {
			calls.Go(func() {
				if err := target.Handle(ctx, targettest.Event(1)); err != nil && strings.Contains(err.Error(), "fills the memory") {
					mu.Lock()
					full++
					mu.Unlock()
				}
			})
		}
		calls.Wait()
		assert.Equal(t, 40, full)
	})
}

// hangingStore takes nothing before the context ends.
type hangingStore struct{}

func (hangingStore) put(ctx context.Context, _ string, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}
func (hangingStore) close() error { return nil }

func TestURLs(t *testing.T) {
	for url, want := range map[string]string{
		"archive+file:///var/archive": "", "archive+file:archive": "", "archive+file:/var/my%20archive": "",
		"archive+file:":                    "not of the form",
		"archive+file:///":                 "not of the form",
		"archive+file://host/var":          "not of the form",
		"archive+file:///var?token=s3cret": "not of the form",
		"archive+file:///var#x":            "not of the form",
		"http://host/":                     `the scheme "http" is no archive's`,
		"://s3cret":                        "can't be read",
	} {
		checked := Check(mesh.Target{URL: url})
		_, err := New(mesh.Target{URL: url}, "lake", quiet())
		if want == "" {
			assert.NoError(t, checked, url)
			assert.NoError(t, err, url)
			continue
		}
		require.ErrorContains(t, err, want, url)
		assert.ErrorContains(t, err, "subscriber lake")
		require.ErrorContains(t, checked, "url: ")
		assert.ErrorContains(t, err, strings.TrimPrefix(checked.Error(), "url: "), "both say the same")
		assert.NotContains(t, err.Error(), "s3cret")
	}
}

func TestWhatIsNotBuiltInIsSaid(t *testing.T) {
	for scheme, tag := range known {
		got, ok := Known(scheme)
		assert.True(t, ok)
		assert.Equal(t, tag, got)
		if _, builtIn := makers()[scheme]; builtIn {
			assert.Contains(t, Schemes(), scheme)
			continue
		}
		_, err := New(mesh.Target{URL: scheme + "://bucket/prefix"}, "lake", quiet())
		assert.ErrorContains(t, err, "build with -tags "+tag)
	}
	_, ok := Known("ftp")
	assert.False(t, ok)
	assert.Contains(t, Schemes(), LocalScheme)
}

func TestFilesAreForTheirOwner(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "archive")
	target := newTarget(t, mesh.Target{URL: LocalScheme + "://" + folder, FlushEvery: mesh.Duration(time.Millisecond)})
	handleAll(t, target, targettest.Event(1))
	info, err := os.Stat(filepath.Join(folder, objectNames(t, folder)[0]))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o600), info.Mode())
	info, err = os.Stat(folder)
	require.NoError(t, err)
	assert.Zero(t, info.Mode().Perm()&^0o750)
}

func FuzzPartition(f *testing.F) {
	f.Add("INTERACTIONS", int64(1764000000))
	f.Add("../..", int64(-1))
	f.Add("", int64(1<<40))
	f.Fuzz(func(t *testing.T, stream string, unix int64) {
		name := partition(mesh.Event{Stream: stream, Stored: time.Unix(unix, 0)})
		if !filepath.IsLocal(name) || filepath.Clean(name) != name || strings.Count(name, "/") != 4 {
			t.Fatalf("%q", name)
		}
	})
}

// BenchmarkHandle writes groups of a thousand events.
func BenchmarkHandle(b *testing.B) {
	target := newTarget(b, mesh.Target{URL: LocalScheme + "://" + b.TempDir(), FlushEvents: 1000, FlushEvery: mesh.Duration(50 * time.Millisecond)})
	b.SetParallelism(2000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for n := uint64(1); pb.Next(); n++ {
			if err := target.Handle(b.Context(), targettest.Event(n)); err != nil {
				b.Error(err)
			}
		}
	})
}

// waiting counts the writes that gather.
func (t *Target) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		return 0
	}
	return t.open.live
}

func handleAll(t *testing.T, target *Target, events ...mesh.Event) {
	t.Helper()
	var calls sync.WaitGroup
	for _, event := range events {
		calls.Go(func() { assert.NoError(t, target.Handle(t.Context(), event)) })
	}
	calls.Wait()
}

func events(first uint64, n int) []mesh.Event {
	all := make([]mesh.Event, n)
	for i := range all {
		all[i] = targettest.Event(first + uint64(i))
	}
	return all
}

func newTarget(t testing.TB, target mesh.Target) *Target {
	t.Helper()
	made, err := New(target, "lake", quiet())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, made.Close()) })
	return made
}

func quiet() *logrus.Logger {
	log, _ := test.NewNullLogger()
	return log
}

func objectNames(t testing.TB, folder string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a temporary name that is gone
			return nil
		}
		if err == nil && strings.HasSuffix(path, ".ndjson.gz") {
			name, _ := filepath.Rel(folder, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	require.NoError(t, err)
	return names
}

func content(t testing.TB, folder, name string) []byte {
	t.Helper()
	read, err := os.ReadFile(filepath.Join(folder, name))
	require.NoError(t, err)
	return unzip(t, read)
}

func unzip(t testing.TB, zipped []byte) []byte {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(zipped))
	require.NoError(t, err)
	plain, err := io.ReadAll(zip)
	require.NoError(t, err)
	return plain
}

func arrivals(t testing.TB, folder string) []targettest.Arrival {
	t.Helper()
	var found []targettest.Arrival
	for _, name := range objectNames(t, folder) {
		found = append(found, parseLines(t, content(t, folder, name))...)
	}
	return found
}

func parseLines(t testing.TB, lines []byte) []targettest.Arrival {
	t.Helper()
	var found []targettest.Arrival
	for line := range bytes.Lines(lines) {
		var fields struct {
			Source, Type, Interaction string
			Sequence                  uint64
			Key                       string          `json:"idempotency_key"`
			Body                      json.RawMessage `json:"body"`
			BodyBase64                []byte          `json:"body_base64"`
		}
		require.NoError(t, json.Unmarshal(line, &fields))
		a := targettest.Arrival{
			Source: fields.Source, Type: fields.Type, Interaction: fields.Interaction,
			Sequence: fields.Sequence, Key: fields.Key, Body: fields.BodyBase64,
		}
		if fields.Body != nil {
			a.Body = fields.Body
		}
		found = append(found, a)
	}
	return found
}
