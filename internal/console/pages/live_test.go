package pages

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// screen is a browser that has a page open.
type screen struct {
	mu     sync.Mutex
	status int
	text   strings.Builder
	header http.Header
	end    context.CancelFunc
	ended  chan struct{}
}

func (s *screen) Header() http.Header { return s.header }
func (s *screen) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = status
}
func (s *screen) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(data)
}
func (s *screen) Flush() {}

// watch opens the event stream of a page.
func (d *dashboard) watch(t testing.TB, who access.Identity, page string) *screen {
	t.Helper()
	ctx, cancel := context.WithCancel(access.With(t.Context(), who))
	s := &screen{header: http.Header{}, end: cancel, ended: make(chan struct{}), status: http.StatusOK}
	r := httptest.NewRequest(http.MethodGet, link("/live", "page", page), http.NoBody).WithContext(ctx)
	go func() {
		defer close(s.ended)
		d.ServeHTTP(s, r)
	}()
	return s
}

// regions are the names of the regions that came since the last look, with their HTML.
func (s *screen) regions(t testing.TB) map[string]string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	came, event := map[string]string{}, ""
	for scanner := bufio.NewScanner(strings.NewReader(s.text.String())); scanner.Scan(); {
		line := scanner.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		values := map[string]string{}
		require.NoError(t, json.Unmarshal([]byte(data), &values))
		switch event {
		case "region":
			came[values["name"]] = values["html"]
		case "said":
			came["said"] += values["text"] + "\n"
		case "beat":
			came["beat"] = values["problem"]
		}
	}
	s.text.Reset()
	return came
}

func TestOnlyWhatChangedIsSent(t *testing.T) {
	s := newScene()
	now := today
	d := &dashboard{scene: s, desk: &desk{}}
	o := optionsOf(t, s, d.desk, &now)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o.Now = func() time.Time { return today.Add(time.Since(start)) }
		var err error
		d.Handler, err = New(o)
		require.NoError(t, err)

		browser := d.watch(t, viewer, "/")
		synctest.Wait()
		first := browser.regions(t)
		assert.Contains(t, first, "flow-headline")
		assert.Contains(t, first, "flow-picture")
		assert.Contains(t, first, "nav")
		assert.NotContains(t, first, "said", "nothing is news to who just came")

		s.set(func() { s.overview = func(o *admin.Overview) { o.DeadLetters = 400 } })
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		then := browser.regions(t)
		assert.Contains(t, then["nav"], "400")
		assert.NotContains(t, then, "flow-grid", "it is the same")

		s.set(func() {
			s.overview = func(o *admin.Overview) {
				o.DeadLetters, o.Subscribers[1].Health, o.Subscribers[1].Why = 400, admin.HealthGood, ""
			}
		})
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		assert.Equal(t, "subscriber crm is good\n", browser.regions(t)["said"])

		browser.end()
		<-browser.ended
	})
}

func TestAPageIsRenderedOnceForAllWhoWatchIt(t *testing.T) {
	s := newScene()
	now := today
	o := optionsOf(t, s, &desk{}, &now)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o.Now = func() time.Time { return today.Add(time.Since(start)) }
		h, err := New(o)
		require.NoError(t, err)
		d := &dashboard{Handler: h}
		var screens []*screen
		for range maxStreams {
			screens = append(screens, d.watch(t, operator, "/subscribers"))
		}
		synctest.Wait()
		before := s.looked()
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		assert.Equal(t, 5, s.looked()-before, "every two seconds, whoever watches")

		late := d.watch(t, operator, "/")
		<-late.ended
		assert.Equal(t, http.StatusServiceUnavailable, late.status)
		screens[0].end()
		<-screens[0].ended
		again := d.watch(t, operator, "/")
		synctest.Wait()
		assert.Equal(t, http.StatusOK, again.status)
		for _, one := range append(screens, again) {
			one.end()
			<-one.ended
		}
		synctest.Wait()
		before = s.looked()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, before, s.looked(), "nobody watches any more")
	})
}

func TestAStreamEndsByItselfAndIsOpenedAgain(t *testing.T) {
	s := newScene()
	now := today
	o := optionsOf(t, s, &desk{}, &now)
	synctest.Test(t, func(t *testing.T) {
		h, err := New(o)
		require.NoError(t, err)
		d := &dashboard{Handler: h}
		browser := d.watch(t, viewer, "/audit")
		time.Sleep(streamLasts + time.Second)
		<-browser.ended
		assert.Contains(t, browser.text.String(), "retry: 1500")
	})
}

func TestWhatFailsWhileItIsWatchedIsSaid(t *testing.T) {
	s := newScene()
	now := today
	o := optionsOf(t, s, &desk{}, &now)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o.Now = func() time.Time { return today.Add(time.Since(start)) }
		h, err := New(o)
		require.NoError(t, err)
		d := &dashboard{Handler: h}
		browser := d.watch(t, viewer, "/dead-letters")
		synctest.Wait()
		assert.Empty(t, browser.regions(t)["beat"])
		s.set(func() { s.err = context.DeadlineExceeded })
		time.Sleep(5*time.Second + time.Millisecond)
		synctest.Wait()
		then := browser.regions(t)
		assert.NotEmpty(t, then["beat"])
		assert.Contains(t, then["banner"], "These are the numbers of")
		assert.NotContains(t, then, "deadgroups-list", "what was known stays")
		browser.end()
		<-browser.ended
	})
}

func TestOnlyPagesCanBeWatchedAndOnlyByWhoMay(t *testing.T) {
	d := open(t, newScene())
	for _, page := range []string{"", "/live", "/live?page=%2F", "/assets/pages.css", "//evil.example/", "/nope", "https://evil.example/", "/" + strings.Repeat("x", maxAddressBytes)} {
		assert.Equal(t, http.StatusNotFound, d.get(manager, link("/live", "page", page)).Code, page)
	}
	assert.Equal(t, http.StatusNotFound, d.get(access.Identity{}, "/live?page=%2F").Code)
}

func (s *scene) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *scene) looked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.looks
}
