package pages

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// configurationView is streams.json as it was applied, and how the server differs.
type configurationView struct {
	admin.Configuration
	Refused     []string // line by line
	Lines       []codeLine
	Cut         bool
	Destructive int
	Command     string
}

type codeLine struct {
	Number int
	Text   string
}

// maxLinesShown bounds the text of the configuration on a page.
const maxLinesShown = 5000

func (s *site) configuration(v *visit) (*page, error) {
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	c, err := v.operator.Configuration(v.Context())
	if err != nil {
		return nil, err
	}
	view := configurationView{
		Configuration: c, Refused: v.lines(c.Refused), Destructive: len(c.Plan.Destructive()), Command: command("plan"),
	}
	view.Lines, view.Cut = codeLines(c.Text)
	return &page{
		Title: "Configuration", Section: "/configuration", template: "configuration", View: view, every: 10 * time.Second,
		regions: []string{"configuration-state"},
	}, nil
}

func codeLines(text string) (lines []codeLine, cutOff bool) {
	number, start := 1, 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && text[i] != '\n' {
			continue
		}
		if i == len(text) && start == i {
			break
		}
		if number > maxLinesShown {
			return lines, true
		}
		line := strings.ReplaceAll(strings.TrimSuffix(text[start:i], "\r"), "\t", "  ") // said would show them as escapes
		lines = append(lines, codeLine{number, cut(line, maxWords)})
		number, start = number+1, i+1
	}
	return lines, false
}

// applyView asks whether to make the server as streams.json says.
type applyView struct {
	Configuration admin.Configuration
	Destructive   []string
	// Phrase has to be typed where something would be destroyed. Seen names the plan that was shown.
	Phrase, Seen string
	Command      string
}

func (s *site) confirmApply(v *visit) (*page, error) {
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	c, err := v.operator.Configuration(v.Context())
	if err != nil {
		return nil, err
	}
	view := applyView{Configuration: c, Phrase: destroyPhrase(c), Seen: planName(c.Plan), Command: command("apply", "--because", "…")}
	for _, step := range c.Plan.Destructive() {
		view.Destructive = append(view.Destructive, string(step.Action)+" "+string(step.Kind)+" "+step.Name)
	}
	if len(view.Destructive) > 0 {
		view.Command = command("apply", "--allow-destroy", "--because", "…")
	}
	return &page{Title: "Apply the configuration", Section: "/configuration", template: "apply", View: view}, nil
}

// destroyPhrase is what has to be typed before anything is destroyed: it names what, or how much.
func destroyPhrase(c admin.Configuration) string {
	switch steps := c.Plan.Destructive(); len(steps) {
	case 0:
		return ""
	case 1:
		return "destroy " + steps[0].Name
	default:
		return "destroy " + strconv.Itoa(len(steps))
	}
}

func (s *site) apply(v *visit) (string, error) {
	seen, typed := v.fields.needed("seen", maxFieldBytes, "it is missing: use the page's form"), v.fields.text("typed", maxFieldBytes)
	destroy, reason := v.fields.flag("destroy"), v.fields.reason()
	if err := v.fields.done(); err != nil {
		return "", err
	}
	c, err := v.operator.Configuration(v.Context())
	if err != nil {
		return "", err
	}
	if planName(c.Plan) != seen {
		return "", admin.Conflict("the plan is another one than the page showed: look at it again")
	}
	phrase := destroyPhrase(c)
	if destroy && typed != phrase {
		return "", admin.Invalid("to make the changes that lose data, type: " + phrase)
	}
	about := plural(len(c.Plan.Steps), "step", "steps") + " of " + c.File
	return s.start(v, admin.ActionApply, about, v.by(reason), func(do doing) (any, error) {
		return v.operator.Apply(do.ctx, do.by, destroy)
	})
}

// planName tells a plan from another one, by what it would do.
func planName(plan mesh.Plan) string {
	steps, _ := json.Marshal(plan.Steps) // texts always can be
	hash := sha256.Sum256(steps)
	return hex.EncodeToString(hash[:16])
}
