package pages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/mesh"
)

// addresses are all pages, with what is asked of each.
func addresses() []string {
	return []string{
		"/", "/?q=domain&health=good&sort=name", "/subscribers", "/subscribers?sort=p99", "/subscribers/crm", "/subscribers/analytics", "/subscribers/chatlog",
		"/subscribers/crm/replay", "/subscribers/crm/replay?plan=on&since=2h&type=connected&interaction=6f1c&rate=30%2Fm", "/subscribers/crm/replay?plan=on&type=none",
		"/interactions", "/interactions?id=6f1c", "/interactions?id=6f1c&limit=1000", "/interactions?id=nowhere", "/interactions/erase?id=6f1c",
		"/events", "/events?stream=INTERACTIONS&since=7d&cursor=c1", "/events?type=none", "/events/INTERACTIONS/5",
		"/dead-letters", "/dead-letters?subscriber=crm&reason_is=rejected&since=2h", "/dead-letters/list", "/dead-letters/list?cause=c2&cursor=c1", "/dead-letters/12",
		"/dead-letters/confirm?action=replay&number=1&number=2", "/dead-letters/confirm?action=discard&cause=c2&subscriber=crm",
		"/quarantine", "/quarantine/list", "/quarantine/3", "/quarantine/confirm?action=release", "/quarantine/confirm?action=discard&number=3",
		"/streams", "/configuration", "/configuration/apply", "/audit", "/audit?action=pause&cursor=c1", "/processes", "/tasks", "/tasks/t1", "/tasks/t2", "/tasks/t3",
	}
}

// busy is a dashboard where something was done already.
func busy(t testing.TB, s *scene) *dashboard {
	t.Helper()
	d := open(t, s)
	s.plan = mesh.Plan{Steps: []mesh.Step{
		{Action: mesh.Update, Kind: mesh.KindStream, Name: "INTERACTIONS", Loses: s.word, Changes: []mesh.Change{{Field: "max_age", From: s.word, To: "24h"}}},
		{Action: mesh.Create, Kind: mesh.KindConsumer, Name: "INTERACTIONS/billing", Changes: []mesh.Change{{Field: "ack_wait", To: "10s"}}},
	}}
	require.Equal(t, http.StatusSeeOther, d.post(manager, "/dead-letters/act", "action", "replay", "number", "7", "reason", cmp.Or(s.word, "x")).Code)
	require.Equal(t, http.StatusSeeOther, d.post(manager, "/interactions/erase", "id", "6f1c", "typed", "6f1c", "reason", cmp.Or(s.word, "x")).Code)
	require.Equal(t, http.StatusSeeOther, d.post(manager, "/configuration/apply", "seen", planName(s.plan), "reason", cmp.Or(s.word, "x")).Code)
	return d
}

func TestEveryPageIsSoundHTML(t *testing.T) {
	for name, change := range map[string]func(*scene){
		"as usual":           func(*scene) {},
		"with 100 of them":   func(s *scene) { s.subscribers = 100 },
		"with bodies hidden": func(s *scene) { s.hidden = true },
		"with nothing at all": func(s *scene) {
			s.subscribers, s.overview = 0, func(o *admin.Overview) { *o = admin.Overview{At: today, Connected: true} }
		},
		"with no word": func(s *scene) { s.word, s.body = "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene()
			change(s)
			d := busy(t, s)
			for _, address := range addresses() {
				if s.subscribers == 0 && strings.HasPrefix(address, "/subscribers/") {
					continue
				}
				w := d.get(manager, address)
				assert.Equal(t, http.StatusOK, w.Code, address)
				checkHTML(t, address, w.Body.Bytes())
			}
		})
	}
}

func TestNobodyGetsAPageWithoutARole(t *testing.T) {
	d := open(t, newScene())
	for _, address := range addresses() {
		w := d.get(access.Identity{}, address)
		assert.Equal(t, http.StatusForbidden, w.Code, address)
		assert.False(t, strings.Contains(w.Body.String(), "Service Unavailable"), address)
	}
}

func TestAViewerSeesNothingToChange(t *testing.T) {
	s := newScene()
	d := busy(t, s)
	forbidden := 0
	for _, address := range addresses() {
		w := d.get(viewer, address)
		if w.Code == http.StatusForbidden {
			forbidden++
			continue
		}
		for _, form := range elements(parsedPage(t, w.Body.Bytes()), "form") {
			action := attribute(form, "action")
			if attribute(form, "method") == "post" {
				assert.Contains(t, []string{"/view", "/logout"}, action, address)
			}
		}
		for _, link := range elements(parsedPage(t, w.Body.Bytes()), "a") {
			assert.NotRegexp(t, `/(confirm|erase|replay|apply)\b`, attribute(link, "href"), address)
		}
	}
	assert.Equal(t, 9, forbidden, "plans and confirmations are for those who may carry them out")
}

func TestAFormOfSomebodyWhoMayNotIsRefused(t *testing.T) {
	s := newScene()
	d := open(t, s)
	for _, c := range []struct {
		address string
		needs   access.Role
		fields  []string
	}{
		{"/subscribers/crm/pause", access.Operator, []string{"for", "15m", "reason", "x"}},
		{"/subscribers/crm/resume", access.Operator, nil},
		{"/subscribers/crm/replay", access.Operator, []string{"all", "on", "reason", "x"}},
		{"/subscribers/crm/replay/a1/cancel", access.Operator, nil},
		{"/dead-letters/act", access.Operator, []string{"action", "discard", "number", "1", "reason", "x"}},
		{"/quarantine/act", access.Operator, []string{"action", "release", "number", "1", "reason", "x"}},
		{"/interactions/erase", access.Admin, []string{"id", "x", "typed", "x", "reason", "x"}},
		{"/configuration/apply", access.Admin, []string{"seen", planName(s.plan), "reason", "x"}},
		{"/processes/level", access.Admin, []string{"level", "debug", "reason", "x"}},
		{"/scrub", access.Operator, []string{"deep", "on"}},
		{"/scrub/3/accept", access.Operator, []string{"reason", "x"}},
	} {
		for _, who := range []access.Identity{{}, viewer, operator, manager} {
			s.told = nil
			w := d.post(who, c.address, c.fields...)
			if who.Role.May(c.needs) {
				assert.Equal(t, http.StatusSeeOther, w.Code, "%s by %q: %s", c.address, who.Role, w.Body)
				assert.Len(t, s.told, 1, c.address)
				continue
			}
			assert.Equal(t, http.StatusForbidden, w.Code, "%s by %q", c.address, who.Role)
			assertSays(t, w, "this needs the role "+string(c.needs))
			assert.Empty(t, s.told, c.address)
			checkHTML(t, c.address, w.Body.Bytes())
		}
	}
}

func TestLookingChangesNothing(t *testing.T) {
	s := newScene()
	d := busy(t, s)
	s.told = nil
	for _, address := range addresses() {
		d.get(manager, address)
	}
	assert.Empty(t, s.told)
	for _, address := range []string{"/subscribers/crm/pause", "/dead-letters/act", "/configuration/level", "/view"} {
		assert.Equal(t, http.StatusNotFound, d.get(manager, address).Code, address)
	}
}

func TestAnswersKeepABrowserFromActingOnThem(t *testing.T) {
	d := open(t, newScene())
	for _, w := range []http.Header{
		d.get(viewer, "/").Header(), d.get(viewer, "/nope").Header(), d.post(viewer, "/dead-letters/act").Header(),
	} {
		assert.Equal(t, policy, w.Get("Content-Security-Policy"))
		assert.NotContains(t, policy, "unsafe")
		assert.Equal(t, "nosniff", w.Get("X-Content-Type-Options"))
		assert.Equal(t, "same-origin", w.Get("Referrer-Policy"))
		assert.Equal(t, "same-origin", w.Get("Cross-Origin-Opener-Policy"))
		assert.Equal(t, "same-origin", w.Get("Cross-Origin-Resource-Policy"))
		assert.Equal(t, "no-store", w.Get("Cache-Control"))
	}
	page := parsedPage(t, d.get(viewer, "/").Body.Bytes())
	for _, address := range []string{attribute(elements(page, "script")[0], "src"), attribute(elements(page, "link")[1], "href")} {
		w := d.get(access.Identity{}, address)
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Contains(t, w.Header().Get("Cache-Control"), "immutable")
		assert.NotEmpty(t, w.Header().Get("Content-Type"))
	}
	assert.Equal(t, http.StatusNotFound, d.get(viewer, "/assets/pages.css").Code, "an address without the hash would be kept for good")
}

func TestWhatIsWrongIsSaidWithWhatToDo(t *testing.T) {
	for _, c := range []struct {
		address string
		status  int
		says    string
	}{
		{"/nope", 404, "there is no page /nope"},
		{"/subscribers/nobody", 404, `streams.json has no subscriber &#34;nobody&#34;`},
		{"/events/INTERACTIONS/x", 404, "a sequence is a whole number"},
		{"/dead-letters/404", 404, "there is no dead letter 404"},
		{"/tasks/gone", 404, "the audit tells what was done"},
		{"/?health=great", 400, "health: &#34;great&#34; is none of"},
		{"/?surprise=1", 400, "surprise: nothing of that name is asked for here"},
		{"/events?subject=a.%3E&type=x", 400, "it stands instead of source, interaction and type"},
		{"/events?since=yesterday", 400, "write a time such as"},
		{"/dead-letters?since=1h&until=2h", 400, "it must be later than since"},
		{"/dead-letters/confirm?number=1", 400, "action: say what to do"},
		{"/dead-letters/confirm?action=replay&number=1&subscriber=crm", 400, "by number or by a filter, not by both"},
		{"/dead-letters/confirm?action=replay&number=0", 400, "whole numbers, from 1"},
		{"/interactions?id=a&id=b", 400, "it is given twice"},
		{"/interactions?id=" + strings.Repeat("x", 2000), 400, "it has 2000 bytes"},
	} {
		w := open(t, newScene()).get(manager, c.address)
		assert.Equal(t, c.status, w.Code, c.address)
		assertSays(t, w, c.says, c.address)
		checkHTML(t, c.address, w.Body.Bytes())
	}
}

func TestAFileThatIsRefusedIsSeenEverywhere(t *testing.T) {
	s := newScene()
	s.word = "line 3: subscriber crm: no target\nline 9: stream INTERACTIONS: no subjects"
	s.overview = func(o *admin.Overview) { o.Refused, o.Subscribers, o.Sources = s.word, nil, nil }
	d := open(t, s)
	assertSays(t, d.get(viewer, "/"), "it is refused as it is now, and what was in force before still is")
	assertSays(t, d.get(viewer, "/audit"), "streams.json is refused")
	page := d.get(viewer, "/configuration")
	assertSays(t, page, "<li><bdi>line 3: subscriber crm: no target</bdi></li>")
	assertSays(t, page, "<li><bdi>line 9: stream INTERACTIONS: no subjects</bdi></li>")
}

func TestAnInteractionIsFoundWhereSomebodyWouldLookForIt(t *testing.T) {
	d := open(t, newScene())
	for path, leads := range map[string]string{
		"/interactions/6f1c":        "/interactions?id=6f1c",
		"/interactions/a%2Fb%20c/d": "/interactions?id=a%2Fb+c%2Fd",
		"/interactions//evil.test/": "/interactions?id=evil.test%2F",
	} {
		w := d.get(viewer, path)
		if w.Code == http.StatusTemporaryRedirect || w.Code == http.StatusMovedPermanently { // to the path without its double slash
			w = d.get(viewer, w.Header().Get("Location"))
		}
		assert.Equal(t, http.StatusSeeOther, w.Code)
		assert.Equal(t, leads, w.Header().Get("Location"))
	}
}

func TestEachAttemptIsShown(t *testing.T) {
	d := open(t, newScene())
	for _, address := range []string{"/interactions?id=6f1c", "/events/INTERACTIONS/1"} {
		page := d.get(viewer, address)
		assertSays(t, page, `<span class="attempt-at">14:01:21.000</span> <span class="attempt-outcome">failed 500</span> <span class="muted">30 ms</span>`)
		assertSays(t, page, `<span class="attempt-at">14:01:41.000</span> <span class="attempt-outcome">waits</span> <span class="muted">1.0 s</span>`)
		assertSays(t, page, `<span class="attempt-at">14:02:01.000</span> <span class="attempt-outcome">rejected 422</span> <span class="muted">&lt;1 ms</span>`)
	}
	assertSays(t, d.get(viewer, "/interactions?id=6f1c"), `<title>attempt: failed, of `)
}

func TestWhatIsUnderWaySaysWhenItIsTriedAgain(t *testing.T) {
	page := open(t, newScene()).get(viewer, "/events/INTERACTIONS/1")
	assertSays(t, page, `<span class="attempt-outcome">failed 503</span> <span class="muted">7 ms</span>`)
	assertSays(t, page, `next attempt <time datetime="2026-11-20T14:02:31Z">`)
}

func TestAStreamSaysWhatItKeeps(t *testing.T) {
	for says, s := range map[string]admin.Stream{
		"on disk, up to its limits, refuses new ones when it is full": {Storage: "file", Retention: "limits", Discard: "new"},
		"in memory, until a subscriber has taken them, forgets the oldest when it is full": {
			Storage: "memory", Retention: "workqueue", Discard: "old",
		},
		"": {},
	} {
		assert.Equal(t, says, streamView{Stream: s}.Keeps())
	}
	full := boundsOf(admin.Stream{Discard: "old", Bytes: 10, MaxBytes: 10}, today)
	assert.Equal(t, admin.HealthGood, full[0].Health, "to be full is how it forgets")
	assert.Equal(t, admin.HealthFailing, boundsOf(admin.Stream{Discard: "new", Bytes: 10, MaxBytes: 10}, today)[0].Health)
}

func TestWithoutNATSTheLastNumbersStayWithABanner(t *testing.T) {
	s := newScene()
	now := today
	d := open(t, s)
	d.Handler = func() http.Handler { h, _ := New(optionsOf(t, s, d.desk, &now)); return h }()
	assertSays(t, d.get(viewer, "/"), "12,656")

	s.err = errors.New("nats: no servers available for connection")
	now = now.Add(glanceAge)
	for _, address := range []string{"/", "/subscribers", "/subscribers/crm", "/streams"} {
		w := d.get(viewer, address)
		assert.Equal(t, http.StatusOK, w.Code, address)
		assertSays(t, w, "These are the numbers of <time", address)
		assertSays(t, w, "no servers available", address)
		checkHTML(t, address, w.Body.Bytes())
	}
	w := d.get(viewer, "/dead-letters")
	assert.Equal(t, http.StatusServiceUnavailable, w.Code, "what nobody kept can't be shown")
	assertSays(t, w, "genmesh doctor")
}

func TestAllWhoLookAtOnceLookOnce(t *testing.T) {
	s := newScene()
	d := open(t, s)
	for range 20 {
		d.get(viewer, "/")
		d.get(viewer, "/audit")
	}
	assert.Equal(t, 1, s.looks)
}

func TestAGroupOfDeadLettersShowsTheTargetsOwnWords(t *testing.T) {
	s := newScene()
	s.word = `{"error":"no contact <4711>"}`
	d := open(t, s)
	said := `<p class="words"><bdi>{&#34;error&#34;:&#34;no contact &lt;4711&gt;&#34;}</bdi></p>`
	assert.Equal(t, 2, strings.Count(d.get(viewer, "/dead-letters").Body.String(), said), "the error, and the answer; the other group has none")
	masked := d.get(viewer, "/dead-letters", &http.Cookie{Name: maskCookie, Value: "on"})
	assert.False(t, strings.Contains(text(parsedPage(t, masked.Body.Bytes())), "4711"))
}

// unnamed is a scene whose dead letter says neither what its event was nor whose.
type unnamed struct{ *scene }

func (u unnamed) DeadLetter(ctx context.Context, number uint64) (admin.DeadLetter, error) {
	d, err := u.scene.DeadLetter(ctx, number)
	d.Type, d.Interaction = "", ""
	return d, err
}

func TestADeadLetterSaysWhatCouldNotBeTaken(t *testing.T) {
	s := newScene()
	s.word = "interaction"
	lead := func(d *dashboard) string {
		for _, p := range elements(parsedPage(t, d.get(viewer, "/dead-letters/12").Body.Bytes()), "p") {
			if attribute(p, "class") == "lead" {
				return text(p)
			}
		}
		return ""
	}
	d := open(t, s)
	assert.Equal(t, "crm could not take an event of type v2.detail.events.conversation.interaction, interaction 6f1c2d3e-interaction", lead(d))
	now := today
	o := optionsOf(t, s, d.desk, &now)
	o.Viewer = unnamed{s}
	var err error
	d.Handler, err = New(o)
	require.NoError(t, err)
	assert.Equal(t, "crm could not take an event", lead(d))
}

// TestTheAuditTellsWhatWasAboutToBegin from what was done: a change that takes a while has a record before and one behind it.
func TestTheAuditTellsWhatWasAboutToBegin(t *testing.T) {
	w := open(t, newScene()).get(viewer, "/audit")
	var rows []string
	for _, row := range elements(parsedPage(t, w.Body.Bytes()), "tr") {
		if attribute(row, "class") == "muted" {
			rows = append(rows, strings.Join(strings.Fields(text(row)), " "))
		}
	}
	require.Len(t, rows, 1)
	assert.Regexp(t, `ada dead-replay all .* about to begin$`, rows[0])
	assert.NotContains(t, rows[0], "0 of 12 done")
	assertSays(t, w, "816 events to hand over")
	assert.False(t, strings.Contains(w.Body.String(), "intended"))
}

// assertSays finds words on a page, and says no more of it if they are not there.
func assertSays(t testing.TB, w *httptest.ResponseRecorder, words string, about ...any) {
	t.Helper()
	assert.True(t, strings.Contains(w.Body.String(), words), append([]any{fmt.Sprintf("the page does not say %q: %%v", words)}, fmt.Sprint(about...))...)
}

func TestTheHeadlineSaysWhetherEventsArrive(t *testing.T) {
	good := admin.Subscriber{SubscriberState: mesh.SubscriberState{Name: "crm"}, Health: admin.HealthGood}
	paused := admin.Subscriber{SubscriberState: mesh.SubscriberState{Name: "wfm"}, Health: admin.HealthPaused}
	for says, edit := range map[string]func(*admin.Overview){
		"Nothing has arrived yet, and everyone keeps up":              func(*admin.Overview) {},
		"Events arrive, and everyone keeps up":                        func(o *admin.Overview) { o.Sources[0].LastStored = today.Add(-time.Minute) },
		"Nothing has arrived for 2 h 10 min, and everyone keeps up":   func(o *admin.Overview) { o.Sources[0].LastStored = today.Add(-130 * time.Minute) },
		"1 of 2 subscribers is paused; all else is good":              func(o *admin.Overview) { o.Subscribers = append(o.Subscribers, paused) },
		"1 of 2 subscribers is paused; 3 dead letters":                func(o *admin.Overview) { o.Subscribers, o.DeadLetters = append(o.Subscribers, paused), 3 },
		"Everyone keeps up; 1 dead letter and 2 events in quarantine": func(o *admin.Overview) { o.DeadLetters, o.Quarantined = 1, 2 },
		"1 of 1 subscriber is failing; 1 of 1 source is slow": func(o *admin.Overview) {
			o.Subscribers[0].Health, o.Sources[0].Health = admin.HealthFailing, admin.HealthSlow
		},
		"Everyone keeps up; streams.json as it is now is refused": func(o *admin.Overview) { o.Refused = "line 3" },
	} {
		o := admin.Overview{
			At: today, Connected: true, Subscribers: []admin.Subscriber{good},
			Sources: []admin.Source{{Name: "genesys", Health: admin.HealthGood}},
		}
		edit(&o)
		assert.Equal(t, says, headlineOf(glance{Overview: o, Known: true}, &visit{}).Text)
	}
}

func TestTheWorstStandsInFront(t *testing.T) {
	o := admin.Overview{At: today, Connected: true}
	for i, dead := range []uint64{1, 1378, 0, 18, 0} {
		s := admin.Subscriber{SubscriberState: mesh.SubscriberState{Name: fmt.Sprint("s", i)}, Health: admin.HealthGood, DeadLetters: dead}
		if dead > 0 {
			s.Health = admin.HealthFailing
		}
		o.Subscribers = append(o.Subscribers, s)
	}
	g := glance{Overview: o, Known: true}
	var named, drawn []string
	for _, c := range headlineOf(g, &visit{}).Worst {
		named = append(named, c.Name)
	}
	for _, c := range pictureOf(g, &visit{}, time.Second).Subscribers {
		drawn = append(drawn, c.Name)
	}
	assert.Equal(t, []string{"s1", "s3", "s0"}, named)
	assert.Equal(t, []string{"s1", "s3", "s0", "s2", "s4"}, drawn, "those that are good stay in their order")
}

func TestThePictureBeginsWhereSomebodyLooks(t *testing.T) {
	for _, tc := range []struct{ subscribers, row int }{{1, 1}, {2, 1}, {3, 2}, {8, 2}} {
		p := picture{Sources: make([]sourceCard, 1), Streams: make([]streamCard, 1), Subscribers: make([]subscriberCard, tc.subscribers)}
		assert.Equal(t, tc.row, p.Row(0, 1), "one source before %d subscribers", tc.subscribers)
		assert.Equal(t, 1, p.Row(0, tc.subscribers))
		assert.Equal(t, tc.subscribers, p.Row(tc.subscribers-1, tc.subscribers))
	}
}

// The number of an edge stands at the end that no other edge has, and on the side from which the edge does not come.
func TestEachEdgeHasItsNumber(t *testing.T) {
	s := newScene()
	overview, err := s.Overview(t.Context())
	require.NoError(t, err)
	p := pictureOf(glance{Overview: overview, Known: true}, &visit{}, time.Second)
	require.Len(t, p.Out, len(p.Subscribers))
	for i, e := range p.Out {
		assert.Equal(t, p.Subscribers[i].Out, e.Rate)
		assert.Equal(t, p.Row(i, len(p.Subscribers)), e.Row)
	}
	assert.False(t, p.Out[0].Under, "it comes from below")
	assert.True(t, p.Out[len(p.Out)-1].Under, "it comes from above")
	require.Len(t, p.In, len(p.Sources))
	page := open(t, newScene()).get(viewer, "/")
	for _, e := range slices.Concat(p.In, p.Out) {
		under := ""
		if e.Under {
			under = " under"
		}
		assertSays(t, page, fmt.Sprintf(`<span class="edge-rate%s row-%d" aria-hidden="true">%s</span>`, under, e.Row, perSecond(e.Rate)))
	}
}

// Each row of the picture has a class of its own, for nothing may be styled in place.
func TestTheStylesKnowAllRowsOfThePicture(t *testing.T) {
	css, err := assetFiles.ReadFile("assets/pages.css")
	require.NoError(t, err)
	assert.Contains(t, string(css), fmt.Sprintf(".rows-%d ol, .rows-%[1]d.edges {", pictureCards))
	assert.Contains(t, string(css), fmt.Sprintf(".picture .row-%d {", pictureCards))
}

func TestWhatIsUnderWayReachesToNow(t *testing.T) {
	stored := today.Add(-time.Minute)
	drawn := lanesOf(&mesh.Timeline{Events: []mesh.TimelineEvent{{Stored: stored, Type: "interaction", Deliveries: []mesh.TimelineDelivery{
		{Subscriber: "crm", State: mesh.StateInHand}, {Subscriber: "wfm", State: mesh.StateNotMatched},
		{Subscriber: "dwh", State: "delivered", Began: stored, Ended: stored.Add(30 * time.Second)},
	}}}}, today)
	require.Len(t, drawn.Lanes, 3, "stored, crm and dwh")
	assert.Equal(t, time.Minute, drawn.Took)
	assert.Equal(t, mark{X: "0.0", Width: "994.0", Class: "slow", Label: "interaction in hand at crm"}, drawn.Lanes[1].Marks[0])
	assert.Equal(t, "497.0", drawn.Lanes[2].Marks[0].Width)

	g := glance{Overview: admin.Overview{Subscribers: []admin.Subscriber{
		{SubscriberState: mesh.SubscriberState{Name: "crm"}, Health: admin.HealthFailing, Why: "breaker open since 14:00 UTC"},
		{SubscriberState: mesh.SubscriberState{Name: "wfm"}, Health: admin.HealthStuck, Why: "3 dead letters wait for somebody"},
	}}}
	shown := deliveriesOf(&visit{}, g, []mesh.TimelineDelivery{
		{Subscriber: "crm", State: mesh.StateInHand}, {Subscriber: "wfm", State: mesh.StateWaiting}, {Subscriber: "crm", State: "delivered"},
	})
	assert.Equal(t, []string{"breaker open since 14:00 UTC", "", ""}, []string{shown[0].Why, shown[1].Why, shown[2].Why})
}
