package pages

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/mesh"
)

// doing is what a task gets to do its work with.
type doing struct {
	ctx      context.Context
	by       admin.By
	progress admin.Progress
}

// start begins a task and returns the address of the page that shows how far it is.
func (s *site) start(v *visit, action, about string, by admin.By, do func(doing) (any, error)) (string, error) {
	task, err := s.o.Tasks.Start(action, about, by, func(ctx context.Context, progress admin.Progress) (any, error) {
		return do(doing{ctx, by, progress})
	})
	if err != nil {
		return "", err
	}
	return taskPath(task.ID), nil
}

// taskView is a task, and what it came to.
type taskView struct {
	admin.Task
	Path    string
	Running bool
	Took    time.Duration
	Act     *admin.ActResult
	Applied *admin.Applied
	Erasure *mesh.Erasure
	// Trail says whether what was done is in the audit.
	Trail string
	Raw   bodyView
	// AuditPath is what the audit tells of such changes since it began.
	AuditPath string
	// FailedShown are the failures with the pages of what failed.
	FailedShown []failedView
}

type failedView struct{ Number, Path, Error string }

// NothingDone reports whether all that was tried failed.
func (v taskView) NothingDone() bool { return v.Act != nil && v.Act.Done == 0 && v.Act.Chosen > 0 }

// Replayed reports whether dead letters were handed to subscribers again.
func (v taskView) Replayed() bool {
	return v.Act != nil && v.Action == admin.ActionDeadReplay && v.Act.Done > 0
}

// tasksView are the latest tasks, the newest first.
type tasksView struct{ Tasks []taskView }

func (s *site) tasks(v *visit) (*page, error) {
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	var view tasksView
	for _, t := range s.o.Tasks.List() {
		view.Tasks = append(view.Tasks, s.taskView(v, t))
	}
	return &page{
		Title: "Tasks", Section: "/tasks", template: "tasks", View: view, every: time.Second, regions: []string{"tasks-list"},
	}, nil
}

func (s *site) task(v *visit) (*page, error) {
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	t, err := s.o.Tasks.Task(v.PathValue("id"))
	if errors.Is(err, admin.ErrNotFound) {
		return nil, admin.NotFound("this task is not known here: another process may have it, or it was too long ago; the audit tells what was done")
	}
	if err != nil {
		return nil, err
	}
	return &page{
		Title: "Task " + t.Action, Section: "/tasks", template: "task", View: s.taskView(v, t), every: time.Second,
		regions: []string{"task-state"},
	}, nil
}

func (s *site) taskView(v *visit, t admin.Task) taskView {
	view := taskView{Task: t, Path: taskPath(t.ID), Running: t.Ended.IsZero(),
		AuditPath: link("/audit", "action", t.Action, "user", t.Who, "since", stamp(t.Started))}
	view.Error = v.words(t.Error)
	end := t.Ended
	if view.Running {
		end = s.o.Now()
	}
	view.Took = end.Sub(t.Started)
	if !v.may(access.Operator) {
		t = withoutWords(t)
		view.Task, view.Error = t, t.Error
	}
	switch result := t.Result.(type) {
	case nil:
	case admin.ActResult:
		view.Act, view.Trail = &result, trailText(result.Trail)
		view.FailedShown = failures(v, t.Action, result.Failed)
	case admin.Applied:
		view.Applied, view.Trail = &result, trailText(result.Trail)
	case admin.ErasureResult:
		view.Erasure, view.Trail = result.Erasure, trailText(admin.Trail{Audited: result.Audited})
	default:
		raw, err := json.Marshal(result)
		if err == nil {
			view.Raw = newBody(raw, len(raw), false, v.masked)
		}
	}
	return view
}

// withoutWords is a task as viewers see it: how far it came, and not why something failed, which may be told in words that repeat a body.
func withoutWords(t admin.Task) admin.Task {
	if t.Error != "" {
		t.Error = admin.HiddenText
	}
	result, ok := t.Result.(admin.ActResult)
	if !ok {
		t.Result = nil
		return t
	}
	result.Failed = slices.Clone(result.Failed)
	for i := range result.Failed {
		result.Failed[i].Error = admin.HiddenText
	}
	t.Result = result
	return t
}

func trailText(t admin.Trail) string {
	switch {
	case t.AuditProblem != "":
		return "The audit could not keep it: " + t.AuditProblem
	case t.Audited:
		return "It is in the audit."
	}
	return `It is not audited: streams.json has no stream that takes "audit.>".`
}

// maxFailuresShown bounds the failures on a page.
const maxFailuresShown = 200

func failures(v *visit, action string, failed []admin.ActFailed) []failedView {
	path := deadLetterPath
	if strings.HasPrefix(action, quarantineActions) {
		path = quarantinePath
	}
	var shown []failedView
	for _, f := range failed[:min(len(failed), maxFailuresShown)] {
		shown = append(shown, failedView{strconv.FormatUint(f.Number, 10), path(f.Number), v.words(f.Error)})
	}
	return shown
}
