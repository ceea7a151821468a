// Package api is the admin API: what an operator can look at and do, as versioned JSON over HTTP under /api/v1, for machines. openapi.json
// describes it. A Client is the other end of it.
package api

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// Options is what the API is made of. All but Live and Version are needed.
type Options struct {
	// Operator answers operators and admins; Viewer, who may only look, without the bodies of sources that are sensitive.
	Operator, Viewer admin.Operator
	Tasks            admin.TaskStarter
	// Live tells what flows now; nil where nobody watches.
	Live func() live.Snapshot
	// Version is told to whom has a role, as the header Genmesh-Version.
	Version string
	Logger  logrus.FieldLogger
}

// root is where the API lies. What changes in a way that breaks those who use it gets another one.
const root = "/api/v1"

//go:embed openapi.json
var document []byte

// The bounds of requests.
const (
	// requestTimeout bounds the work on a request; what takes longer is a task.
	requestTimeout = 25 * time.Second
	// answerTimeout bounds the sending of an answer.
	answerTimeout = time.Minute
	// maxRequests is how many are worked on at once, and maxWithBodies how many of them are timelines with bodies, which are large: others wait.
	maxRequests   = 32
	maxWithBodies = 2
	// maxViewerRequests and maxViewerStreams are how many of the requests, and of the event streams, may be viewers': who operates finds room.
	maxViewerRequests = 24
	maxViewerStreams  = 48
)

// server is the API.
type server struct {
	o          Options
	router     *httprouter.Router
	requests   chan struct{}
	withBodies chan struct{}
	streams    chan struct{}
	// viewerRequests and viewerStreams are entered before those by viewers.
	viewerRequests, viewerStreams chan struct{}
	// The latest snapshots as operators and as viewers get them.
	forOperators, forViewers snapshots
}

// New returns the handler of everything under /api/v1. Who asks is what access.Who says: nobody gets an answer without a role. Its event
// streams end with the request's context, which a server that shuts down has to end.
func New(o Options) http.Handler {
	s := &server{
		o: o, router: httprouter.New(), requests: make(chan struct{}, maxRequests), withBodies: make(chan struct{}, maxWithBodies),
		streams: make(chan struct{}, maxStreams), viewerRequests: make(chan struct{}, maxViewerRequests), viewerStreams: make(chan struct{}, maxViewerStreams),
	}
	s.router.RedirectTrailingSlash, s.router.RedirectFixedPath, s.router.HandleOPTIONS = false, false, false
	s.router.NotFound = http.HandlerFunc(s.nowhere)
	s.router.MethodNotAllowed = http.HandlerFunc(s.notAllowed)
	for _, r := range s.routes() {
		s.router.Handle(r.method, r.pattern(), s.handle(r))
		if r.method == http.MethodGet {
			s.router.Handle(http.MethodHead, r.pattern(), s.handle(r))
		}
	}
	return s
}

// ServeHTTP answers one request.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	defer s.survive(w, r)
	if access.Who(r).Role == "" {
		s.refuse(w, r, errNobody)
		return
	}
	if s.o.Version != "" {
		header.Set("Genmesh-Version", s.o.Version)
	}
	// An id may hold a slash, which is escaped: the router must not see it. Parameters are unescaped when they are read.
	routed := r.Clone(r.Context())
	routed.URL.Path = r.URL.EscapedPath()
	s.router.ServeHTTP(w, routed)
}

// survive answers a request whose handler panicked.
func (s *server) survive(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler { //nolint:errorlint // it is panicked with as it is
		panic(p)
	}
	s.refuse(w, r, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
}

func (s *server) nowhere(w http.ResponseWriter, r *http.Request) {
	s.refuse(w, r, admin.NotFound("there is nothing of that address; "+root+"/openapi.json says what there is"))
}

func (s *server) notAllowed(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for method := range strings.SplitSeq(w.Header().Get("Allow"), ", ") {
		if method != http.MethodOptions { // the router adds it
			allowed = append(allowed, method)
		}
	}
	methods := strings.Join(allowed, ", ")
	w.Header().Set("Allow", methods)
	s.refuse(w, r, &refusal{http.StatusMethodNotAllowed, "method-not-allowed", "this address takes " + methods})
}

// call is one request that somebody may make.
type call struct {
	*http.Request
	w        http.ResponseWriter
	params   httprouter.Params
	who      access.Identity
	operator admin.Operator
	query    *query
}

// by is who changes something, and why.
func (c *call) by(reason string) admin.By {
	address, _, err := net.SplitHostPort(c.RemoteAddr)
	if err != nil {
		address = c.RemoteAddr
	}
	return admin.By{Reason: reason, Who: mesh.Actor{
		User: c.who.Name, Role: string(c.who.Role), Via: c.who.Via, Address: cmp.Or(access.Address(c.Request), address),
	}}
}

// reply is what a request is answered with: a value as JSON, or a stream of events.
type reply struct {
	status   int // 0 is 200
	location string
	value    any
	stream   func(*eventWriter) error
}

// ok answers with a value, or with why there is none.
func ok(value any, err error) (reply, error) { return reply{value: value}, err }

// handle serves a route to who has its role.
func (s *server) handle(route route) httprouter.Handle {
	return func(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
		c := &call{w: w, params: params, who: access.Who(r), operator: s.o.Operator, query: newQuery(r.URL.RawQuery, time.Now())}
		if !c.who.Role.May(access.Operator) {
			c.operator = s.o.Viewer
		}
		if !c.who.Role.May(route.needs) {
			s.refuse(w, r, &refusal{http.StatusForbidden, admin.KindOf(admin.ErrForbidden), "this needs the role " + string(route.needs)})
			return
		}
		answer, err := s.work(c, r, route)
		switch {
		case err != nil:
			s.refuse(w, r, err)
		case answer.stream != nil:
			s.stream(w, r, answer.stream)
		default:
			s.answer(w, r, answer)
		}
	}
}

// errBusy means that too much is asked for at once.
var errBusy = errors.New("too much is asked for at once")

// work does what a request asks for, once there is room for it.
func (s *server) work(c *call, r *http.Request, route route) (reply, error) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	c.Request = r.WithContext(ctx)
	if !c.who.Role.May(access.Operator) {
		release, err := enter(ctx, s.viewerRequests)
		if err != nil {
			return reply{}, err
		}
		defer release()
	}
	release, err := enter(ctx, s.requests)
	if err != nil {
		return reply{}, err
	}
	defer release()
	return route.serve(c)
}

// enter waits for room; the caller calls release.
func enter(ctx context.Context, room chan struct{}) (release func(), err error) {
	select {
	case room <- struct{}{}:
		return func() { <-room }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errBusy, ctx.Err())
	}
}

// answer sends a value as JSON.
func (s *server) answer(w http.ResponseWriter, r *http.Request, a reply) {
	body, err := encode(a.value)
	if err != nil {
		s.refuse(w, r, fmt.Errorf("encode the answer: %w", err))
		return
	}
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	w.Header().Set("Content-Type", "application/json")
	send(w, cmp.Or(a.status, http.StatusOK), body)
}

// send sends a body. The client is gone, or it is not.
func send(w http.ResponseWriter, status int, body []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout)) // where it can't be set the server's own holds
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
