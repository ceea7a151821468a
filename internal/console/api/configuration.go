package api

import (
	"context"

	"github.com/genmesh/genmesh/internal/admin"
)

func (s *server) configuration(c *call) (reply, error) {
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.Configuration(c.Context()))
}

func (s *server) plan(c *call) (reply, error) {
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	configuration, err := c.operator.Configuration(c.Context())
	return reply{value: configuration.Plan}, err
}

// applyAsk is the body of an apply.
type applyAsk struct {
	AllowDestroy bool   `json:"allow_destroy"`
	Reason       string `json:"reason"`
}

func (s *server) apply(c *call) (reply, error) {
	var ask applyAsk
	if err := c.ask(&ask, maxBodyBytes); err != nil {
		return reply{}, err
	}
	if err := checkReason(ask.Reason); err != nil {
		return reply{}, err
	}
	by, operator, words := c.by(ask.Reason), c.operator, "streams.json"
	if ask.AllowDestroy {
		words += ", also what loses data"
	}
	return s.start(by, admin.ActionApply, words, func(ctx context.Context, _ admin.Progress) (any, error) {
		return operator.Apply(ctx, by, ask.AllowDestroy)
	})
}

func (s *server) audit(c *call) (reply, error) {
	q := admin.AuditQuery{Action: c.query.text("action"), Subscriber: c.query.text("subscriber"), User: c.query.text("user")}
	q.Since, q.Until = c.query.span()
	q.Limit, q.Cursor = c.query.page()
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.Audit(c.Context(), q))
}
