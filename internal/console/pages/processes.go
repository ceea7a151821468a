package pages

import (
	"strings"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
)

// processesView are the genmesh processes that answer.
type processesView struct {
	Processes []processView
	Levels    []string
	Lengths   []choice
}

type processView struct {
	admin.Process
	Runs     string
	NotReady string
	Health   admin.Health
}

// maxLevelLength bounds how long a log level lasts that goes back by itself.
const maxLevelLength = 7 * 24 * time.Hour

func logLevels() []string { return []string{"debug", "info", "warn", "error"} }

func (s *site) processes(v *visit) (*page, error) {
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	found, err := v.operator.Processes(v.Context())
	if err != nil {
		return nil, err
	}
	view := processesView{
		Levels:  logLevels(),
		Lengths: []choice{{"15m", "15 minutes"}, {"1h", "1 hour"}, {"8h", "8 hours"}, {"", "until it ends"}},
	}
	for _, p := range found {
		one := processView{Process: p, Runs: strings.Join(p.Parts, ", "), NotReady: v.words(p.Ready), Health: admin.HealthGood}
		if p.Ready != "" {
			one.Health = admin.HealthFailing
		}
		view.Processes = append(view.Processes, one)
	}
	return &page{
		Title: "Processes", Section: "/processes", template: "processes", View: view, every: 5 * time.Second,
		regions: []string{"processes-list"},
	}, nil
}

func (s *site) setLevel(v *visit) (string, error) {
	process, level := v.fields.text("process", 128), v.fields.choice("level", logLevels()...)
	length, reason := v.fields.length("for", maxLevelLength), v.fields.reason()
	if level == "" {
		v.fields.refuse("level", "choose one")
	}
	if err := v.fields.done(); err != nil {
		return "", err
	}
	changed, err := v.operator.SetLogLevel(v.Context(), v.by(reason), process, level, length)
	if err != nil {
		return "", err
	}
	text := plural(len(changed), "process logs", "processes log") + " at the level " + level
	if length > 0 {
		text += " for " + duration(time.Duration(length))
	}
	return s.notify("/processes", text+"."), nil
}
