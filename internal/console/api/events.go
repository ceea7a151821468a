package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

func (s *server) events(c *call) (reply, error) {
	var q admin.EventQuery
	q.Stream, q.Source, q.Interaction = c.query.text("stream"), c.query.text("source"), c.query.text("interaction")
	q.Type, q.Subject = c.query.text("type"), c.query.text("subject")
	q.Since, q.Until = c.query.span()
	q.Limit, q.Cursor = c.query.page()
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.Events(c.Context(), q))
}

func (s *server) event(c *call) (reply, error) {
	stream, sequence := c.name("stream"), c.number("sequence")
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	return ok(c.operator.Event(c.Context(), stream, sequence))
}

func (s *server) timeline(c *call) (reply, error) {
	search := mesh.InteractionSearch{
		Interaction: c.name("id"), Source: c.query.text("source"), Since: c.query.moment("since"),
		Limit: c.query.limit(mesh.MaxTimeline), Bodies: c.query.flag("bodies"),
	}
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	if search.Bodies {
		release, err := enter(c.Context(), s.withBodies)
		if err != nil {
			return reply{}, err
		}
		defer release()
	}
	return ok(c.operator.Timeline(c.Context(), search))
}

// eraseAsk is the body of an erasure.
type eraseAsk struct {
	Source      string `json:"source"`
	Reason      string `json:"reason"`
	DryRun      bool   `json:"dry_run"`
	NotifyAgain bool   `json:"notify_again"`
}

func (s *server) erase(c *call) (reply, error) {
	interaction := c.name("id")
	var ask eraseAsk
	if err := c.ask(&ask, maxBodyBytes); err != nil {
		return reply{}, err
	}
	if ask.DryRun {
		return ok(c.operator.PlanErasure(c.Context(), interaction, ask.Source))
	}
	if ask.Reason == "" {
		return reply{}, admin.Invalid("a reason is missing: say why, for the audit and for subscribers")
	}
	if err := checkReason(ask.Reason); err != nil {
		return reply{}, err
	}
	by, operator := c.by(ask.Reason), c.operator
	// The task's words stay in memory, where others may read them: they don't name the interaction.
	about := fmt.Sprintf("the interaction with the hash %.12s", mesh.HashInteraction(interaction))
	return s.start(by, admin.ActionErase, about, func(ctx context.Context, progress admin.Progress) (any, error) {
		return operator.Erase(ctx, by, admin.EraseAsk{Interaction: interaction, Source: ask.Source, NotifyAgain: ask.NotifyAgain}, progress)
	})
}

// ask reads the body of a request, whose parameters have been read.
func (c *call) ask(into any, most int64) error {
	if err := c.query.done(); err != nil {
		return err
	}
	return c.read(into, most)
}

// begun answers with something that goes on by itself now.
func begun(value any, err error) (reply, error) {
	return reply{status: http.StatusCreated, value: value}, err
}
