package pages

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/genmesh/genmesh/internal/console/access"
)

// watches keep the pages up to date that somebody watches: each once, for all who watch the same with the same role.
type watches struct {
	site *site
	mu   sync.Mutex
	of   map[watchKey]*watch
	// open is how many watch, viewers how many of them are viewers.
	open, viewers int
}

// watchKey names what is watched.
type watchKey struct {
	page   string // its path and query
	role   access.Role
	masked bool
}

// maxStreams bounds how many watch at once, maxViewerStreams how many of them are viewers: who operates finds room.
const (
	maxStreams       = 64
	maxViewerStreams = 48
)

// watch is one page that is watched. Who watches it asks for what is newer than what it has, so that nobody who is slow holds up
// anything.
type watch struct {
	key     watchKey
	cancel  context.CancelFunc
	joined  int // under watches.mu
	mu      sync.Mutex
	version uint64
	parts   map[string]part
	said    []remark
	at      time.Time
	problem string
	changed chan struct{}
}

// part is a region as it was rendered last, and since which version.
type part struct {
	html    string
	version uint64
}

// remark is something to be read out.
type remark struct {
	text    string
	version uint64
}

// maxRemarks bounds what is kept of them.
const maxRemarks = 16

func newWatches(s *site) *watches { return &watches{site: s, of: map[watchKey]*watch{}} }

// join watches a page, or reports false if too many watch. Its goroutine ends when the last one has left.
func (w *watches) join(key watchKey) (*watch, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	isViewer := key.role == access.Viewer
	if w.open >= maxStreams || isViewer && w.viewers >= maxViewerStreams {
		return nil, false
	}
	w.open++
	if isViewer {
		w.viewers++
	}
	one, watched := w.of[key]
	if !watched {
		ctx, cancel := context.WithCancel(context.Background())
		one = &watch{key: key, cancel: cancel, parts: map[string]part{}, changed: make(chan struct{})}
		w.of[key] = one
		go w.site.keep(ctx, one)
	}
	one.joined++
	return one, true
}

func (w *watches) leave(one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open--
	if one.key.role == access.Viewer {
		w.viewers--
	}
	if one.joined--; one.joined == 0 {
		one.cancel()
		delete(w.of, one.key)
	}
}

// commonRegions are those of every page.
func commonRegions() []string { return []string{"banner", "pill", "nav"} }

// defaultEvery is how often a page is looked at that does not say so.
const defaultEvery = 2 * time.Second

// keep renders a page's regions again and again until ctx ends.
func (s *site) keep(ctx context.Context, one *watch) {
	before := glance{}
	for {
		now, every := s.renew(ctx, one, before)
		before = now
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
	}
}

// renew renders once. What can't be rendered stays as it was.
func (s *site) renew(ctx context.Context, one *watch, before glance) (glance, time.Duration) {
	taken := s.take(ctx, one.key)
	if taken.visit == nil {
		return before, defaultEvery
	}
	p, problem := taken.page, ""
	if taken.err != nil {
		p, problem = &page{}, taken.err.Error()
	}
	f := s.frame(taken.visit, p)
	rendered := map[string]string{}
	for _, name := range append(commonRegions(), p.regions...) {
		html, err := s.templates.run(name, f)
		if err != nil {
			s.o.Logger.WithError(err).WithField("region", name).Error("A part of the dashboard could not be made")
			continue
		}
		rendered[name] = html
	}
	if taken.err != nil {
		delete(rendered, "nav") // it would lose its current entry
	}
	at := s.o.Now()
	if problem == "" && f.Glance.Problem != "" {
		problem = f.Glance.Problem
		if !f.Glance.At.IsZero() {
			at = f.Glance.At
		}
	}
	one.take(rendered, changes(before, f.Glance), at, problem)
	every := p.every
	if every == 0 {
		every = defaultEvery
	}
	return f.Glance, every
}

// take keeps what has changed, and wakes who waits for it.
func (w *watch) take(rendered map[string]string, said []string, at time.Time, problem string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next, news := w.version+1, w.problem != problem || w.version == 0
	for name, html := range rendered {
		if old, known := w.parts[name]; !known || old.html != html {
			w.parts[name], news = part{html, next}, true
		}
	}
	for _, text := range said {
		w.said, news = append(w.said, remark{text, next}), true
	}
	w.said = w.said[max(len(w.said)-maxRemarks, 0):]
	w.at, w.problem = at, problem
	if !news {
		return
	}
	w.version = next
	close(w.changed)
	w.changed = make(chan struct{})
}

// news is what somebody has not got yet.
type news struct {
	version uint64
	parts   map[string]string
	said    []string
	at      time.Time
	problem string
}

// since is what is newer than a version, and what is closed when there is more. Who has nothing yet is told no remarks: those are
// about what was before.
func (w *watch) since(seen uint64) (news, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := news{version: w.version, parts: map[string]string{}, at: w.at, problem: w.problem}
	for name, p := range w.parts {
		if p.version > seen {
			n.parts[name] = p.html
		}
	}
	for _, r := range w.said {
		if seen > 0 && r.version > seen {
			n.said = append(n.said, r.text)
		}
	}
	return n, w.changed
}

// pageTaker is a http.ResponseWriter that takes the page itself, before it is rendered: so the pages are found for those who watch
// as they are for a browser.
type pageTaker struct {
	visit *visit
	page  *page
	err   error
}

// Header, Write and WriteHeader are for what is no page: that is dropped.
func (t *pageTaker) Header() http.Header            { return http.Header{} }
func (t *pageTaker) Write(data []byte) (int, error) { return len(data), nil }
func (t *pageTaker) WriteHeader(int)                {}

// take looks at a page with a role.
func (s *site) take(ctx context.Context, key watchKey) *pageTaker {
	taker := new(pageTaker)
	r, err := http.NewRequestWithContext(access.With(ctx, access.Identity{Role: key.role}), http.MethodGet, key.page, http.NoBody)
	if err != nil {
		return taker
	}
	if key.masked {
		r.AddCookie(&http.Cookie{Name: maskCookie, Value: "on"})
	}
	s.mux.ServeHTTP(taker, r)
	return taker
}
