package api

import (
	"fmt"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// maxNames bounds the subscribers that are asked for by name.
const maxNames = 100

// subscriberList is what /subscribers answers.
type subscriberList struct {
	Subscribers []admin.Subscriber `json:"subscribers"`
}

func (s *server) subscribers(c *call) (reply, error) {
	names := c.query.texts("name", maxNames)
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	subscribers, err := c.operator.Subscribers(c.Context(), names...)
	return reply{value: subscriberList{subscribers}}, err
}

func (s *server) subscriber(c *call) (reply, error) {
	name := c.name("name")
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	found, err := c.operator.Subscribers(c.Context(), name)
	if err != nil {
		return reply{}, err
	}
	if len(found) != 1 {
		return reply{}, admin.NotFound(fmt.Sprintf("there is no subscriber %q in streams.json", shown(name)))
	}
	return reply{value: found[0]}, nil
}

// pauseAsk is the body of a pause.
type pauseAsk struct {
	For    length `json:"for"`
	Reason string `json:"reason"`
}

func (s *server) pause(c *call) (reply, error) {
	name := c.name("name")
	var ask pauseAsk
	if err := c.ask(&ask, maxBodyBytes); err != nil {
		return reply{}, err
	}
	return ok(c.operator.Pause(c.Context(), c.by(ask.Reason), name, mesh.Duration(ask.For)))
}

// reasonAsk is the body of what takes nothing but why.
type reasonAsk struct {
	Reason string `json:"reason"`
}

func (s *server) resume(c *call) (reply, error) {
	name := c.name("name")
	var ask reasonAsk
	if err := c.ask(&ask, maxBodyBytes); err != nil {
		return reply{}, err
	}
	return ok(c.operator.Resume(c.Context(), c.by(ask.Reason), name))
}
