package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
)

// start begins a task and answers with where to look how far it is.
func (s *server) start(by admin.By, action, about string, do func(context.Context, admin.Progress) (any, error)) (reply, error) {
	task, err := s.o.Tasks.Start(action, about, by, do)
	return reply{status: http.StatusAccepted, location: root + "/tasks/" + url.PathEscape(task.ID), value: task}, err
}

// taskList is what /tasks answers.
type taskList struct {
	Tasks []admin.Task `json:"tasks"`
}

// shown is a task as who asks may see it. What it came to, and why it failed, may repeat something of events of a source that is sensitive,
// so viewers see neither.
func (c *call) shown(task admin.Task) admin.Task {
	if c.who.Role.May(access.Operator) {
		return task
	}
	if task.Result = nil; task.Error != "" {
		task.Error = hiddenError
	}
	return task
}

const hiddenError = "it has failed; why is for operators"

func (s *server) tasks(c *call) (reply, error) {
	list := taskList{s.o.Tasks.List()}
	for i := range list.Tasks {
		list.Tasks[i] = c.shown(list.Tasks[i])
	}
	return reply{value: list}, c.query.done()
}

func (s *server) task(c *call) (reply, error) {
	id := c.name("id")
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	task, err := s.o.Tasks.Task(id)
	return reply{value: c.shown(task)}, err
}

// taskEvents sends a task each time that it gets further, until it has ended.
func (s *server) taskEvents(c *call) (reply, error) {
	id := c.name("id")
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	if _, err := s.o.Tasks.Task(id); err != nil {
		return reply{}, err
	}
	return reply{stream: func(out *eventWriter) error { return s.followTask(out, id, c.shown) }}, nil
}

func (s *server) followTask(out *eventWriter, id string, shown func(admin.Task) admin.Task) error {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	sent := admin.Task{Done: -1}
	for {
		changed := s.o.Tasks.Changed()
		task, err := s.o.Tasks.Task(id)
		if err != nil {
			return err // it is forgotten
		}
		if task.Done != sent.Done || task.Of != sent.Of || !task.Ended.IsZero() {
			if err := out.task(shown(task)); err != nil || !task.Ended.IsZero() {
				return err
			}
			sent = task
		}
		select {
		case <-changed:
		case <-beat.C:
			if err := out.beat(); err != nil {
				return err
			}
		case <-out.ctx.Done():
			return nil
		}
	}
}

func (o *eventWriter) task(task admin.Task) error {
	text, err := encode(task)
	if err != nil {
		return err
	}
	return o.event("task", text)
}

// maxNumbersNamed bounds the numbers that a task names.
const maxNumbersNamed = 3

// about says in a few words what was chosen: by number, or by names and values in pairs.
func about(numbers []uint64, pairs ...string) string {
	text := ""
	for _, n := range numbers[:min(len(numbers), maxNumbersNamed)] {
		text += " " + strconv.FormatUint(n, 10)
	}
	if more := len(numbers) - maxNumbersNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			text += " " + pairs[i] + " " + shown(pairs[i+1])
		}
	}
	if text == "" {
		return "all"
	}
	return text[1:]
}

// stamp is a time in words; "" if there is none.
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.RFC3339)
}
