package pages

import (
	"crypto/sha256"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// form is what a browser sends of a form that is on a page: its hidden fields, and what a test fills in.
func form(t testing.TB, w *httptest.ResponseRecorder, action string, filled ...string) []string {
	t.Helper()
	for _, f := range elements(parsedPage(t, w.Body.Bytes()), "form") {
		if attribute(f, "action") != action || attribute(f, "method") != "post" {
			continue
		}
		pairs := filled
		for _, input := range elements(f, "input") {
			if attribute(input, "type") == "hidden" {
				pairs = append(pairs, attribute(input, "name"), attribute(input, "value"))
			}
		}
		return pairs
	}
	require.Fail(t, "there is no such form", action)
	return nil
}

// follow is the page that an answer to a form leads to.
func (d *dashboard) follow(t testing.TB, w *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	t.Helper()
	require.Equal(t, http.StatusSeeOther, w.Code)
	next := d.get(manager, w.Header().Get("Location"))
	require.Equal(t, http.StatusOK, next.Code)
	checkHTML(t, w.Header().Get("Location"), next.Body.Bytes())
	return next
}

func TestAPauseIsAskedForWithAReasonAndShown(t *testing.T) {
	s := newScene()
	d := open(t, s)
	w := d.post(operator, "/subscribers/crm/pause", "for", "15m")
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assertSays(t, w, "reason: say why")
	assert.Empty(t, s.told)

	next := d.follow(t, d.post(operator, "/subscribers/crm/pause", "for", "15m", "reason", "CRM release"))
	assert.Equal(t, []string{"pause crm 15m"}, s.told)
	assert.Equal(t, admin.By{Reason: "CRM release", Who: mesh.Actor{User: "otto", Role: "operator", Via: "password", Address: "192.0.2.1"}}, s.by)
	assertSays(t, next, "crm is paused for 15 min. 4,000 events will have waited then; at 50/s it takes 1 min 20 s to catch up.")
	assert.False(t, strings.Contains(d.get(operator, "/subscribers/crm").Body.String(), "is paused for"), "it is said once")

	assert.NotContains(t, next.Body.String(), "deletes what is older")
	for _, length := range []string{"", "8d"} {
		next = d.follow(t, d.post(operator, "/subscribers/crm/pause", "for", length, "reason", "CRM is being replaced"))
		assertSays(t, next, "Mind that the stream INTERACTIONS deletes what is older than 7 d, whether it waits or not.")
	}
	next = d.follow(t, d.post(operator, "/subscribers/crm/resume"))
	assertSays(t, next, "pause_until in streams.json pauses it again")
}

func TestAReplayOfTheHistoryIsPlannedFirst(t *testing.T) {
	s := newScene()
	d := open(t, s)
	plan := d.get(operator, "/subscribers/crm/replay?plan=on&since=2h&type=connected&rate=30%2Fm")
	assertSays(t, plan, "Replay 4,702 events to crm")
	assertSays(t, plan, "28,212")
	d.follow(t, d.post(operator, "/subscribers/crm/replay", form(t, plan, "", "reason", "CRM lost an hour")...))
	assert.Equal(t, []string{`history {"subscriber":"crm","since":"2026-11-20T12:02:11Z","until":"2026-11-20T14:02:11Z","type":"connected","rate":"30/m"}`}, s.told,
		"what was planned is what is done")

	none := d.get(operator, "/subscribers/crm/replay?plan=on&type=none")
	assert.Equal(t, http.StatusOK, none.Code)
	assertSays(t, none, mesh.ErrNothingToReplay.Error())
	d.follow(t, d.post(operator, "/subscribers/crm/replay/a1b2c3d4/cancel", "reason", "enough"))
	assert.Equal(t, "cancel crm a1b2c3d4", s.told[1])
}

func TestDeadLettersAreReplayedAfterAQuestionThatSaysWhich(t *testing.T) {
	for name, c := range map[string]struct {
		ask  string
		says []string
		told string
	}{
		"the selected": {
			"/dead-letters/confirm?action=replay&number=2&number=1", []string{"Exactly 2 dead letters", "genmesh dead replay 1 2 --because"},
			`replay {"numbers":[1,2]}`,
		},
		"a group, as it is now": {
			"/dead-letters/confirm?action=discard&subscriber=crm&reason_is=rejected&cause=c1", []string{"Exactly 330 dead letters", "and 320 more", "--cause c1", "2026-11-20 14:02:11 UTC"},
			`discard {"subscriber":"crm","reason":"rejected","cause":"c1","until":"2026-11-20T14:02:11Z"}`,
		},
		"all, as they are now": {
			"/dead-letters/confirm?action=replay", []string{"Exactly 330 dead letters", "genmesh dead replay --all"},
			`replay {"all":true,"until":"2026-11-20T14:02:11Z"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			d := open(t, s)
			question := d.get(operator, c.ask)
			for _, says := range c.says {
				assertSays(t, question, says)
			}
			filled := form(t, question, "/dead-letters/act", "reason", "crm is back")
			assert.Empty(t, s.told, "a question does nothing")
			task := d.follow(t, d.post(operator, "/dead-letters/act", filled...))
			assert.Equal(t, []string{c.told}, s.told)
			assert.Equal(t, "crm is back", s.by.Reason)
			assert.Equal(t, "otto", d.desk.tasks[0].Who)
			assertSays(t, task, "of 2 done")
			assertSays(t, task, "<bdi>crm is back</bdi>")
			assertSays(t, task, "/audit?action=dead-")
			for _, page := range []*httptest.ResponseRecorder{question, task} {
				assert.NotContains(t, withoutAddresses(page.Body.String()), reasonField, "names of fields are for programs")
				assert.NotContains(t, withoutAddresses(page.Body.String()), ">c1<", "and so are the names of causes")
			}
		})
	}
}

func TestATaskTellsWhatFailed(t *testing.T) {
	d := open(t, newScene())
	task := d.follow(t, d.post(operator, "/dead-letters/act", "action", "replay", "number", "7", "number", "9", "reason", "x"))
	assertSays(t, task, "1 of 2 done, 1 failed")
	assertSays(t, task, `<a href="/dead-letters/7">7</a>`)
	assertSays(t, task, `comes back as a dead letter. <a href="/dead-letters">Dead letters</a>`)
	assertSays(t, d.get(viewer, "/tasks"), "done in part")
	assertSays(t, d.get(viewer, "/tasks/"+d.desk.List()[0].ID), template.HTMLEscapeString(admin.HiddenText)) // why may repeat a body
}

// withoutAddresses is what people read of a page, with its tags but not what they carry.
func withoutAddresses(page string) string {
	return regexp.MustCompile(` (href|value|name|data-page|id|for)="[^"]*"`).ReplaceAllString(page, "")
}

func TestATaskThatDidNothingSaysSo(t *testing.T) {
	view := taskView{Act: &admin.ActResult{Chosen: 2, Failed: []admin.ActFailed{{Number: 7}, {Number: 9}}}}
	assert.True(t, view.NothingDone())
	view.Act.Done = 1
	assert.False(t, view.NothingDone())
	view.Act = &admin.ActResult{}
	assert.False(t, view.NothingDone(), "nothing was chosen: all of it is done")
}

func TestAReleaseCanBeTriedFirst(t *testing.T) {
	s := newScene()
	d := open(t, s)
	question := d.get(operator, "/quarantine/confirm?action=release&source=genesys&reason_is=schema")
	filled := form(t, question, "/quarantine/act", "reason", "")
	d.follow(t, d.post(operator, "/quarantine/act", append(filled, "try", "on")...))
	assert.Equal(t, []string{`release {"source":"genesys","reason":"schema","until":"2026-11-20T14:02:11Z","dry_run":true}`}, s.told)

	w := d.post(operator, "/quarantine/act", filled...)
	assert.Equal(t, http.StatusBadRequest, w.Code, "what is done needs a reason")
	assert.Len(t, s.told, 1)
}

func TestErasingTakesTheIDTypedOut(t *testing.T) {
	s := newScene()
	d := open(t, s)
	assertSays(t, d.get(manager, "/interactions/erase?id=6f1c&source=genesys"), "Nothing brings it back")
	for _, typed := range []string{"", "6f1", "6F1C"} {
		w := d.post(manager, "/interactions/erase", "id", "6f1c", "typed", typed, "reason", "GDPR 12")
		assert.Equal(t, http.StatusBadRequest, w.Code)
	}
	assert.Empty(t, s.told)
	erased := d.follow(t, d.post(manager, "/interactions/erase", "id", "6f1c", "source", "genesys", "typed", "6f1c", "reason", "GDPR 12", "notify_again", "on"))
	assertSays(t, erased, "did not hear of it, for its filters do not take the erasure events of")
	assert.Equal(t, []string{`erase {"interaction":"6f1c","source":"genesys","notify_again":true}`}, s.told)
	assert.NotContains(t, d.desk.tasks[0].About, "6f1c", "what is erased is not named elsewhere")
}

func TestNothingIsDestroyedThatWasNotSeenAndTyped(t *testing.T) {
	s := newScene()
	d := open(t, s)
	s.plan = mesh.Plan{Steps: []mesh.Step{{Action: mesh.Delete, Kind: mesh.KindStream, Name: "OLD", Loses: "12 messages"}}}
	question := d.get(manager, "/configuration/apply")
	assertSays(t, question, "destroy OLD")
	filled := form(t, question, "/configuration/apply", "reason", "cleaning up")

	assert.Equal(t, http.StatusBadRequest, d.post(manager, "/configuration/apply", append(filled, "destroy", "on", "typed", "destroy")...).Code)
	seen := s.plan
	s.plan.Steps = append(seen.Steps[:1:1], mesh.Step{Action: mesh.Delete, Kind: mesh.KindStream, Name: "NEW", Loses: "1 message"})
	w := d.post(manager, "/configuration/apply", append(filled, "destroy", "on", "typed", "destroy OLD")...)
	assert.Equal(t, http.StatusConflict, w.Code, "the plan became another one")
	assert.Empty(t, s.told)

	s.plan = seen
	d.follow(t, d.post(manager, "/configuration/apply", filled...))
	d.follow(t, d.post(manager, "/configuration/apply", append(filled, "destroy", "on", "typed", "destroy OLD")...))
	assert.Equal(t, []string{"apply false", "apply true"}, s.told)
}

func TestALogLevelIsChangedForAWhile(t *testing.T) {
	s := newScene()
	d := open(t, s)
	next := d.follow(t, d.post(manager, "/processes/level", "process", "", "level", "debug", "for", "15m", "reason", "looking for it"))
	assert.Equal(t, []string{`level "" debug 15m`}, s.told)
	assertSays(t, next, "2 processes log at the level debug for 15 min.")
	assert.Equal(t, http.StatusBadRequest, d.post(manager, "/processes/level", "level", "trace", "reason", "x").Code)
}

func TestWhatAScrubFoundIsShownAndAccepted(t *testing.T) {
	s := newScene()
	d := open(t, s)
	shown := d.get(viewer, "/streams")
	assertSays(t, shown, "74 messages (75 to 148) of INTERACTIONS are missing", "May have been missed by crm, analytics.", "Look at the disk.")
	assert.NotContains(t, shown.Body.String(), "/scrub/3/accept", "who only looks accepts nothing")
	assert.Contains(t, d.get(operator, "/streams").Body.String(), "/scrub/3/accept")

	next := d.follow(t, d.post(operator, "/scrub/3/accept", "reason", "restored"))
	assertSays(t, next, "Accepted: 74 messages of INTERACTIONS are missing. It is in the audit.")
	assert.Equal(t, http.StatusBadRequest, d.post(operator, "/scrub/3/accept").Code, "a reason is needed")
	d.follow(t, d.post(operator, "/scrub", "deep", "on"))
	assert.Equal(t, []string{"accept 3", "scrub, deep true"}, s.told)
	assert.Equal(t, http.StatusNotFound, d.post(operator, "/scrub/x/accept", "reason", "x").Code)
}

func TestAFormThatIsNotOursIsRefused(t *testing.T) {
	s := newScene()
	d := open(t, s)
	assert.Equal(t, http.StatusBadRequest, d.post(manager, "/subscribers/crm/resume", "surprise", "1").Code)
	w := d.post(manager, "/subscribers/crm/pause", "reason", strings.Repeat("x", maxFormBytes))
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assertSays(t, w, "too large")

	r := httptest.NewRequest(http.MethodPost, "/subscribers/crm/pause?reason=x&for=15m", strings.NewReader(`{"reason":"x"}`))
	r.Header.Set("Content-Type", "application/json")
	assert.Equal(t, http.StatusBadRequest, d.serve(manager, r).Code, "what stands in the address is no form")
	r = httptest.NewRequest(http.MethodPost, "/subscribers/crm/resume", http.NoBody)
	assert.Equal(t, http.StatusBadRequest, d.serve(manager, r).Code)
	assert.Empty(t, s.told)
}

func TestTheLookOfThePagesIsRememberedByTheServer(t *testing.T) {
	d := open(t, newScene())
	w := d.post(viewer, "/view", "theme", "dark", "back", "/events?type=x")
	assert.Equal(t, "/events?type=x", w.Header().Get("Location"))
	cookies := w.Result().Cookies()
	require.Len(t, cookies, 1)
	assert.True(t, cookies[0].HttpOnly && cookies[0].SameSite == http.SameSiteLaxMode)
	assertSays(t, d.get(viewer, "/", cookies[0]), `data-theme="dark"`)
	assertSays(t, d.get(viewer, "/", &http.Cookie{Name: themeCookie, Value: `"><script>`}), `data-theme="auto"`)

	for _, elsewhere := range []string{"", "//evil.example", "https://evil.example/", `/\evil.example`, "javascript:alert(1)", "evil", "/%5Cevil.example", "/\tevil"} {
		w := d.post(viewer, "/view", "theme", "dark", "back", elsewhere)
		assert.Equal(t, http.StatusBadRequest, w.Code, elsewhere)
		assert.Empty(t, w.Header().Get("Location"))
	}
}

func TestTheAuditNamesWhoIsBehindAProxy(t *testing.T) {
	const token = "genmesh_0123456789abcdef0123456789abcdef"
	file := filepath.Join(t.TempDir(), "access.json")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `{"trusted_proxies": ["192.0.2.1"],
		"users": [{"name": "otto", "role": "operator", "token_sha256": "%x"}]}`, sha256.Sum256([]byte(token))), 0o600))
	guard, err := access.New(access.Options{File: file, Loopback: true, Logger: meshtest.Quiet(), Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	s := newScene()
	r := httptest.NewRequest(http.MethodPost, "/subscribers/crm/pause", strings.NewReader("reason=release"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	w := httptest.NewRecorder()
	guard.Handler(open(t, s)).ServeHTTP(w, r)
	require.Equal(t, http.StatusSeeOther, w.Code)
	assert.Equal(t, "203.0.113.9", s.by.Who.Address)
}
