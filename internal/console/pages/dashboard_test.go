package pages

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// desk is an admin.TaskStarter that does each task at once.
type desk struct {
	mu    sync.Mutex
	tasks []admin.Task
}

func (d *desk) Start(action, about string, by admin.By, do func(context.Context, admin.Progress) (any, error)) (admin.Task, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := admin.Task{ID: fmt.Sprintf("t%d", len(d.tasks)+1), Action: action, About: about, Who: by.Who.User, Reason: by.Reason, Started: today}
	result, err := do(context.Background(), func(done, of int) { t.Done, t.Of = done, of })
	t.Ended, t.Result = today.Add(3*time.Second), result
	if err != nil {
		t.Result, t.Error = nil, err.Error()
	}
	d.tasks = append(d.tasks, t)
	return t, nil
}

func (d *desk) Task(id string) (admin.Task, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range d.tasks {
		if t.ID == id {
			return t, nil
		}
	}
	return admin.Task{}, admin.NotFound("there is no task " + id)
}
func (d *desk) List() []admin.Task       { return d.tasks }
func (d *desk) Changed() <-chan struct{} { return nil }

// dashboard is the pages over a scene.
type dashboard struct {
	http.Handler
	scene *scene
	desk  *desk
}

func open(t testing.TB, s *scene) *dashboard {
	t.Helper()
	d := &dashboard{scene: s, desk: &desk{}}
	now := today
	var err error
	d.Handler, err = New(optionsOf(t, s, d.desk, &now))
	require.NoError(t, err)
	return d
}

// optionsOf are those of a dashboard whose clock a test sets.
func optionsOf(t testing.TB, s *scene, d *desk, now *time.Time) Options {
	t.Helper()
	topology := meshtest.Topology(t, `{
		"sources": [{"name": "genesys", "path": "/webhooks/genesys", "preset": "genesys", "secret": "${WEBHOOK_SECRET:-}", "dedupe_key": "{source}:{interaction}", "stream": "INTERACTIONS"},
			{"name": "billing", "path": "/webhooks/billing", "preset": "genesys", "secret": "${WEBHOOK_SECRET:-}", "dedupe_key": "{source}:{interaction}", "stream": "INTERACTIONS"}],
		"streams": [{"name": "INTERACTIONS", "subjects": ["genesys.>", "billing.>"], "duplicate_window": "2m"}, {"name": "DEAD_LETTERS", "subjects": ["dead.>"]}, {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
			{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"], "max_age": "168h", "max_bytes": 268435456}],
		"subscribers": [{"name": "crm", "stream": "INTERACTIONS", "when": "type == \"connected\"", "target": {"url": "log:"}}, {"name": "analytics", "stream": "INTERACTIONS", "target": {"url": "log:"}}]}`)
	return Options{
		Operator: s, Viewer: s, Tasks: d, Topology: func() *mesh.Topology { return topology }, Version: "1.0.0", Logger: meshtest.Quiet(),
		Live: func() live.Snapshot { return live.Snapshot{Every: time.Second} }, Now: func() time.Time { return *now },
	}
}

var (
	viewer   = access.Identity{Name: "vera", Role: access.Viewer, Via: "password"}
	operator = access.Identity{Name: "otto", Role: access.Operator, Via: "password"}
	manager  = access.Identity{Name: "ada", Role: access.Admin, Via: "password"}
)

// get is the answer to who asks for a page.
func (d *dashboard) get(who access.Identity, address string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, address, http.NoBody)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return d.serve(who, r)
}

// post is the answer to who sends a form, with its fields in pairs.
func (d *dashboard) post(who access.Identity, address string, pairs ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return d.serve(who, r)
}

func (d *dashboard) serve(who access.Identity, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r.WithContext(access.With(r.Context(), who)))
	return w
}
