package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/telemetry"
)

// How a client follows a task.
const (
	firstLook = 50 * time.Millisecond
	lookEvery = time.Second
	// patience is how long a console may be away meanwhile.
	patience = 30 * time.Second
)

// wireTask is a task whose result is not decoded yet.
type wireTask struct {
	admin.Task
	Result json.RawMessage `json:"result"`
}

// follow begins a task and waits for its end. The result is what was done, also where there is an error as well.
func follow[Result any](ctx context.Context, c *Client, path string, body any, progress admin.Progress) (result Result, err error) {
	var task wireTask
	if err := c.do(ctx, http.MethodPost, path, nil, body, &task); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w; it may have begun, see the tasks of the console", err)
		}
		return result, err
	}
	if task, err = c.wait(ctx, task, progress); err != nil {
		return result, err
	}
	if len(task.Result) > 0 {
		if err := json.Unmarshal(task.Result, &result); err != nil {
			return result, fmt.Errorf("what task %s came to can't be read: %w; is the console of another version?", task.ID, err)
		}
	}
	if task.Error != "" {
		return result, &remoteError{detail: telemetry.Printable(task.Error), kind: admin.ErrorOf(task.ErrorKind)}
	}
	return result, nil
}

// wait asks how far a task is until it has ended.
func (c *Client) wait(ctx context.Context, task wireTask, progress admin.Progress) (wireTask, error) {
	heard, every := time.Now(), firstLook
	told := [2]int{}
	for {
		if now := [2]int{task.Done, task.Of}; progress != nil && now != told {
			progress(task.Done, task.Of)
			told = now
		}
		if !task.Ended.IsZero() {
			return task, nil
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return task, goesOn(task.ID, context.Cause(ctx))
		}
		every = min(2*every, lookEvery)
		var next wireTask
		err := c.get(ctx, "/tasks/"+segment(task.ID), nil, &next)
		switch {
		case err == nil:
			task, heard = next, time.Now()
		case errors.Is(err, admin.ErrNotFound):
			return task, fmt.Errorf("the console does not know task %s any more; the audit tells what was done", task.ID)
		case ctx.Err() != nil || time.Since(heard) > patience:
			return task, goesOn(task.ID, err)
		}
	}
}

// goesOn says that a task is not waited for any more.
func goesOn(id string, why error) error {
	return fmt.Errorf("it goes on at the console as task %s: %w", id, why)
}
