package pages

import (
	"strconv"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// replayPlanView is the form that asks for a replay of the history and, once it was sent, what that would come to.
type replayPlanView struct {
	Subscriber, Path, Stream string
	Ask                      admin.ReplayAsk
	Rate                     string
	Plan                     *admin.ReplayPlan
	Problem                  string
	Command                  string
}

// defaultReplayRate is that of a replay that names none.
const defaultReplayRate = "50/s"

func readReplay(v *visit) admin.ReplayAsk {
	ask := admin.ReplayAsk{
		Subscriber: v.PathValue("name"), Type: v.fields.text("type", maxFieldBytes),
		Interaction: v.fields.text("interaction", maxFieldBytes), Rate: v.fields.rate("rate"), All: v.fields.flag("all"),
	}
	ask.Since, ask.Until = v.fields.span()
	return ask
}

// planReplay shows the form and, where something is asked for, a dry run of it.
func (s *site) planReplay(v *visit) (*page, error) {
	ask := readReplay(v)
	planned := v.fields.flag("plan")
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	view := replayPlanView{Subscriber: ask.Subscriber, Path: subscriberPath(ask.Subscriber), Rate: defaultReplayRate}
	if rate := ask.Rate.String(); rate != "" {
		view.Rate = rate
	}
	if planned {
		if ask.Until.IsZero() {
			ask.Until = s.o.Now().UTC() // what is planned is what is done, whatever is stored meanwhile
		}
		plan, err := v.operator.PlanReplay(v.Context(), ask)
		if view.Problem = asProblem(err); err != nil && view.Problem == "" {
			return nil, err
		}
		if err == nil {
			view.Plan = &plan
		}
	}
	view.Ask, view.Command = ask, replayCommand(ask, view.Rate)
	return &page{
		Title: "Replay the history to " + ask.Subscriber, Section: "/subscribers", template: "replay", View: view,
	}, nil
}

func replayCommand(ask admin.ReplayAsk, rate string) string {
	all := ""
	if ask.All {
		all = "--all"
	}
	return command("replay", all, "--since=", stamp(ask.Since), "--until=", stamp(ask.Until), "--type=", ask.Type,
		"--interaction=", ask.Interaction, "--rate=", rate, "--because", "…", "--", ask.Subscriber)
}

func (s *site) startReplay(v *visit) (string, error) {
	ask := readReplay(v)
	reason := v.fields.reason()
	if err := v.fields.done(); err != nil {
		return "", err
	}
	plan, err := v.operator.StartReplay(v.Context(), v.by(reason), ask)
	if err != nil {
		return "", err
	}
	return s.notify(subscriberPath(ask.Subscriber), "The replay "+plan.ID+" of "+plural(plan.Events, "event", "events")+
		" has begun. It goes on whether anybody watches or not."), nil
}

func (s *site) cancelReplay(v *visit) (string, error) {
	name, id := v.PathValue("name"), v.PathValue("id")
	reason := v.fields.text("reason", mesh.MaxReasonBytes)
	if err := v.fields.done(); err != nil {
		return "", err
	}
	ended, err := v.operator.CancelReplay(v.Context(), v.by(reason), name, id)
	if err != nil {
		return "", err
	}
	return s.notify(subscriberPath(name), "The replay "+id+" was ended with "+plural(ended.Left, "event", "events")+
		" left. What was under way may still arrive."), nil
}

// Takes is how long a replay takes.
func (v replayPlanView) Takes() string {
	if v.Plan == nil || v.Plan.Estimate.Takes == 0 {
		return "–"
	}
	return duration(time.Duration(v.Plan.Estimate.Takes))
}

// Span is from which sequence to which.
func (v replayPlanView) Span() string {
	return strconv.FormatUint(v.Plan.From, 10) + " to " + strconv.FormatUint(v.Plan.Until, 10)
}
