package api

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// following is an event stream that somebody reads.
type following struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Scanner
	cancel   context.CancelFunc
}

func (s *station) follow(role access.Role, path string) *following {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+root+path, http.NoBody)
	require.NoError(s.t, err)
	r.Header.Set("Authorization", "Bearer "+string(role))
	response, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = response.Body.Close() })
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	return &following{t: s.t, response: response, lines: lines, cancel: cancel}
}

// next is the data of the next event; false if there is none any more.
func (f *following) next(name string, into any) bool {
	f.t.Helper()
	event := ""
	for f.lines.Scan() {
		if value, ok := strings.CutPrefix(f.lines.Text(), "event: "); ok {
			event = value
		}
		if value, ok := strings.CutPrefix(f.lines.Text(), "data: "); ok {
			require.Equal(f.t, name, event)
			require.NoError(f.t, json.Unmarshal([]byte(value), into))
			return true
		}
	}
	return false
}

func (f *following) end() { f.cancel() }

func TestLiveSendsEachNewSnapshotOnce(t *testing.T) {
	s := newStation(t)
	busy := live.Snapshot{At: moment2026(0), Subscribers: map[string]live.SubscriberFlow{
		"crm": {Out: 7, Errors: []live.Error{{Class: "rejected", Text: "of <alice>"}}},
	}}
	s.sample(busy)
	f := s.follow(access.Operator, "/live")
	assert.Equal(t, "text/event-stream", f.response.Header.Get("Content-Type"))
	assert.Equal(t, "no-store", f.response.Header.Get("Cache-Control"))
	var got live.Snapshot
	require.True(t, f.next("snapshot", &got))
	assert.Equal(t, busy.Subscribers, got.Subscribers)

	viewed := s.follow(access.Viewer, "/live")
	require.True(t, viewed.next("snapshot", &got))
	assert.Empty(t, got.Subscribers["crm"].Errors, "viewers may not read what a target says of a sensitive source")
	assert.Equal(t, "of <alice>", s.live().Subscribers["crm"].Errors[0].Text, "the snapshot is shared")

	busy.At = moment2026(1)
	s.sample(busy)
	require.True(t, f.next("snapshot", &got))
	assert.Equal(t, moment2026(1), got.At, "the one before is not sent twice")
}

func TestWhereNobodyWatchesThereIsNothingLive(t *testing.T) {
	s := newStation(t)
	s.serve(Options{Operator: s.direct, Viewer: s.direct, Tasks: s.tasks, Logger: meshtest.Quiet()})
	got := s.ask(access.Viewer, http.MethodGet, "/live", "")
	assert.Equal(t, http.StatusNotFound, got.status)
	assert.Equal(t, "urn:genmesh:problem:not-found", problemOf(t, got).Type)
}

func TestATaskIsFollowedToItsEnd(t *testing.T) {
	s := newStation(t)
	further := make(chan int)
	task, err := s.tasks.Start(admin.ActionDeadReplay, "crm", admin.By{}, func(_ context.Context, progress admin.Progress) (any, error) {
		for done := range further {
			progress(done, 3)
		}
		return admin.ActResult{Action: "replay", Chosen: 3, Done: 3}, admin.Conflict("password hunter2")
	})
	require.NoError(t, err)
	f, viewed := s.follow(access.Operator, "/tasks/"+task.ID+"/events"), s.follow(access.Viewer, "/tasks/"+task.ID+"/events")
	var got wireTask
	require.True(t, f.next("task", &got))
	assert.Zero(t, got.Done)
	further <- 2
	require.True(t, f.next("task", &got))
	assert.Equal(t, 2, got.Done)
	close(further)
	require.True(t, f.next("task", &got))
	assert.NotZero(t, got.Ended)
	assert.Contains(t, string(got.Result), `"replay"`)
	assert.False(t, f.next("task", &got), "it ends with the task")

	got = wireTask{}
	for viewed.next("task", &got) {
		assert.Empty(t, string(got.Result))
	}
	assert.NotZero(t, got.Ended)
	assert.Equal(t, hiddenError, got.Error)
	assert.Equal(t, "conflict", got.ErrorKind)
	assert.Contains(t, s.ask(access.Operator, http.MethodGet, "/tasks", "").body, "hunter2")
	assert.NotContains(t, s.ask(access.Viewer, http.MethodGet, "/tasks", "").body, "hunter2")
	assert.Equal(t, http.StatusNotFound, s.ask(access.Viewer, http.MethodGet, "/tasks/none/events", "").status)
}

func TestSixtyFourStreamsAreOpenAtMost(t *testing.T) {
	s := newStation(t)
	var open []*following
	for range maxViewerStreams {
		open = append(open, s.follow(access.Viewer, "/live"))
	}
	assert.Equal(t, http.StatusServiceUnavailable, s.ask(access.Viewer, http.MethodGet, "/live", "").status, "viewers leave some to operators")
	for range maxStreams - maxViewerStreams {
		open = append(open, s.follow(access.Operator, "/live"))
		require.Equal(t, http.StatusOK, open[len(open)-1].response.StatusCode)
	}
	more := s.ask(access.Operator, http.MethodGet, "/live", "")
	assert.Equal(t, http.StatusServiceUnavailable, more.status)
	assert.Equal(t, "5", more.header.Get("Retry-After"))
	assert.Contains(t, problemOf(t, more).Detail, "at once")
	open[7].end()
	require.Eventually(t, func() bool {
		f := s.follow(access.Viewer, "/live")
		defer f.end()
		return f.response.StatusCode == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond, "one that leaves makes room")
}

// TestAStreamIsAliveAndEnds watches the clock.
func TestAStreamIsAliveAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := New(Options{
			Tasks: admin.NewTasks(meshtest.Quiet()), Logger: meshtest.Quiet(),
			Live: func() live.Snapshot { return live.Snapshot{At: moment2026(0)} },
		})
		r := httptest.NewRequestWithContext(access.With(t.Context(), access.Identity{Name: "alice", Role: access.Viewer}), http.MethodGet, root+"/live", http.NoBody)
		w := httptest.NewRecorder()
		begun := time.Now()
		handler.ServeHTTP(w, r)
		assert.Equal(t, 10*time.Minute, time.Since(begun))
		assert.Equal(t, 1, strings.Count(w.Body.String(), "event: snapshot\n"))
		assert.InDelta(t, 40, strings.Count(w.Body.String(), ": beat\n"), 1)
	})
}
