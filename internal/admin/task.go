package admin

import (
	"context"
	"time"
)

// Task is something that takes a while and goes on whether anybody watches or not. Its JSON names are stable.
type Task struct {
	ID string `json:"id"`
	// Action is what is done, by its name in the audit; About says to what, in words, and Reason why.
	Action  string    `json:"action"`
	About   string    `json:"about"`
	Who     string    `json:"who"`
	Reason  string    `json:"reason,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Done    int       `json:"done"`
	Of      int       `json:"of"`
	// Result is what it came to: an ActResult, Applied, ErasureResult or mesh.ScrubReport; nil while it runs, and where it failed before anything was done.
	Result any `json:"result,omitempty"`
	// Error is why it failed; "" if it did not. ErrorKind is its KindOf.
	Error     string `json:"error,omitempty"`
	ErrorKind string `json:"error_kind,omitempty"`
}

// TaskStarter starts tasks and tells how far they are. It remembers the latest ones, in memory.
type TaskStarter interface {
	// Start begins do in the background and returns at once. It fails with ErrConflict while too many run.
	Start(action, about string, by By, do func(ctx context.Context, progress Progress) (any, error)) (Task, error)
	// Task fails with ErrNotFound if there is no such task, or no more.
	Task(id string) (Task, error)
	// List is the newest first.
	List() []Task
	// Changed is closed at the next change of any task.
	Changed() <-chan struct{}
}
