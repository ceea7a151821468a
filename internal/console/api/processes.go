package api

import (
	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// processList is what /processes answers.
type processList struct {
	Processes []admin.Process `json:"processes"`
}

func (s *server) processes(c *call) (reply, error) {
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	processes, err := c.operator.Processes(c.Context())
	return reply{value: processList{processes}}, err
}

// levelAsk is the body of a change of log levels.
type levelAsk struct {
	Level  string `json:"level"`
	For    length `json:"for"`
	Reason string `json:"reason"`
}

func (s *server) setLogLevel(c *call) (reply, error) { return setLogLevel(c, c.name("id")) }

func (s *server) setAllLogLevels(c *call) (reply, error) { return setLogLevel(c, "") }

// setLogLevel changes the level of one process, or of all if process is "".
func setLogLevel(c *call, process string) (reply, error) {
	var ask levelAsk
	if err := c.ask(&ask, maxBodyBytes); err != nil {
		return reply{}, err
	}
	processes, err := c.operator.SetLogLevel(c.Context(), c.by(ask.Reason), process, ask.Level, mesh.Duration(ask.For))
	return reply{value: processList{processes}}, err
}
