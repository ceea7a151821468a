package api

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genmesh/genmesh/internal/console/access"
)

// route is something that can be asked for.
type route struct {
	method string
	// path is that of the document, below root, with parameters in braces.
	path  string
	needs access.Role
	serve func(*call) (reply, error)
}

func (s *server) routes() []route {
	return []route{
		{http.MethodGet, "/openapi.json", access.Viewer, s.describe},
		{http.MethodGet, "/overview", access.Viewer, s.overview},
		{http.MethodGet, "/live", access.Viewer, s.live},
		{http.MethodGet, "/sources", access.Viewer, s.sources},
		{http.MethodGet, "/streams", access.Viewer, s.listStreams},

		{http.MethodGet, "/scrub", access.Viewer, s.scrub},
		{http.MethodPost, "/scrub", access.Operator, s.runScrub},
		{http.MethodPost, "/scrub/{id}/accept", access.Operator, s.acceptScrub},

		{http.MethodGet, "/subscribers", access.Viewer, s.subscribers},
		{http.MethodGet, "/subscribers/{name}", access.Viewer, s.subscriber},
		{http.MethodPost, "/subscribers/{name}/pause", access.Operator, s.pause},
		{http.MethodPost, "/subscribers/{name}/resume", access.Operator, s.resume},

		{http.MethodGet, "/events", access.Viewer, s.events},
		{http.MethodGet, "/events/{stream}/{sequence}", access.Viewer, s.event},
		{http.MethodGet, "/interactions/{id}", access.Viewer, s.timeline},
		{http.MethodPost, "/interactions/{id}/erase", access.Admin, s.erase},

		{http.MethodGet, "/dead-letters", access.Viewer, s.deadLetters},
		{http.MethodGet, "/dead-letters/{number}", access.Viewer, s.deadLetter},
		{http.MethodGet, "/dead-letter-groups", access.Viewer, s.deadGroups},
		{http.MethodPost, "/dead-letters/replay", access.Operator, s.replayDead},
		{http.MethodPost, "/dead-letters/discard", access.Operator, s.discardDead},

		{http.MethodGet, "/quarantine", access.Viewer, s.quarantined},
		{http.MethodGet, "/quarantine/{number}", access.Viewer, s.quarantinedEvent},
		{http.MethodGet, "/quarantine-groups", access.Viewer, s.quarantineGroups},
		{http.MethodPost, "/quarantine/release", access.Operator, s.releaseQuarantined},
		{http.MethodPost, "/quarantine/discard", access.Operator, s.discardQuarantined},

		{http.MethodGet, "/replays", access.Viewer, s.replays},
		{http.MethodPost, "/replays", access.Operator, s.startReplay},
		{http.MethodDelete, "/replays/{subscriber}/{id}", access.Operator, s.cancelReplay},

		{http.MethodGet, "/configuration", access.Viewer, s.configuration},
		{http.MethodGet, "/plan", access.Viewer, s.plan},
		{http.MethodPost, "/apply", access.Admin, s.apply},
		{http.MethodGet, "/audit", access.Viewer, s.audit},

		{http.MethodGet, "/processes", access.Viewer, s.processes},
		{http.MethodPut, "/processes/{id}/log-level", access.Admin, s.setLogLevel},
		{http.MethodPut, "/log-level", access.Admin, s.setAllLogLevels},

		{http.MethodGet, "/tasks", access.Viewer, s.tasks},
		{http.MethodGet, "/tasks/{id}", access.Viewer, s.task},
		{http.MethodGet, "/tasks/{id}/events", access.Viewer, s.taskEvents},
	}
}

// pattern is the path as the router has it.
func (r route) pattern() string {
	return root + strings.ReplaceAll(strings.ReplaceAll(r.path, "{", ":"), "}", "")
}

func (s *server) describe(c *call) (reply, error) {
	return reply{value: jsontext.Value(document)}, c.query.done()
}
