package ingress

import (
	"fmt"
	"strings"

	"github.com/genmesh/genmesh/mesh"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"
)

// lookedFor says where a value that was not found was looked for, and what is there instead.
func (d *document) lookedFor(named mesh.Selectors, compiled selectors) string {
	if len(named) == 0 {
		return "the source does not say where to look for it"
	}
	places := make([]string, len(named))
	for i, s := range compiled {
		places[i] = string(named[i]) + ": " + d.instead(s)
	}
	return "looked for it at " + strings.Join(places, "; at ")
}

// instead says what is at a selector, or at its first part that finds nothing.
func (d *document) instead(s selector) string {
	for i := range s {
		p := &s[i]
		switch {
		case d.part(p) != "":
			continue
		case len(s) == 1:
			return d.insteadOf(p, "there")
		}
		return d.insteadOf(p, "at "+place(p))
	}
	return "what is there can't be read"
}

func (d *document) insteadOf(p *mesh.SelectorPart, where string) string {
	switch fromHeader := p.Header != "" || p.Form == mesh.FormNonce; {
	case fromHeader && d.header == nil:
		return "the headers are not kept"
	case fromHeader && (p.Header == "" || d.header.Get(p.Header) == ""):
		return "nothing is " + where
	case fromHeader:
		return "what is " + where + " does not match"
	case p.IsLiteral():
		return "it is empty"
	}
	return insteadOfText(d.value(p), p, where)
}

func insteadOfText(v gjson.Result, p *mesh.SelectorPart, where string) string {
	switch {
	case !v.Exists():
		return "nothing is " + where
	case p.Form == mesh.FormNewest:
		return "no time is " + where
	case textOf(v) != "":
		return "what is " + where + " does not match"
	case v.Type == gjson.String:
		return "an empty string is " + where
	}
	return kindName(jsontext.Value(v.Raw).Kind()) + " is " + where + ", no string or number"
}

// place is how a selector names a part.
func place(p *mesh.SelectorPart) string {
	switch {
	case p.Header != "":
		return "header:" + p.Header
	case p.Form == mesh.FormNonce:
		return "nonce:"
	case p.InContent && p.Path == "":
		return "@"
	case p.InContent:
		return "@." + p.Path
	}
	return p.Path
}

// detailOfOrganization says why an event is of none of the source's organizations.
func (r *Reader) detailOfOrganization(e *mesh.Event, d *document) string {
	if e.Organization == "" {
		return d.lookedFor(r.source.Identity.Organization, r.identity.organization)
	}
	return "it names an organization that is none of the source's"
}

// detailOfAge says why an event is not fresh.
func (r *Reader) detailOfAge(e *mesh.Event, d *document) string {
	switch limit := r.source.MaxEventAge; {
	case e.Occurred.IsZero():
		return d.lookedFor(r.source.Identity.Occurred, r.identity.occurred)
	case e.Occurred.Before(e.Received):
		return fmt.Sprintf("it came more than %s after its time", limit)
	default:
		return fmt.Sprintf("it came more than %s before its time", limit)
	}
}
