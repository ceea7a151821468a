package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/mesh"
)

func TestEachRouteNeedsItsRole(t *testing.T) {
	s := newStation(t)
	roles := []access.Role{access.Viewer, access.Operator, access.Admin, "guest"}
	for _, r := range s.witness.routes {
		path := regexp.MustCompile(`{\w+}`).ReplaceAllString(r.path, "7") + "?zzz=1" // so that nothing is done
		for _, role := range roles {
			got := s.ask(role, r.method, path, "")
			if role.May(r.needs) {
				assert.Equal(t, http.StatusBadRequest, got.status, "%s may %s %s", role, r.method, r.path)
				continue
			}
			assert.Equal(t, http.StatusForbidden, got.status, "%s may not %s %s", role, r.method, r.path)
			assert.Contains(t, problemOf(t, got).Detail, string(r.needs))
		}
		nobody := s.ask("", r.method, path, "")
		assert.Equal(t, http.StatusUnauthorized, nobody.status, "%s %s", r.method, r.path)
		assert.Equal(t, "urn:genmesh:problem:unauthenticated", problemOf(t, nobody).Type)
	}
	assert.Equal(t, http.StatusUnauthorized, s.ask("", http.MethodGet, "/nothing", "").status, "nobody is told what there is")
}

func TestEveryAnswerIsKeptNowhereAndIsOnlyWhatItSays(t *testing.T) {
	s := newStation(t)
	for _, path := range []string{"/overview", "/nothing", "/overview?zzz=1", "/openapi.json"} {
		header := s.ask(access.Viewer, http.MethodGet, path, "").header
		assert.Equal(t, "v1.2.3", header.Get("Genmesh-Version"))
		assert.Empty(t, s.ask("", http.MethodGet, path, "").header.Get("Genmesh-Version"), "strangers need not know")
		assert.Equal(t, "no-store", header.Get("Cache-Control"))
		assert.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		assert.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
	}
}

func TestHEADIsGETWithoutABody(t *testing.T) {
	s := newStation(t)
	for _, path := range []string{"/overview", "/live", "/dead-letters/7", "/tasks"} {
		got := s.ask(access.Viewer, http.MethodHead, path, "")
		assert.Empty(t, got.body)
		want := http.StatusOK
		if path == "/dead-letters/7" {
			want = http.StatusNotFound
		}
		assert.Equal(t, want, got.status, path)
	}
}

func TestAMethodThatIsNotTakenNamesThoseThatAre(t *testing.T) {
	s := newStation(t)
	for _, c := range []struct{ method, path, allow string }{
		{http.MethodPost, "/overview", "GET, HEAD"},
		{http.MethodOptions, "/replays", "GET, HEAD, POST"},
		{http.MethodGet, "/apply", "POST"},
		{http.MethodPatch, "/processes/p1/log-level", "PUT"},
		{http.MethodGet, "/replays/crm/1", "DELETE"},
	} {
		got := s.ask(access.Admin, c.method, c.path, "")
		assert.Equal(t, http.StatusMethodNotAllowed, got.status, c.path)
		assert.Equal(t, c.allow, got.header.Get("Allow"), c.path)
		assert.Contains(t, problemOf(t, got).Detail, c.allow)
	}
	for _, path := range []string{"", "/", "/overview/", "/Overview", "/events/INTERACTIONS"} {
		assert.Equal(t, http.StatusNotFound, s.ask(access.Admin, http.MethodGet, path, "").status, path)
	}
}

func TestWhatMakesNoSenseIsRefusedByName(t *testing.T) {
	s := newStation(t)
	long := strings.Repeat("x", mesh.MaxReasonBytes+1)
	for _, c := range []struct {
		method, path, body string
		status             int
		detail             string
	}{
		{"GET", "/dead-letters?subscribr=crm", "", 400, `there is no parameter "subscribr" here; did you mean "subscriber"?`},
		{"GET", "/overview?since=2h", "", 400, `there is no parameter "since" here; none is taken`},
		{"GET", "/dead-letters?limit=0", "", 400, "limit: write a whole number from 1 to 1000"},
		{"GET", "/dead-letters?limit=1001", "", 400, "limit: write a whole number from 1 to 1000"},
		{"GET", "/dead-letters?limit=1e2", "", 400, "limit: write a whole number"},
		{"GET", "/dead-letters?limit=1&limit=2", "", 400, "limit: it is given 2 times"},
		{"GET", "/dead-letters?reason=rejcted", "", 400, `did you mean "rejected"?`},
		{"GET", "/dead-letters?since=yesterday", "", 400, "since: write a time such as 2026-11-20T08:00:00Z, or how long ago"},
		{"GET", "/dead-letters?since=-2h", "", 400, "since: "},
		{"GET", "/dead-letters?since=1h&until=2h", "", 400, "until is before since"},
		{"GET", "/dead-letters?cursor=%FF", "", 400, "cursor: it must be UTF-8"},
		{"GET", "/dead-letters?a=%zz", "", 400, "percent-encoded"},
		{"GET", "/dead-letters?a;b", "", 400, "percent-encoded"},
		{"GET", "/dead-letters/seven", "", 400, `number: "seven" is no number`},
		{"GET", "/dead-letters/0", "", 400, `write a whole number from 1`},
		{"GET", "/events/INTERACTIONS/-1", "", 400, `sequence: `},
		{"GET", "/interactions/x?bodies=yes", "", 400, "bodies: "},
		{"GET", "/interactions/%FF", "", 400, "id: it must be percent-encoded UTF-8"},
		{"GET", "/interactions/x?limit=100001", "", 400, "from 1 to 100000"},

		{"POST", "/subscribers/crm/pause", `{"reason": "why", "fro": "2h"}`, 400, `body: there is no field "fro" here; did you mean "for"?`},
		{"POST", "/subscribers/crm/pause", `{"reason": "why", "for": "soon"}`, 400, "body: for: write how long, such as 15m, 2h or 2d"},
		{"POST", "/subscribers/crm/pause", `{"reason": "why", "for": 7}`, 400, "body: for: "},
		{"POST", "/subscribers/crm/pause", `{"reason": 7}`, 400, "body: reason: it must be a string"},
		{"POST", "/subscribers/crm/pause", `{}`, 400, "a reason is missing"},
		{"POST", "/subscribers/crm/pause", `{"reason": " \t "}`, 400, "a reason is missing"},
		{"POST", "/subscribers/crm/pause", ``, 400, "a reason is missing"},
		{"POST", "/subscribers/crm/pause", `{"reason": "` + long + `"}`, 400, "at most 1024"},
		{"POST", "/subscribers/crm/pause", `{"reason": "a", "reason": "b"}`, 400, "body: it is not JSON"},
		{"POST", "/subscribers/crm/pause", `{"reason": "a"} x`, 400, "body: it is not JSON"},
		{"POST", "/subscribers/crm/pause", `[]`, 400, "body: it must be a JSON object"},
		{"POST", "/subscribers/crm/pause", "{\"reason\": \"\xff\"}", 400, "body: it is not JSON"},
		{"POST", "/subscribers/crm/pause", `{"reason": "` + strings.Repeat("x", maxBodyBytes) + `"}`, 413, "at most 65536 bytes"},
		{"POST", "/dead-letters/replay", `{"selection": {"subscribr": "crm"}}`, 400, `did you mean "subscriber"?`},
		{"POST", "/dead-letters/replay", `{"selection": {"numbers": [-1]}}`, 400, "body: selection.numbers.0: it must be a whole number that is not negative"},
		{"POST", "/dead-letters/replay", `{"selection": {"all": "yes"}}`, 400, "body: selection.all: it must be true or false"},
		{"POST", "/dead-letters/replay", `{"selection": 7}`, 400, "body: selection: it must be an object"},
		{"POST", "/dead-letters/replay", `{"selection": {"numbers": 7}}`, 400, "body: selection.numbers: it must be a list"},
		{"POST", "/dead-letters/replay", `{}`, 400, "choose dead letters"},
		{"POST", "/dead-letters/replay", `{"selection": {"all": true}, "reason": "` + long + `"}`, 400, "at most 1024"},
		{"POST", "/dead-letters/discard", `{"selection": {"since": "x"}}`, 400, "body: selection.since: write a time"},
		{"POST", "/quarantine/release", `{"selection": {"all": true, "source": "genesys", "numbers": [1]}}`, 400, "choose events in quarantine"},
		{"POST", "/replays", `{"subscriber": "crm", "all": true, "rate": "fast"}`, 400, "body: rate: write a rate such as 50/s"},
		{"POST", "/interactions/x/erase", `{"dry_run": false}`, 400, "a reason is missing"},
		{"DELETE", "/replays/crm/x?reason=" + long, "", 400, "at most 1024"},
	} {
		got := s.ask(access.Admin, c.method, c.path, c.body)
		if assert.Equal(t, c.status, got.status, "%s %s %.80s: %s", c.method, c.path, c.body, got.body) {
			assert.Contains(t, problemOf(t, got).Detail, c.detail)
		}
	}
	assert.Empty(t, s.tasks.List(), "nothing was begun")
}

func TestABodyMustBeSaidToBeJSON(t *testing.T) {
	s := newStation(t)
	for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json; charset"} {
		got := s.askWith(access.Admin, http.MethodPost, "/subscribers/crm/resume", kind, "{}")
		assert.Equal(t, http.StatusUnsupportedMediaType, got.status, kind)
		assert.Contains(t, problemOf(t, got).Detail, "send application/json")
	}
	assert.Equal(t, http.StatusOK, s.askWith(access.Admin, http.MethodPost, "/subscribers/crm/resume", "application/json; charset=utf-8", "{}").status)
	assert.Equal(t, http.StatusOK, s.ask(access.Admin, http.MethodPost, "/subscribers/crm/resume", "").status, "it needs none")
}

func TestTimesMayBeHowLongAgo(t *testing.T) {
	s := newStation(t)
	s.furnish()
	assert.NotContains(t, s.ask(access.Viewer, http.MethodGet, "/dead-letters?until=2h", "").body, `"number"`)
	assert.Contains(t, s.ask(access.Viewer, http.MethodGet, "/dead-letters?since=2h", "").body, `"number"`)
	got := s.ask(access.Operator, http.MethodPost, "/dead-letters/discard", `{"selection": {"until": "1d"}}`)
	require.Equal(t, http.StatusAccepted, got.status)
	require.Eventually(t, func() bool { return !s.tasks.List()[0].Ended.IsZero() }, 10*time.Second, time.Millisecond)
	assert.Zero(t, s.tasks.List()[0].Result.(admin.ActResult).Chosen)
	assert.Equal(t, root+"/tasks/"+s.tasks.List()[0].ID, got.header.Get("Location"))
}

// broken fails in one way.
type broken struct {
	admin.Operator
	err error
}

func (b broken) Overview(context.Context) (admin.Overview, error) {
	if b.err == nil {
		panic("secret=hunter2")
	}
	return admin.Overview{}, b.err
}

func TestWhatIsNotTheAskersFaultIsToldInNeutralWords(t *testing.T) {
	s := newStation(t)
	for _, c := range []struct {
		err    error
		status int
		kind   string
	}{
		{errors.New("secret=hunter2"), 500, "internal"},
		{nil, 500, "internal"}, // it panics
		{fmt.Errorf("secret=hunter2: %w", nats.ErrTimeout), 503, "unavailable"},
		{fmt.Errorf("secret=hunter2: %w", context.DeadlineExceeded), 503, "unavailable"},
		{errors.Join(admin.Invalid("one"), admin.Invalid("two")), 400, "invalid"},
	} {
		s.serve(Options{Operator: broken{s.direct, c.err}, Viewer: s.direct, Tasks: s.tasks, Logger: s.log.logger()})
		got := s.ask(access.Operator, http.MethodGet, "/overview", "")
		p := problemOf(t, got)
		assert.Equal(t, c.status, got.status)
		assert.Equal(t, problemType+c.kind, p.Type)
		assert.NotContains(t, got.body, "hunter2")
		if c.status < 500 {
			continue
		}
		assert.Contains(t, s.log.String(), strings.TrimPrefix(p.Instance, requestURN), "the log has more")
		assert.Contains(t, s.log.String(), "hunter2")
		assert.Equal(t, c.status == 503, got.header.Get("Retry-After") == "5")
	}
}

func TestWhileNATSIsAwayTheAnswerIsLater(t *testing.T) {
	s := newStation(t)
	s.nats.Stop()
	began := time.Now()
	got := s.ask(access.Viewer, http.MethodGet, "/dead-letters", "")
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.Equal(t, "5", got.header.Get("Retry-After"))
	assert.Contains(t, problemOf(t, got).Detail, "NATS")
	assert.Less(t, time.Since(began), requestTimeout+5*time.Second)
}

func TestAFifthTaskIsAConflict(t *testing.T) {
	s := newStation(t)
	for range 4 {
		_, err := s.tasks.Start("long", "", admin.By{}, func(ctx context.Context, _ admin.Progress) (any, error) { <-ctx.Done(); return nil, nil })
		require.NoError(t, err)
	}
	got := s.ask(access.Admin, http.MethodPost, "/apply", "")
	assert.Equal(t, http.StatusConflict, got.status)
	_, err := s.client(access.Admin).Apply(t.Context(), by(""), false)
	assert.ErrorIs(t, err, admin.ErrConflict)
	assert.EqualError(t, err, problemOf(t, got).Detail)
}
