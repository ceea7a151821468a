package ingress

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/genmesh/genmesh/mesh"
	"github.com/julienschmidt/httprouter"
)

// routes are all ways in at one time.
type routes struct {
	router    *httprouter.Router
	receivers map[string]*receiver // by source name
}

// handler takes a request and says what became of it. Its errors are *Error.
type handler func(w http.ResponseWriter, r *http.Request) (answer, error)

// newRoutes makes the routes of the sources. Sources that were there before keep their load.
func (s *Server) newRoutes(sources []mesh.Source, before *routes) (*routes, error) {
	next := &routes{router: s.newRouter(), receivers: make(map[string]*receiver, len(sources))}
	paths := map[string]string{"/healthz": "genmesh", "/readyz": "genmesh"}
	for _, source := range sources {
		if err := checkRoute(source, next.receivers, paths); err != nil {
			return nil, err
		}
		receiver, err := s.newReceiver(source, before.receiver(source.Name))
		if err != nil {
			return nil, err
		}
		next.receivers[source.Name], paths[source.Path] = receiver, source.Name
		next.router.POST(source.Path, s.take(receiver))
	}
	return next, nil
}

// newRouter has the routes that every genmesh has. It answers under the exact path only: senders
// take a redirection for a failure.
func (s *Server) newRouter() *httprouter.Router {
	router := httprouter.New()
	router.RedirectTrailingSlash = false
	router.RedirectFixedPath = false
	router.HandleOPTIONS = false
	router.NotFound = s.refuseAll(http.StatusNotFound, reasonNotFound)
	router.MethodNotAllowed = s.refuseAll(http.StatusMethodNotAllowed, reasonMethod)
	router.PanicHandler = s.panicked

	router.GET("/healthz", s.show(healthz))
	router.HEAD("/healthz", s.show(healthz))
	router.GET("/readyz", s.show(s.readyz))
	router.HEAD("/readyz", s.show(s.readyz))
	return router
}

func checkRoute(source mesh.Source, receivers map[string]*receiver, paths map[string]string) error {
	if receivers[source.Name] != nil {
		return fmt.Errorf("two sources are named %q; give one another name", source.Name)
	}
	if owner, taken := paths[source.Path]; taken {
		return fmt.Errorf("source %q: the path %q is taken by %s; choose another", source.Name, source.Path, owner)
	}
	if source.Path != "" && (source.Path[0] != '/' || strings.ContainsAny(source.Path, ":*")) {
		return fmt.Errorf("source %q: the path %q must begin with / and hold no : or *", source.Name, source.Path)
	}
	return nil
}

func (r *routes) receiver(name string) *receiver {
	if r == nil {
		return nil
	}
	return r.receivers[name]
}

// take hands requests to a source's receiver and answers them. It is the one place where the
// outcome of a request is counted and logged.
func (s *Server) take(to *receiver) httprouter.Handle {
	name := to.source.Name
	return func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) {
		outcome, began := reasonInternal, time.Now()
		defer func() { s.metrics.observe(name, outcome, time.Since(began)) }()
		if !s.drain.enter() {
			outcome = s.answer(w, r, &to.source, answer{}, errShuttingDown())
			return
		}
		defer s.drain.leave()
		a, err := to.receive(w, r)
		outcome = s.answer(w, r, &to.source, a, err)
	}
}

// answer writes what became of a request, logs it and returns it in one word.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, source *mesh.Source, a answer, err error) string {
	if err == nil {
		a.write(w, source.AcceptedStatus)
		s.journal.taken(source.Name, a)
		return a.Status
	}
	return s.refuse(w, r, source.Name, asError(err))
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, source string, e *Error) string {
	e.write(w)
	s.journal.refused(source, r, e)
	return e.Reason
}

func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Status: http.StatusInternalServerError, Reason: reasonInternal, Err: err}
}

func errShuttingDown() error {
	return &Error{Status: http.StatusServiceUnavailable, Reason: reasonShuttingDown, RetryAfter: unavailableRetry}
}

// refuseAll answers requests that no route takes.
func (s *Server) refuseAll(status int, reason string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if allow := w.Header().Get("Allow"); allow != "" {
			w.Header().Set("Allow", withoutOptions(allow))
		}
		s.metrics.requests.WithLabelValues(noSource, reason).Inc()
		s.refuse(w, r, noSource, &Error{Status: status, Reason: reason})
	})
}

// withoutOptions takes back the OPTIONS that httprouter allows even where it is not handled.
func withoutOptions(allow string) string {
	methods := strings.Split(allow, ", ")
	kept := methods[:0]
	for _, m := range methods {
		if m != http.MethodOptions {
			kept = append(kept, m)
		}
	}
	return strings.Join(kept, ", ")
}

// panicked answers a request whose handler panicked. The next one is served as ever.
func (s *Server) panicked(w http.ResponseWriter, r *http.Request, cause any) {
	if held, ok := s.panics.allow(); ok {
		s.log.WithField("path", r.URL.Path).WithField("unlogged", held).
			Errorf("a request panicked: %v\n%s", cause, debug.Stack())
	}
	(&Error{Status: http.StatusInternalServerError, Reason: reasonInternal}).write(w)
}
