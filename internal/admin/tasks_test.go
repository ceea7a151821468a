package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// alice starts tasks.
var alice = admin.By{Who: mesh.Actor{User: "alice"}, Reason: "ticket 7"}

// ended waits until a task has ended.
func ended(t *testing.T, tasks *admin.Tasks, id string) admin.Task {
	t.Helper()
	for {
		changed := tasks.Changed()
		task, err := tasks.Task(id)
		require.NoError(t, err)
		if !task.Ended.IsZero() {
			return task
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("the task has not ended")
		}
	}
}

// never is done until its context ends.
func never(ctx context.Context, _ admin.Progress) (any, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestATaskGoesOnInTheBackgroundAndItsResultIsKept(t *testing.T) {
	tasks := admin.NewTasks(meshtest.Quiet())
	mayEnd := make(chan struct{})
	begun, err := tasks.Start(admin.ActionDeadReplay, "crm", alice, func(_ context.Context, progress admin.Progress) (any, error) {
		progress(1, 2)
		<-mayEnd
		return admin.ActResult{Action: "replay", Chosen: 2, Done: 2}, nil
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"crm", "alice", "ticket 7"}, []string{begun.About, begun.Who, begun.Reason})
	assert.Zero(t, begun.Ended)

	close(mayEnd)
	task := ended(t, tasks, begun.ID)
	assert.Equal(t, admin.ActResult{Action: "replay", Chosen: 2, Done: 2}, task.Result)
	assert.Equal(t, []int{1, 2}, []int{task.Done, task.Of})
	assert.Empty(t, task.Error)
	assert.Equal(t, []admin.Task{task}, tasks.List())

	_, err = tasks.Task("another")
	assert.ErrorIs(t, err, admin.ErrNotFound)
}

func TestATaskThatFailsSaysWhyAndWhatItHadDone(t *testing.T) {
	for name, c := range map[string]struct {
		result any
		err    error
		kind   string
		kept   any
	}{
		"nothing was done":      {admin.ErasureResult{}, admin.Invalid("name an interaction"), "invalid", nil},
		"it was done half":      {admin.ActResult{Action: "replay", Done: 1}, errors.New("no server"), "", admin.ActResult{Action: "replay", Done: 1}},
		"there is no such":      {nil, fmt.Errorf("dead letter 7: %w", admin.ErrNotFound), "not-found", nil},
		"it is not audited":     {nil, mesh.ErrNoAudit, "no-audit", nil},
		"as things stand":       {nil, admin.Conflict("it is paused"), "conflict", nil},
		"who asks may not":      {nil, admin.ErrForbidden, "forbidden", nil},
		"a result that is zero": {admin.Applied{}, nil, "", admin.Applied{}},
	} {
		t.Run(name, func(t *testing.T) {
			tasks := admin.NewTasks(meshtest.Quiet())
			begun, err := tasks.Start("erase", "", alice, func(context.Context, admin.Progress) (any, error) { return c.result, c.err })
			require.NoError(t, err)
			task := ended(t, tasks, begun.ID)
			assert.Equal(t, c.kept, task.Result)
			assert.Equal(t, c.kind, task.ErrorKind)
			if c.err != nil {
				assert.Equal(t, c.err.Error(), task.Error)
			}
			if c.kind != "" {
				assert.ErrorIs(t, c.err, admin.ErrorOf(task.ErrorKind))
			}
		})
	}
	assert.NoError(t, admin.ErrorOf("another"))
}

func TestAPanicEndsItsTaskAloneAndIsToldToTheLogOnly(t *testing.T) {
	log, hook := test.NewNullLogger()
	tasks := admin.NewTasks(log)
	begun, err := tasks.Start("apply", "", alice, func(context.Context, admin.Progress) (any, error) { panic("password=hunter2") })
	require.NoError(t, err)
	task := ended(t, tasks, begun.ID)
	assert.Contains(t, task.Error, "the log")
	assert.NotContains(t, task.Error, "hunter2")
	told := false
	for _, entry := range hook.AllEntries() {
		told = told || entry.Level == logrus.ErrorLevel && entry.Data["panic"] == "password=hunter2" && strings.Contains(fmt.Sprint(entry.Data["stack"]), "tasks_test.go")
	}
	assert.True(t, told)

	next, err := tasks.Start("apply", "", alice, func(context.Context, admin.Progress) (any, error) { return 7, nil })
	require.NoError(t, err)
	assert.Equal(t, 7, ended(t, tasks, next.ID).Result)
}

func TestFourTasksRunAtOnceAndTheFifthIsRefused(t *testing.T) {
	tasks := admin.NewTasks(meshtest.Quiet())
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tasks.Run(ctx) }()
	mayEnd := make(chan struct{})
	first, err := tasks.Start("a", "", alice, func(context.Context, admin.Progress) (any, error) { <-mayEnd; return nil, nil })
	require.NoError(t, err)
	for range 3 {
		_, err := tasks.Start("b", "", alice, never)
		require.NoError(t, err)
	}
	_, err = tasks.Start("c", "", alice, never)
	require.ErrorIs(t, err, admin.ErrConflict)
	require.Len(t, tasks.List(), 4)

	close(mayEnd)
	ended(t, tasks, first.ID)
	_, err = tasks.Start("d", "", alice, never)
	require.NoError(t, err)

	end()
	require.NoError(t, <-done)
	for _, task := range tasks.List() {
		assert.NotZero(t, task.Ended, "Run has waited for it")
	}
	_, err = tasks.Start("e", "", alice, never)
	assert.ErrorIs(t, err, admin.ErrConflict)
}

func TestTheLatestHundredTasksAreRemembered(t *testing.T) {
	tasks := admin.NewTasks(meshtest.Quiet())
	mayEnd := make(chan struct{})
	running, err := tasks.Start("long", "", alice, func(context.Context, admin.Progress) (any, error) { <-mayEnd; return nil, nil })
	require.NoError(t, err)
	var ids []string
	for i := range 150 {
		task, err := tasks.Start("short", fmt.Sprint(i), alice, func(context.Context, admin.Progress) (any, error) { return nil, nil })
		require.NoError(t, err)
		ended(t, tasks, task.ID)
		ids = append(ids, task.ID)
	}
	list := tasks.List()
	require.Len(t, list, 100)
	assert.Equal(t, ids[149], list[0].ID)
	assert.Equal(t, running.ID, list[99].ID, "one that runs is never forgotten")
	_, err = tasks.Task(ids[0])
	assert.ErrorIs(t, err, admin.ErrNotFound)
	close(mayEnd)
	ended(t, tasks, running.ID)
}

func TestProgressIsAnnouncedAtMostEvery100ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tasks := admin.NewTasks(meshtest.Quiet())
		task, err := tasks.Start("replay", "", alice, func(_ context.Context, progress admin.Progress) (any, error) {
			for i := range 1000 {
				progress(i+1, 1000)
				time.Sleep(time.Millisecond)
			}
			<-time.After(time.Minute) // nothing more is told
			return nil, nil
		})
		require.NoError(t, err)
		var seen []int
		begun := time.Now()
		for time.Since(begun) < 30*time.Second {
			changed := tasks.Changed()
			select {
			case <-changed:
			case <-time.After(time.Second):
			}
			now, err := tasks.Task(task.ID)
			require.NoError(t, err)
			if len(seen) == 0 || seen[len(seen)-1] != now.Done {
				seen = append(seen, now.Done)
			}
		}
		assert.GreaterOrEqual(t, len(seen), 10)
		assert.LessOrEqual(t, len(seen), 12)
		assert.Equal(t, 1000, seen[len(seen)-1], "the last is told, too")
		time.Sleep(time.Hour)
	})
}

func TestManyMayLookAtTasksAtOnce(t *testing.T) {
	tasks := admin.NewTasks(meshtest.Quiet())
	var looking sync.WaitGroup
	for range 8 {
		looking.Go(func() {
			for range 50 {
				changed := tasks.Changed()
				task, err := tasks.Start("a", "", alice, func(_ context.Context, progress admin.Progress) (any, error) {
					progress(1, 1)
					return admin.Applied{}, nil
				})
				if err != nil {
					assert.ErrorIs(t, err, admin.ErrConflict)
					continue
				}
				<-changed
				_, err = tasks.Task(task.ID)
				assert.NoError(t, err)
				tasks.List()
			}
		})
	}
	looking.Wait()
}
