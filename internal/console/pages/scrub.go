package pages

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// scrubView is what scrubs have found, and how far they are.
type scrubView struct {
	Findings []findingView
	// Problem is why it is not known.
	Problem string
	Command string
}

// findingView is a finding and how to accept it.
type findingView struct {
	mesh.ScrubFinding
	Accept, Command string
}

// Missers are the subscribers that may never get what is lost.
func (f findingView) Missers() string { return strings.Join(f.Missed, ", ") }

// scrubOf looks for findings. The page has more to tell where that fails.
func (s *site) scrubOf(v *visit) scrubView {
	view := scrubView{Command: command("scrub")}
	report, err := v.operator.Scrub(v.Context())
	if err != nil {
		view.Problem = "What scrubs have found is not known now"
	}
	for _, f := range report.Findings {
		id := strconv.FormatUint(f.ID, 10)
		view.Findings = append(view.Findings, findingView{
			ScrubFinding: f, Accept: "/scrub/" + id + "/accept", Command: command("scrub", "--accept", id, "--because", "…"),
		})
	}
	return view
}

func (s *site) runScrub(v *visit) (string, error) {
	deep := v.fields.choice("deep", "on") == "on"
	if err := v.fields.done(); err != nil {
		return "", err
	}
	about := "what the server says of the streams"
	if deep {
		about = "all that is stored"
	}
	return s.start(v, admin.ActionScrub, about, v.by(""), func(do doing) (any, error) {
		return v.operator.RunScrub(do.ctx, deep, do.progress)
	})
}

func (s *site) acceptScrub(v *visit) (string, error) {
	id, err := strconv.ParseUint(v.PathValue("id"), 10, 64)
	if err != nil {
		return "", admin.NotFound("there is no such finding")
	}
	reason := v.fields.reason()
	if err := v.fields.done(); err != nil {
		return "", err
	}
	accepted, err := v.operator.AcceptScrub(v.Context(), v.by(reason), id)
	if err != nil {
		return "", err
	}
	return s.notify("/streams", fmt.Sprintf("Accepted: %s. %s", accepted.Finding, trailText(accepted.Trail))), nil
}
