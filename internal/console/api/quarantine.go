package api

import (
	"context"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
)

// quarantineQuery reads which events in quarantine are asked for.
func (q *query) quarantineQuery() admin.QuarantineQuery {
	held := admin.QuarantineQuery{Source: q.text("source"), Reason: q.text("reason")}
	held.Since, held.Until = q.span()
	return held
}

func (s *server) quarantined(c *call) (reply, error) {
	q := c.query.quarantineQuery()
	q.Limit, q.Cursor = c.query.page()
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.Quarantined(c.Context(), q))
}

func (s *server) quarantinedEvent(c *call) (reply, error) {
	number := c.number("number")
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.QuarantinedEvent(c.Context(), number))
}

func (s *server) quarantineGroups(c *call) (reply, error) {
	q := c.query.quarantineQuery()
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.QuarantineGroups(c.Context(), q))
}

// quarantineAct is the body of what is done to events in quarantine.
type quarantineAct struct {
	Selection quarantineSelection `json:"selection"`
	Reason    string              `json:"reason"`
}

// quarantineSelection is an admin.QuarantineSelection with times as a request has them.
type quarantineSelection struct {
	Numbers []uint64 `json:"numbers"`
	All     bool     `json:"all"`
	Source  string   `json:"source"`
	Reason  string   `json:"reason"`
	Since   moment   `json:"since"`
	Until   moment   `json:"until"`
	Limit   uint32   `json:"limit"`
	DryRun  bool     `json:"dry_run"`
}

func (q quarantineSelection) chosen() admin.QuarantineSelection {
	return admin.QuarantineSelection{
		Numbers: q.Numbers, All: q.All, Source: q.Source, Reason: q.Reason,
		Since: time.Time(q.Since), Until: time.Time(q.Until), Limit: int(q.Limit), DryRun: q.DryRun,
	}
}

// actOnQuarantined is how an operator acts on events in quarantine.
type actOnQuarantined func(context.Context, admin.By, admin.QuarantineSelection, admin.Progress) (admin.ActResult, error)

func (s *server) releaseQuarantined(c *call) (reply, error) {
	return s.actOnQuarantined(c, admin.ActionQuarantineRelease, c.operator.ReleaseQuarantined)
}

func (s *server) discardQuarantined(c *call) (reply, error) {
	return s.actOnQuarantined(c, admin.ActionQuarantineDiscard, c.operator.DiscardQuarantined)
}

func (s *server) actOnQuarantined(c *call, action string, act actOnQuarantined) (reply, error) {
	var ask quarantineAct
	if err := c.ask(&ask, maxSelectionBytes); err != nil {
		return reply{}, err
	}
	chosen := ask.Selection.chosen()
	if err := checkAct(chosen.Check(), len(chosen.Numbers), ask.Reason); err != nil {
		return reply{}, err
	}
	by := c.by(ask.Reason)
	words := about(chosen.Numbers, "source", chosen.Source, "reason", chosen.Reason, "since", stamp(chosen.Since), "until", stamp(chosen.Until))
	if chosen.DryRun {
		words += ", as a dry run"
	}
	return s.start(by, action, words, func(ctx context.Context, progress admin.Progress) (any, error) {
		return act(ctx, by, chosen, progress)
	})
}
