package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

func (s *server) scrub(c *call) (reply, error) {
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.Scrub(c.Context()))
}

// scrubAsk is the body of a scrub.
type scrubAsk struct {
	Deep bool `json:"deep"`
}

func (s *server) runScrub(c *call) (reply, error) {
	var ask scrubAsk
	if err := c.ask(&ask, maxBodyBytes); err != nil {
		return reply{}, err
	}
	operator, words := c.operator, "what the server says of the streams"
	if ask.Deep {
		words = "all that is stored"
	}
	return s.start(c.by(""), admin.ActionScrub, words, func(ctx context.Context, progress admin.Progress) (any, error) {
		return operator.RunScrub(ctx, ask.Deep, progress)
	})
}

func (s *server) acceptScrub(c *call) (reply, error) {
	id := c.number("id")
	var ask reasonAsk
	if err := c.ask(&ask, maxBodyBytes); err != nil {
		return reply{}, err
	}
	return ok(c.operator.AcceptScrub(c.Context(), c.by(ask.Reason), id))
}

// Scrub is what scrubs have found and nobody has accepted, and how far they are.
func (c *Client) Scrub(ctx context.Context) (report mesh.ScrubReport, err error) {
	err = c.get(ctx, "/scrub", nil, &report)
	return report, err
}

// RunScrub has the console look for what the store has lost or damaged.
func (c *Client) RunScrub(ctx context.Context, deep bool, progress admin.Progress) (mesh.ScrubReport, error) {
	return follow[mesh.ScrubReport](ctx, c, "/scrub", scrubAsk{deep}, progress)
}

// AcceptScrub takes a finding off the list.
func (c *Client) AcceptScrub(ctx context.Context, by admin.By, id uint64) (accepted admin.ScrubAccepted, err error) {
	err = c.do(ctx, http.MethodPost, "/scrub/"+strconv.FormatUint(id, 10)+"/accept", nil, reasonAsk{by.Reason}, &accepted)
	return accepted, err
}
