//go:build linux

package app

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startChild runs a genmesh dev in a process of its own, within what the shell's ulimit and the environment allow it.
func startChild(t *testing.T, target, limits string, environment ...string) (p *process, pid int) {
	t.Helper()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "streams.json"), []byte(recorded(target)), 0o600))
	exe, err := os.Executable()
	require.NoError(t, err)
	p = &process{log: new(journal)}
	child := exec.Command("sh", "-c", limits+` exec "$0"`, exe)
	child.Env = append(append(os.Environ(), childVariable+"="+folder), environment...)
	child.Stderr = p.log
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	p.stop = sync.OnceFunc(func() {
		_ = child.Process.Signal(syscall.SIGTERM) // if it ended before, Wait says so
		assert.NoError(t, child.Wait(), "%s", p.log)
	})
	t.Cleanup(p.stop)
	line, err := bufio.NewReader(out).ReadBytes('\n')
	require.NoError(t, err, "%s", p.log)
	require.NoError(t, json.Unmarshal(line, &p.addresses))
	return p, child.Process.Pid
}

// flood sends n bodies of so many bytes at once, each over a connection of its own and over seconds, and counts how they end.
func flood(t *testing.T, url string, n, size int, over time.Duration) (taken, refused int64) {
	var accepted, told, cut atomic.Int64
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			body := fmt.Sprintf(`{"call": "flood-%d", "padding": %q}`, i, strings.Repeat("x", size))
			request, err := http.NewRequest(http.MethodPost, url, &slowReader{text: body, over: over})
			if !assert.NoError(t, err) {
				return
			}
			request.ContentLength, request.Close = int64(len(body)), true
			request.Header.Set("X-Key", deskKey)
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				cut.Add(1)
				return
			}
			defer answer.Body.Close()
			switch answer.StatusCode {
			case http.StatusAccepted:
				accepted.Add(1)
			case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusRequestTimeout:
				told.Add(1)
			default:
				t.Errorf("an answer that no sender understands: %s", answer.Status)
			}
		})
	}
	all.Wait()
	t.Logf("of %d bodies %d were taken, %d refused and %d cut off", n, accepted.Load(), told.Load(), cut.Load())
	return accepted.Load(), told.Load() + cut.Load()
}

// slowReader gives a text in twenty parts.
type slowReader struct {
	text string
	over time.Duration
	at   int
}

func (r *slowReader) Read(p []byte) (int, error) {
	const parts = 20
	part := min(len(p), len(r.text)/parts+1)
	if r.at > 0 {
		<-time.After(r.over * time.Duration(part) / time.Duration(len(r.text)))
	}
	n := copy(p[:part], r.text[min(r.at, len(r.text)):])
	r.at += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// More senders come than there are descriptors: they wait to be accepted, and the streams, the targets and the console keep theirs.
func TestSendersDoNotUseUpTheDescriptors(t *testing.T) {
	crm := newRecord(t)
	p, _ := startChild(t, crm.url, "ulimit -n 128;")
	taken, _ := flood(t, p.desk(), 300, 20_000, 500*time.Millisecond)
	assert.Positive(t, taken)

	callers, stop := startCallers(t, p.desk(), 4)
	callers.untilMore(50, recovery, p)
	p.untilReady(t)
	stop()
	crm.awaitAll(callers, p)
	require.Eventually(t, func() bool { return crm.count("flood-") >= int(taken) }, recovery, 50*time.Millisecond)
	assert.NotContains(t, p.log.String(), "too many open files")
}

// count is how many calls begin so.
func (r *record) count(begin string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.calls {
		if strings.HasPrefix(id, begin) {
			n++
		}
	}
	return n
}
