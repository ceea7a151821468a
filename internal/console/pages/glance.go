package pages

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/internal/admin"
)

// glances keep the overview for all who look at once, and for the time while NATS is out of reach.
type glances struct {
	operator admin.Operator
	now      func() time.Time
	log      logrus.FieldLogger

	mu      sync.Mutex
	last    glance
	looked  time.Time
	failing bool
}

// glance is the overview as it was known last. Problem is why it is old, or "".
type glance struct {
	admin.Overview
	// Known is false as long as there was none.
	Known   bool
	Problem string
}

const (
	// glanceAge is how long an overview is taken for what is now.
	glanceAge = 900 * time.Millisecond
	// glanceFailedAge is the same after a look that failed: those who wait for the next one wait for its timeout.
	glanceFailedAge = 4 * time.Second
	// glanceTimeout bounds how long all wait for one.
	glanceTimeout = 3 * time.Second
)

func newGlances(operator admin.Operator, o Options) *glances {
	return &glances{operator: operator, now: o.Now, log: o.Logger}
}

// look is the overview, about a second old at most, or what was known last. One who gives up waiting spoils it for nobody.
func (g *glances) look(ctx context.Context) glance {
	g.mu.Lock()
	defer g.mu.Unlock()
	age := glanceAge
	if g.failing {
		age = glanceFailedAge
	}
	if now := g.now(); now.Sub(g.looked) < age && !now.Before(g.looked) {
		return g.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), glanceTimeout)
	defer cancel()
	overview, err := g.operator.Overview(ctx)
	g.looked = g.now()
	if err != nil {
		g.last.Problem = "the mesh can't be looked at: " + err.Error()
		if !g.failing {
			g.log.WithError(err).Warn("The dashboard can't look at the mesh; it shows what it knew last")
		}
	} else { // where it is old, what was known last is in it already
		g.last = glance{Overview: overview, Known: !overview.At.IsZero(), Problem: overview.Problem}
	}
	g.failing = err != nil
	return g.last
}

// healths count what stands how.
type healths map[admin.Health]int

// severity orders healths by what has to be looked at first.
func severity(h admin.Health) int {
	switch h {
	case admin.HealthFailing:
		return 5
	case admin.HealthSlow:
		return 4
	case admin.HealthUnknown:
		return 3
	case admin.HealthStuck:
		return 2
	case admin.HealthPaused:
		return 1
	}
	return 0
}

// worst is the health that has to be looked at first; good where there is nothing.
func (h healths) worst() admin.Health {
	worst := admin.HealthGood
	for health, n := range h {
		if n > 0 && severity(health) > severity(worst) {
			worst = health
		}
	}
	return worst
}

func (g glance) healths() healths {
	h := healths{}
	for _, s := range g.Sources {
		h[s.Health]++
	}
	for _, s := range g.Streams {
		h[s.Health]++
	}
	for _, s := range g.Subscribers {
		h[s.Health]++
	}
	return h
}

// word is the state of all in two words, for the head of each page.
func (g glance) word() string {
	switch h := g.healths(); {
	case !g.Known:
		return "Nothing known yet"
	case g.Problem != "":
		return "Old numbers"
	case h[admin.HealthFailing] > 0:
		return fmt.Sprintf("%d failing", h[admin.HealthFailing])
	case h[admin.HealthSlow] > 0:
		return fmt.Sprintf("%d slow", h[admin.HealthSlow])
	case h[admin.HealthUnknown] > 0:
		return fmt.Sprintf("%d unknown", h[admin.HealthUnknown])
	case g.DeadLetters > 0:
		return plural(g.DeadLetters, "dead letter", "dead letters")
	case g.Quarantined > 0:
		return count(g.Quarantined) + " in quarantine"
	case g.Refused != "":
		return "File refused"
	case h[admin.HealthPaused] > 0:
		return fmt.Sprintf("%d paused", h[admin.HealthPaused])
	}
	return "All good"
}

func (g glance) health() admin.Health {
	if !g.Known || g.Problem != "" {
		return admin.HealthUnknown
	}
	return g.overall().worst()
}

// overall counts what waits for a person as well, also of what streams.json no longer names.
func (g glance) overall() healths {
	h := g.healths()
	if g.DeadLetters+g.Quarantined > 0 || g.Refused != "" {
		h[admin.HealthStuck]++
	}
	return h
}

// changes are what somebody who does not look should hear of, in words.
func changes(before, now glance) []string {
	if !before.Known || !now.Known {
		return nil
	}
	was := map[string]admin.Health{}
	for _, s := range before.Sources {
		was["source "+s.Name] = s.Health
	}
	for _, s := range before.Subscribers {
		was["subscriber "+s.Name] = s.Health
	}
	var said []string
	say := func(what string, health admin.Health, why string) {
		if old, known := was[what]; known && old != health {
			text := what + " is " + string(health)
			if why != "" {
				text += ": " + cut(why, 120)
			}
			said = append(said, text)
		}
	}
	for _, s := range now.Sources {
		say("source "+s.Name, s.Health, s.Why)
	}
	for _, s := range now.Subscribers {
		say("subscriber "+s.Name, s.Health, s.Why)
	}
	if before.DeadLetters == 0 && now.DeadLetters > 0 {
		said = append(said, "there are dead letters")
	}
	if before.Refused == "" && now.Refused != "" {
		said = append(said, refusedText(now))
	}
	if before.Problem == "" && now.Problem != "" {
		said = append(said, now.Problem)
	}
	return said
}
