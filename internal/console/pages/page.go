package pages

import (
	"net/http"
	"time"
)

// page is what a visit comes to: a template and what it shows.
type page struct {
	Title string
	// Section is the entry of the navigation that it belongs to, by its path.
	Section string
	View    any

	template string
	status   int // 0 is 200
	// regions are the templates whose parts of the page are kept up to date, looked at so often; 0 is every two seconds.
	regions []string
	every   time.Duration
}

// answer writes a page, or the page that says why there is none.
func (s *site) answer(w http.ResponseWriter, v *visit, p *page, err error) {
	if err != nil {
		p = s.problem(v, err)
	}
	html, err := s.templates.run("layout", s.frame(v, p))
	if err != nil {
		s.o.Logger.WithError(err).WithField("page", v.URL.Path).Error("A page of the dashboard could not be made")
		http.Error(w, "This page could not be made; the log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(max(p.status, http.StatusOK))
	_, _ = w.Write([]byte(html)) // the browser is gone, or it is not
}
