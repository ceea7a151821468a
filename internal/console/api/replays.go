package api

import (
	"net/url"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// replayList is what /replays answers.
type replayList struct {
	Replays []mesh.RunningReplay `json:"replays"`
}

func (s *server) replays(c *call) (reply, error) {
	subscriber := c.query.text("subscriber")
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	running, err := c.operator.Replays(c.Context(), subscriber)
	return reply{value: replayList{running}}, err
}

// replayAsk is the body of a replay of the history.
type replayAsk struct {
	Subscriber  string `json:"subscriber"`
	Since       moment `json:"since"`
	Until       moment `json:"until"`
	Type        string `json:"type"`
	Interaction string `json:"interaction"`
	All         bool   `json:"all"`
	Rate        rate   `json:"rate"`
	Reason      string `json:"reason"`
	DryRun      bool   `json:"dry_run"`
}

func (r replayAsk) asked() admin.ReplayAsk {
	return admin.ReplayAsk{
		Subscriber: r.Subscriber, Since: time.Time(r.Since), Until: time.Time(r.Until), Type: r.Type, Interaction: r.Interaction, All: r.All,
		Rate: mesh.Rate(r.Rate),
	}
}

func (s *server) startReplay(c *call) (reply, error) {
	var ask replayAsk
	if err := c.ask(&ask, maxBodyBytes); err != nil {
		return reply{}, err
	}
	if ask.DryRun {
		return ok(c.operator.PlanReplay(c.Context(), ask.asked()))
	}
	plan, err := c.operator.StartReplay(c.Context(), c.by(ask.Reason), ask.asked())
	answer, err := begun(plan, err)
	answer.location = root + "/replays?subscriber=" + url.QueryEscape(plan.Subscriber)
	return answer, err
}

func (s *server) cancelReplay(c *call) (reply, error) {
	subscriber, id, reason := c.name("subscriber"), c.name("id"), c.query.text("reason")
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.CancelReplay(c.Context(), c.by(reason), subscriber, id))
}
