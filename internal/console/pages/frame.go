package pages

import (
	"net/http"
	"net/url"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/telemetry"
)

// frame is a page with what all pages have.
type frame struct {
	*page
	Version string
	Who     access.Identity
	May     may
	Theme   string
	Masked  bool
	// Here is the address of the page, Live what to watch; "" is nothing.
	Here, Live string
	Nav        []entry
	Glance     glance
	Word       string
	Health     admin.Health
	Notice     string
}

// may says what the visitor may do.
type may struct{ Operate, Administer bool }

// NextTheme is what the button that changes the theme changes it to.
func (f frame) NextTheme() string { return nextTheme(f.Theme) }

// entry is one of the navigation.
type entry struct {
	Path, Name, Icon string
	Current          bool
	Badge            string
	Of               string // what the badge counts
	Health           admin.Health
}

// frame puts a page among all that pages have in common.
func (s *site) frame(v *visit, p *page) frame {
	g := glance{}
	if v.may(access.Viewer) {
		g = v.glances.look(v.Context())
	}
	address := *v.URL
	query := address.Query()
	query.Del(noticeField)
	address.RawQuery = query.Encode()
	here := (&url.URL{Path: address.Path, RawPath: address.RawPath, RawQuery: address.RawQuery}).String()
	watched := here
	if v.Method != http.MethodGet {
		here = "/"
	}
	if p.status != 0 {
		watched = "" // there is nothing that could change
	}
	p.Title = cut(telemetry.Printable(p.Title), maxFieldBytes) // it may hold a part of the address
	return frame{
		page: p, Version: s.o.Version, Who: v.who, Theme: v.theme, Masked: v.masked, Here: here, Live: watched,
		May:    may{Operate: v.may(access.Operator), Administer: v.may(access.Admin)},
		Glance: g, Word: g.word(), Health: g.health(), Nav: navigation(p.Section, g), Notice: s.notice(v.Request),
	}
}

func navigation(section string, g glance) []entry {
	all := []entry{
		{Path: "/", Name: "Flow", Icon: "flow"},
		{Path: "/subscribers", Name: "Subscribers", Icon: "subscribers"},
		{Path: "/dead-letters", Name: "Dead letters", Icon: "dead"},
		{Path: "/quarantine", Name: "Quarantine", Icon: "quarantine"},
		{Path: "/interactions", Name: "Interaction", Icon: "interaction"},
		{Path: "/events", Name: "Events", Icon: "events"},
		{Path: "/streams", Name: "Streams", Icon: "streams"},
		{Path: "/configuration", Name: "Configuration", Icon: "configuration"},
		{Path: "/audit", Name: "Audit", Icon: "audit"},
		{Path: "/processes", Name: "Processes", Icon: "processes"},
		{Path: "/tasks", Name: "Tasks", Icon: "tasks"},
	}
	stuck := healths{}
	for _, s := range g.Subscribers {
		stuck[s.Health]++
	}
	for i := range all {
		all[i].Current = all[i].Path == section
		switch all[i].Path {
		case "/subscribers":
			if n := stuck[admin.HealthFailing] + stuck[admin.HealthSlow]; n > 0 {
				all[i].Badge, all[i].Of, all[i].Health = count(n), "failing or slow", stuck.worst()
			}
		case "/dead-letters":
			all[i].badge(g.DeadLetters, "dead letters", admin.HealthFailing)
		case "/quarantine":
			all[i].badge(g.Quarantined, "in quarantine", admin.HealthStuck)
		case "/configuration":
			if g.Refused != "" {
				all[i].Badge, all[i].Of, all[i].Health = "!", "streams.json is refused", admin.HealthStuck
			}
		}
	}
	return all
}

func (e *entry) badge(n uint64, of string, health admin.Health) {
	if n > 0 {
		e.Badge, e.Of, e.Health = count(n), of, health
	}
}
