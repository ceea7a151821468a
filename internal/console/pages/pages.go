// Package pages is the dashboard: what an operator can look at and do, as HTML. Every page works without JavaScript; with it, the
// parts that change are kept up to date. It shows bodies and texts that strangers wrote, so nothing from outside is ever markup.
package pages

import (
	"errors"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// Options is what the pages are made of. All but Live, Version and Now are needed.
type Options struct {
	// Operator answers operators and admins; Viewer, who may only look, without the bodies of sources that are sensitive.
	Operator, Viewer admin.Operator
	Tasks            admin.TaskStarter
	// Live tells how far apart the values of the charts are; nil where nobody watches.
	Live func() live.Snapshot
	// Topology is the streams.json in force, for the choices that forms offer.
	Topology func() *mesh.Topology
	Version  string
	Logger   logrus.FieldLogger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// The bounds of a visit.
const (
	lookTimeout  = 10 * time.Second
	actTimeout   = 25 * time.Second
	maxFormBytes = 64 << 10
	maxNotices   = 256
)

// site is all pages.
type site struct {
	o         Options
	mux       *http.ServeMux
	pages     map[string]bool // the patterns of what can be looked at
	templates *templates
	assets    assets
	notices   *lru.Cache[string, string]
	watches   *watches
	// What operators see at a glance, and what viewers do.
	operators, viewers *glances
	// Where both look things up.
	operatorRooms, viewerRooms *rooms
}

// New returns the handler of GET / and all below it that is the dashboard's. Who asks is what access.Who says: nobody gets a page
// without a role. Its event streams end with the request's context, which a server that shuts down has to end.
func New(o Options) (http.Handler, error) {
	s, err := newSite(o)
	if err != nil {
		return nil, err
	}
	return secured(s.mux), nil
}

func newSite(o Options) (*site, error) {
	if o.Operator == nil || o.Viewer == nil || o.Tasks == nil || o.Topology == nil || o.Logger == nil {
		return nil, errors.New("pages: an option is missing")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &site{o: o, mux: http.NewServeMux(), pages: map[string]bool{}}
	s.operators, s.viewers = newGlances(o.Operator, o), newGlances(o.Viewer, o)
	s.operatorRooms, s.viewerRooms = newRooms(), newRooms()
	s.watches = newWatches(s)
	var err error
	if s.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if s.templates, err = parseTemplates(s.assets, o.Now); err != nil {
		return nil, err
	}
	if s.notices, err = lru.New[string, string](maxNotices); err != nil {
		return nil, err
	}
	s.routes()
	return s, nil
}

func (s *site) routes() {
	s.look("GET /{$}", access.Viewer, s.flow)
	s.look("GET /subscribers", access.Viewer, s.subscribers)
	s.look("GET /subscribers/{name}", access.Viewer, s.subscriber)
	s.look("GET /subscribers/{name}/replay", access.Operator, s.planReplay)
	s.act("POST /subscribers/{name}/pause", access.Operator, s.pause)
	s.act("POST /subscribers/{name}/resume", access.Operator, s.resume)
	s.act("POST /subscribers/{name}/replay", access.Operator, s.startReplay)
	s.act("POST /subscribers/{name}/replay/{id}/cancel", access.Operator, s.cancelReplay)

	s.look("GET /interactions", access.Viewer, s.interaction)
	s.mux.HandleFunc("GET /interactions/{id...}", func(w http.ResponseWriter, r *http.Request) { // where somebody would look for it
		http.Redirect(w, r, interactionPath(r.PathValue("id"), ""), http.StatusSeeOther)
	})
	s.look("GET /interactions/erase", access.Admin, s.planErasure)
	s.act("POST /interactions/erase", access.Admin, s.erase)
	s.look("GET /events", access.Viewer, s.events)
	s.look("GET /events/{stream}/{sequence}", access.Viewer, s.event)

	s.look("GET /dead-letters", access.Viewer, s.deadGroups)
	s.look("GET /dead-letters/list", access.Viewer, s.deadLetters)
	s.look("GET /dead-letters/{number}", access.Viewer, s.deadLetter)
	s.look("GET /dead-letters/confirm", access.Operator, s.confirmDead)
	s.act("POST /dead-letters/act", access.Operator, s.actOnDead)
	s.look("GET /quarantine", access.Viewer, s.quarantineGroups)
	s.look("GET /quarantine/list", access.Viewer, s.quarantined)
	s.look("GET /quarantine/{number}", access.Viewer, s.quarantinedEvent)
	s.look("GET /quarantine/confirm", access.Operator, s.confirmQuarantined)
	s.act("POST /quarantine/act", access.Operator, s.actOnQuarantined)

	s.look("GET /streams", access.Viewer, s.streams)
	s.act("POST /scrub", access.Operator, s.runScrub)
	s.act("POST /scrub/{id}/accept", access.Operator, s.acceptScrub)
	s.look("GET /configuration", access.Viewer, s.configuration)
	s.look("GET /configuration/apply", access.Admin, s.confirmApply)
	s.act("POST /configuration/apply", access.Admin, s.apply)
	s.look("GET /audit", access.Viewer, s.audit)
	s.look("GET /processes", access.Viewer, s.processes)
	s.act("POST /processes/level", access.Admin, s.setLevel)
	s.look("GET /tasks", access.Viewer, s.tasks)
	s.look("GET /tasks/{id}", access.Viewer, s.task)

	s.act("POST /view", access.Viewer, s.setView)
	s.mux.HandleFunc("GET /live", s.live)
	s.mux.Handle("GET /assets/", s.assets)
	s.look("/", access.Viewer, func(v *visit) (*page, error) {
		return nil, admin.NotFound("there is no page " + v.URL.Path)
	})
}
