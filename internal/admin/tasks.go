package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// The bounds of Tasks.
const (
	maxRunningTasks = 4
	maxTasks        = 100
	// progressEvery is how often at most the progress of tasks is announced.
	progressEvery = 100 * time.Millisecond
)

// Tasks are what a process does in the background for operators. They are in its memory alone: a process that ends forgets them, and what
// they did is in the audit. It may be used by several goroutines at once.
type Tasks struct {
	log    logrus.FieldLogger
	ctx    context.Context // of all that is done
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu        sync.Mutex
	ended     bool
	running   int
	tasks     []*Task // the oldest first
	changed   chan struct{}
	announced bool // it will be, in a moment
}

var _ TaskStarter = (*Tasks)(nil)

// NewTasks returns Tasks without any. They need Run, which ends them.
func NewTasks(log logrus.FieldLogger) *Tasks {
	ctx, cancel := context.WithCancel(context.Background())
	return &Tasks{log: log, ctx: ctx, cancel: cancel, changed: make(chan struct{})}
}

// Run waits until ctx ends, tells the tasks that run to end, and waits for them. Nothing can be started any more then.
func (t *Tasks) Run(ctx context.Context) error {
	<-ctx.Done()
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.cancel()
	t.work.Wait()
	return nil
}

// Start begins do in the background, under a context that ends with Run. It fails with ErrConflict while four run.
func (t *Tasks) Start(action, about string, by By, do func(ctx context.Context, progress Progress) (any, error)) (Task, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ended:
		return Task{}, Conflict("this process is about to end: nothing can be started any more")
	case t.running == maxRunningTasks:
		return Task{}, Conflict(fmt.Sprintf("%d tasks run already: wait until one of them has ended", maxRunningTasks))
	}
	task := &Task{ID: strings.ToLower(rand.Text()), Action: action, About: about, Who: by.Who.User, Reason: by.Reason, Started: time.Now().UTC()}
	t.running++
	t.tasks = append(t.tasks, task)
	t.forget()
	t.announce()
	t.work.Go(func() { t.run(task, do) })
	return *task, nil
}

// forget drops the oldest of those that have ended where there are too many.
func (t *Tasks) forget() {
	if len(t.tasks) <= maxTasks {
		return
	}
	oldest := slices.IndexFunc(t.tasks, func(task *Task) bool { return !task.Ended.IsZero() })
	t.tasks = slices.Delete(t.tasks, oldest, oldest+1) // there is one: only a few run at once
}

func (t *Tasks) run(task *Task, do func(ctx context.Context, progress Progress) (any, error)) {
	log := t.log.WithField("task", task.ID).WithField("action", task.Action).WithField("user", task.Who)
	log.Info("a task has begun")
	result, err := t.attempt(log, do, func(done, of int) { t.note(task, done, of) })
	if err != nil {
		log.WithError(err).Warn("a task has failed")
	} else {
		log.Info("a task has ended")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	task.Ended = time.Now().UTC()
	if isGiven(result, err) {
		task.Result = result
	}
	if err != nil {
		task.Error, task.ErrorKind = err.Error(), KindOf(err)
	}
	t.announce()
}

// errPanic stands for what a task panicked with: that is in the log, for it may say anything.
var errPanic = errors.New("it met a mistake in genmesh and was given up; the log of this process tells more")

// attempt does it. A panic is an error, so that it ends only what it has to.
func (t *Tasks) attempt(log logrus.FieldLogger, do func(context.Context, Progress) (any, error), progress Progress) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			log.WithField("panic", fmt.Sprint(p)).WithField("stack", string(debug.Stack())).Error("a task has panicked")
			result, err = nil, errPanic
		}
	}()
	return do(t.ctx, progress)
}

// isGiven reports whether there is a result: one that failed at once has only a zero one.
func isGiven(result any, err error) bool {
	return result != nil && (err == nil || !reflect.ValueOf(result).IsZero())
}

func (t *Tasks) note(task *Task, done, of int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	task.Done, task.Of = done, of
	if t.announced {
		return
	}
	t.announced = true
	time.AfterFunc(progressEvery, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.announce()
	})
}

// announce tells those who wait for a change. The caller holds t.mu.
func (t *Tasks) announce() {
	t.announced = false
	close(t.changed)
	t.changed = make(chan struct{})
}

// Task is the task of an id, as it is now. It fails with ErrNotFound if there is none, or none any more.
func (t *Tasks) Task(id string) (Task, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, task := range t.tasks {
		if task.ID == id {
			return *task, nil
		}
	}
	return Task{}, NotFound("there is no such task: this process has not started it, or too long ago; the audit tells what was done")
}

// List are the latest hundred tasks, the newest first.
func (t *Tasks) List() []Task {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]Task, 0, len(t.tasks))
	for _, task := range slices.Backward(t.tasks) {
		list = append(list, *task)
	}
	return list
}

// Changed is closed at the next change of any task. Progress is announced at most every 100 ms.
func (t *Tasks) Changed() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}
