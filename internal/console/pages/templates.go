package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"time"

	"github.com/genmesh/genmesh/internal/telemetry"
	"github.com/genmesh/genmesh/mesh"
)

//go:embed *.tmpl
var templateFiles embed.FS

// templates are all of the site's.
type templates struct{ all *template.Template }

func parseTemplates(a assets, now func() time.Time) (*templates, error) {
	t := new(templates)
	funcs := template.FuncMap{
		"asset":  a.address,
		"region": t.region,
		"content": func(f frame) (template.HTML, error) {
			html, err := t.run(f.template, f)
			return template.HTML(html), err //nolint:gosec // a template of ours has made it
		},
		"said": said, "icon": icon, "printable": telemetry.Printable, "seconds": seconds, "perSecond": perSecond, "stamp": stamp, "command": command,
		"count":        func(n any) (string, error) { return anyCount(n, count[int64], count[uint64]) },
		"size":         func(n any) (string, error) { return anyCount(n, size[int64], size[uint64]) },
		"plural":       func(n any, one, many string) (string, error) { return anyPlural(n, one, many) },
		"moment":       func(at time.Time) template.HTML { return moment(at, now()) },
		"since":        func(at time.Time) template.HTML { return since(at, now()) },
		"ago":          func(at time.Time) string { return ago(at, now()) },
		"duration":     duration,
		"attemptClass": attemptClass,
		"clocked":      func(at time.Time) string { return at.UTC().Format("15:04:05.000") },
		"took":         func(d mesh.Duration) string { return seconds(time.Duration(d).Seconds()) },
		"bars":         func(head string, bars []bar) barTable { return barTable{head, bars} },
	}
	var err error
	t.all, err = template.New("").Funcs(funcs).ParseFS(templateFiles, "*.tmpl")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	return t, nil
}

// icon is one of the icons of the layout, for who sees. Its name is one of ours, or a health.
func icon(name any) template.HTML {
	//nolint:gosec // escaped
	return template.HTML(`<svg class="icon" aria-hidden="true"><use href="#i-` + template.HTMLEscapeString(fmt.Sprint(name)) + `"></use></svg>`)
}

// anyCount writes a number of any of the types that templates meet.
func anyCount(n any, signed func(int64) string, unsigned func(uint64) string) (string, error) {
	switch n := n.(type) {
	case int:
		return signed(int64(n)), nil
	case int64:
		return signed(n), nil
	case uint64:
		return unsigned(n), nil
	}
	return "", fmt.Errorf("%T is no number", n)
}

func anyPlural(n any, one, many string) (string, error) {
	return anyCount(n, func(n int64) string { return plural(n, one, many) }, func(n uint64) string { return plural(n, one, many) })
}

// run is what a template makes of data.
func (t *templates) run(name string, data any) (string, error) {
	var b bytes.Buffer
	if err := t.all.ExecuteTemplate(&b, name, data); err != nil {
		return "", err
	}
	return b.String(), nil
}

// region is a part of a page that is kept up to date: what its template makes, in an element that the script finds.
func (t *templates) region(name string, f frame) (template.HTML, error) {
	html, err := t.run(name, f)
	if err != nil {
		return "", err
	}
	//nolint:gosec // names are ours, and a template of ours has made the rest
	return template.HTML(`<div class="region" id="live-` + name + `" data-live="` + name + `">` + html + `</div>`), nil
}
