package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

// Options say whom a Guard lets in.
type Options struct {
	// File names users and the identity provider. It may be "" where Loopback is true: then whoever is on this machine is an Admin.
	File string
	// LookupEnv is where secrets of the file may come from; nil is os.LookupEnv.
	LookupEnv func(string) (string, bool)
	// Secure is true if the console itself serves TLS.
	Secure bool
	// Loopback is true if only this machine reaches the console; see Loopback, the function.
	Loopback bool
	// PublicURL is where browsers find the console if not at the address that it listens on, as behind a proxy; it has no path. It may be "".
	PublicURL  string
	Logger     logrus.FieldLogger
	Registerer prometheus.Registerer
	// Version is what the identity provider is told.
	Version string
}

// Guard lets requests to the console in, and keeps who is signed in: in memory, so that a restart signs everybody out. It may be used by
// several goroutines at once.
type Guard struct {
	options   Options
	settings  atomic.Pointer[settings] // nil where everybody on this machine is let in
	reloading sync.Mutex
	now       func() time.Time

	cookies  cookies
	sessions *sessions
	throttle *throttle
	hashing  *hashing
	basics   *basics
	origins  *origins
	flows    *flows
	pages    *pages
	metrics  *metrics
	refusals *refusals
}

// New makes a Guard, which needs Run. It fails if the file can't be read or is wrong, or if the options would let anybody in from anywhere.
func New(o Options) (*Guard, error) {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	public, err := parsePublicURL(o.PublicURL)
	switch {
	case err != nil:
		return nil, err
	case !o.Loopback && (!o.Secure || o.File == ""):
		return nil, errors.New("the console can be reached from other machines: it needs TLS and an access file")
	case o.File == "" && public.URL != nil && !isLoopbackName(public.Hostname()):
		return nil, fmt.Errorf("other machines find the console at %s: it needs an access file, or whoever comes by the proxy would be let in", o.PublicURL)
	}
	g := &Guard{options: o, now: time.Now}
	clock := func() time.Time { return g.now() }
	g.cookies = cookies{secure: o.Secure || public.isHTTPS()}
	g.sessions = newSessions(clock)
	g.throttle = newThrottle(clock)
	g.hashing = newHashing()
	g.basics = newBasics(clock)
	g.flows = newFlows(clock)
	g.pages = newPages()
	if g.origins, err = newOrigins(public, o.Secure); err != nil {
		return nil, err
	}
	if err := g.Reload(); err != nil {
		return nil, err
	}
	g.metrics = newMetrics(o.Registerer, func() float64 { return float64(g.countSessions()) })
	g.refusals = newRefusals(clock, o.Logger, g.metrics)
	return g, nil
}

// reloadEvery is how soon a change of the access file is seen.
const reloadEvery = 10 * time.Second

// Run looks at the access file every ten seconds, and logs what happened since, until ctx ends. Then nobody is signed in any more.
func (g *Guard) Run(ctx context.Context) error {
	ticker := time.NewTicker(reloadEvery)
	defer ticker.Stop()
	defer g.close()
	wrong := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := g.Reload()
		switch {
		case err == nil:
			wrong = ""
		case err.Error() != wrong:
			wrong = err.Error()
			g.options.Logger.WithError(err).Error("the access file is not in force as it is now; what it said before still is")
		}
		g.refusals.flush(false)
	}
}

func (g *Guard) close() {
	g.refusals.flush(true)
	g.sessions.endAll()
	g.settings.Load().giveWay(nil)
}

// grant is who is let in, and for how long.
type grant struct {
	Identity
	// ends is done when they are not any more, until is when that is at the latest; zero is never.
	ends  context.Context
	until time.Time
	// carrier is what carried the proof.
	carrier carrier
}

// carrier is how a proof comes with a request. A browser adds all but a bearer token by itself, also when another site makes it ask.
type carrier int

const (
	byNothing carrier = iota // there is none: whoever is on this machine is let in
	byCookie
	byBasic
	byBearer
)

// Handler lets requests to next that prove who makes them, which Who then tells, and answers all others itself. It serves /login, /login.css,
// /logout and /auth/oidc/ as well. The context of a request ends with what let it in: a session that is signed out, a user who is gone, a
// token that expires.
//
// A request with another method than GET, HEAD and OPTIONS is refused if another site made a browser send it.
func (g *Guard) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := g.settings.Load()
		if s == nil && (!isLoopbackHost(r.Host) || isForwarded(r)) {
			writeProblem(w, http.StatusMisdirectedRequest, "This console is for this machine alone: ask for it as localhost or 127.0.0.1, and not by a proxy. An access file opens it to others.")
			return
		}
		r = r.WithContext(withAddress(r.Context(), clientAddress(r, s.trusted())))
		if page := g.page(r.URL.Path); page != nil {
			page(w, r, s)
			return
		}
		granted, refused := g.identify(r, s)
		if refused == nil {
			refused = g.origins.check(r, granted.carrier)
		}
		if refused != nil {
			g.refuse(w, r, s, refused)
			return
		}
		g.serve(w, r, granted, next)
	})
}

// isForwarded reports whether a proxy says that it passes somebody else's request on. It comes from this machine then, whoever has made it.
func isForwarded(r *http.Request) bool {
	return r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != ""
}

func (g *Guard) serve(w http.ResponseWriter, r *http.Request, granted grant, next http.Handler) {
	ctx, cancel := context.WithCancel(With(r.Context(), granted.Identity))
	defer cancel()
	if !granted.until.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, granted.until)
		defer cancel()
	}
	if granted.ends != nil {
		defer context.AfterFunc(granted.ends, cancel)()
	}
	next.ServeHTTP(w, r.WithContext(ctx))
}

// identify finds out who makes a request. What comes in an Authorization header is all that counts then.
func (g *Guard) identify(r *http.Request, s *settings) (grant, *refusal) {
	if s == nil {
		return grant{Identity: Identity{Name: "local", Role: Admin, Via: "loopback"}}, nil
	}
	if header := r.Header.Get("Authorization"); header != "" {
		return g.authorize(r, s, header)
	}
	id, ok := g.cookies.session(r)
	if !ok {
		return grant{}, &refusal{status: http.StatusUnauthorized, detail: "Sign in, or send an API token."}
	}
	granted, ok := g.sessions.find(id, s.idle, s.max)
	if !ok {
		return grant{}, &refusal{status: http.StatusUnauthorized, detail: "The session has ended. Sign in again."}
	}
	granted.carrier = byCookie
	return granted, nil
}

func (g *Guard) countSessions() int {
	s := g.settings.Load()
	if s == nil {
		return 0
	}
	return g.sessions.count(s.idle, s.max)
}
