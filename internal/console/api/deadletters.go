package api

import (
	"context"
	"fmt"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

func deadReasons() []string {
	var reasons []string
	for _, reason := range mesh.DeadReasons() {
		reasons = append(reasons, string(reason))
	}
	return reasons
}

// deadQuery reads which dead letters are asked for.
func (q *query) deadQuery() admin.DeadQuery {
	dead := admin.DeadQuery{
		Subscriber: q.text("subscriber"), Reason: mesh.DeadReason(q.choice("reason", deadReasons()...)), Cause: q.text("cause"),
	}
	dead.Since, dead.Until = q.span()
	return dead
}

func (s *server) deadLetters(c *call) (reply, error) {
	q := c.query.deadQuery()
	q.Limit, q.Cursor = c.query.page()
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.DeadLetters(c.Context(), q))
}

func (s *server) deadLetter(c *call) (reply, error) {
	number := c.number("number")
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.DeadLetter(c.Context(), number))
}

func (s *server) deadGroups(c *call) (reply, error) {
	q := c.query.deadQuery()
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.DeadGroups(c.Context(), q))
}

// deadAct is the body of what is done to dead letters.
type deadAct struct {
	Selection deadSelection `json:"selection"`
	Reason    string        `json:"reason"`
}

// deadSelection is an admin.DeadSelection with times as a request has them.
type deadSelection struct {
	Numbers    []uint64        `json:"numbers"`
	All        bool            `json:"all"`
	Subscriber string          `json:"subscriber"`
	Reason     mesh.DeadReason `json:"reason"`
	Cause      string          `json:"cause"`
	Since      moment          `json:"since"`
	Until      moment          `json:"until"`
	Limit      uint32          `json:"limit"`
}

func (d deadSelection) chosen() admin.DeadSelection {
	return admin.DeadSelection{
		Numbers: d.Numbers, All: d.All, Subscriber: d.Subscriber, Reason: d.Reason, Cause: d.Cause,
		Since: time.Time(d.Since), Until: time.Time(d.Until), Limit: int(d.Limit),
	}
}

// actOnDead is how an operator acts on dead letters.
type actOnDead func(context.Context, admin.By, admin.DeadSelection, admin.Progress) (admin.ActResult, error)

func (s *server) replayDead(c *call) (reply, error) {
	return s.actOnDead(c, admin.ActionDeadReplay, c.operator.ReplayDeadLetters)
}

func (s *server) discardDead(c *call) (reply, error) {
	return s.actOnDead(c, admin.ActionDeadDiscard, c.operator.DiscardDeadLetters)
}

func (s *server) actOnDead(c *call, action string, act actOnDead) (reply, error) {
	var ask deadAct
	if err := c.ask(&ask, maxSelectionBytes); err != nil {
		return reply{}, err
	}
	chosen := ask.Selection.chosen()
	if err := checkAct(chosen.Check(), len(chosen.Numbers), ask.Reason); err != nil {
		return reply{}, err
	}
	by := c.by(ask.Reason)
	words := about(chosen.Numbers, "subscriber", chosen.Subscriber, "reason", string(chosen.Reason), "cause", chosen.Cause,
		"since", stamp(chosen.Since), "until", stamp(chosen.Until))
	return s.start(by, action, words, func(ctx context.Context, progress admin.Progress) (any, error) {
		return act(ctx, by, chosen, progress)
	})
}

// checkAct refuses a selection that makes no sense before a task begins.
func checkAct(selection error, numbers int, reason string) error {
	switch {
	case selection != nil:
		return selection
	case numbers > admin.MaxNumbers:
		return admin.Invalid(fmt.Sprintf("selection.numbers: there are %d, at most %d are taken", numbers, admin.MaxNumbers))
	}
	return checkReason(reason)
}
