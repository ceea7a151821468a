package api

import (
	"github.com/genmesh/genmesh/internal/admin"
)

// sourceList is what /sources answers.
type sourceList struct {
	Sources []admin.Source `json:"sources"`
}

// streamList is what /streams answers.
type streamList struct {
	Streams []admin.Stream `json:"streams"`
}

func (s *server) overview(c *call) (reply, error) {
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.Overview(c.Context()))
}

func (s *server) sources(c *call) (reply, error) {
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	overview, err := c.operator.Overview(c.Context())
	return reply{value: sourceList{overview.Sources}}, err
}

func (s *server) listStreams(c *call) (reply, error) {
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	streams, err := c.operator.Streams(c.Context())
	return reply{value: streamList{streams}}, err
}
