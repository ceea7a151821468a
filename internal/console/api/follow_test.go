package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
)

func TestATaskThatNobodyWaitsForGoesOn(t *testing.T) {
	s := newStation(t)
	s.furnish()
	waits, goOn := make(chan struct{}), make(chan struct{})
	s.serve(Options{
		Operator: slow{s.direct, waits, goOn}, Viewer: s.direct, Tasks: s.tasks, Logger: s.log.logger(),
	})
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		defer giveUp()
		<-waits
		assert.Eventually(t, func() bool { return s.witness.succeeded("GET /tasks/{id}") }, 10*time.Second, time.Millisecond)
	}()
	_, err := s.client(access.Operator).DiscardDeadLetters(ctx, by("enough"), admin.DeadSelection{All: true}, nil)
	require.ErrorIs(t, err, context.Canceled)
	id := s.tasks.List()[0].ID
	assert.ErrorContains(t, err, "goes on at the console as task "+id)

	close(goOn)
	require.Eventually(t, func() bool { return !s.tasks.List()[0].Ended.IsZero() }, 10*time.Second, time.Millisecond)
	assert.Equal(t, 4, s.tasks.List()[0].Result.(admin.ActResult).Done)
}

func TestWhoDoesNotWaitForTheAnswerIsToldThatItMayHaveBegun(t *testing.T) {
	ctx, giveUp := context.WithCancel(t.Context())
	c := console(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		giveUp()
		<-r.Context().Done()
	})
	_, err := c.Apply(ctx, by(""), false)
	require.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "it may have begun")
}

// slow waits before it discards.
type slow struct {
	admin.Operator
	waits, goOn chan struct{}
}

func (s slow) DiscardDeadLetters(ctx context.Context, by admin.By, chosen admin.DeadSelection, p admin.Progress) (admin.ActResult, error) {
	close(s.waits)
	<-s.goOn
	return s.Operator.DiscardDeadLetters(ctx, by, chosen, p)
}

func TestAClientFollowsATask(t *testing.T) {
	for name, c := range map[string]struct {
		last   any
		result admin.ActResult
		is     error
		text   string
	}{
		"to its end": {
			map[string]any{"id": "x", "done": 2, "of": 2, "ended": moment2026(0), "result": admin.ActResult{Action: "replay", Done: 2}},
			admin.ActResult{Action: "replay", Done: 2}, nil, "",
		},
		"that failed": {
			map[string]any{"id": "x", "done": 2, "of": 2, "ended": moment2026(0), "error": "not now\x1b", "error_kind": "conflict"},
			admin.ActResult{}, admin.ErrConflict, `not now\x1b`,
		},
		"that failed when something was done": {
			map[string]any{"id": "x", "done": 2, "of": 2, "ended": moment2026(0), "error": "no server", "result": admin.ActResult{Action: "replay", Done: 1}},
			admin.ActResult{Action: "replay", Done: 1}, nil, "no server",
		},
		"that comes to something else": {
			map[string]any{"id": "x", "done": 2, "of": 2, "ended": moment2026(0), "result": "x"}, admin.ActResult{}, nil, "of another version?",
		},
	} {
		t.Run(name, func(t *testing.T) {
			looked := 0
			client := console(t, func(w http.ResponseWriter, r *http.Request) {
				if looked++; r.Method == http.MethodPost {
					answerJSON(w, http.StatusAccepted, admin.Task{ID: "x", Of: 2})
				} else if looked < 4 {
					answerJSON(w, http.StatusOK, admin.Task{ID: "x", Done: 1, Of: 2})
				} else {
					answerJSON(w, http.StatusOK, c.last)
				}
			})
			var told []string
			result, err := client.ReplayDeadLetters(t.Context(), by(""), admin.DeadSelection{All: true}, func(done, of int) {
				told = append(told, fmt.Sprint(done, of))
			})
			assert.Equal(t, []string{"0 2", "1 2", "2 2"}, told)
			assert.Equal(t, c.result, result)
			if c.text == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, c.text)
			if c.is != nil {
				assert.ErrorIs(t, err, c.is)
			}
		})
	}
}

func TestAConsoleThatIsAwayForAMomentIsWaitedFor(t *testing.T) {
	var looked atomic.Int32 // a connection that is broken off is served for a while longer
	c := console(t, func(w http.ResponseWriter, r *http.Request) {
		n := looked.Add(1)
		switch {
		case r.Method == http.MethodPost:
			answerJSON(w, http.StatusAccepted, admin.Task{ID: "x"})
		case n == 2:
			panic(http.ErrAbortHandler)
		default:
			answerJSON(w, http.StatusOK, admin.Task{ID: "x", Ended: moment2026(0)})
		}
	})
	_, err := c.Apply(t.Context(), by(""), false)
	assert.NoError(t, err)
}

func TestAConsoleThatHasForgottenATaskSaysSo(t *testing.T) {
	c := console(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			answerJSON(w, http.StatusAccepted, admin.Task{ID: "x"})
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(problem{Type: problemType + "not-found", Detail: "no such task"})
	})
	_, err := c.Apply(t.Context(), by(""), false)
	require.ErrorContains(t, err, "does not know task x any more; the audit tells")
	assert.False(t, errors.Is(err, admin.ErrNotFound), "it was begun all the same")
}
