package access

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// claims are what a verified token says.
type claims struct {
	subject, nonce string
	expires        time.Time
	all            map[string]any
}

// grant is what the claims let in with. Somebody without a role is refused.
func (p *provider) grant(c claims) (grant, *refusal) {
	name := c.name(p.settings.NameClaim)
	role := p.settings.role(c.all)
	switch {
	case name == "":
		return grant{}, &refusal{status: http.StatusForbidden, result: resultNoRole, detail: "The identity provider does not say who you are."}
	case role == "":
		return grant{}, &refusal{
			status: http.StatusForbidden, result: resultNoRole, name: name,
			detail: fmt.Sprintf("You have no role here. The claim that was looked at is %q: ask whoever runs the console to give one of its values a role.", p.settings.RolesClaim),
		}
	}
	return grant{Identity: Identity{Name: name, Role: role, Via: "oidc"}, ends: p.ends}, nil
}

// name is the claim that is configured; or else the email address, unless the provider says that nobody has verified it, the preferred name, and at
// last the subject.
func (c claims) name(claim string) string {
	names := []string{claim}
	if claim == "" {
		names = []string{"email", "preferred_username"}
		if c.all["email_verified"] == false || c.all["email_verified"] == "false" {
			names = names[1:] // somebody else's could stand there
		}
	}
	for _, name := range names {
		if text, ok := find(c.all, name).(string); ok && text != "" {
			return cut(text)
		}
	}
	return cut(c.subject)
}

// role is the highest that the claims give; "" is none.
func (o *oidcSettings) role(all map[string]any) Role {
	best := o.DefaultRole
	for _, value := range texts(find(all, o.RolesClaim)) {
		if role := o.Roles[value]; role.May(Viewer) && (best == "" || role.May(best)) {
			best = role
		}
	}
	return best
}

// find is a claim by its name, which may have dots, or by a path through objects.
func find(all map[string]any, path string) any {
	if value, ok := all[path]; ok {
		return value
	}
	name, rest, nested := strings.Cut(path, ".")
	inner, ok := all[name].(map[string]any)
	if !nested || !ok {
		return nil
	}
	return find(inner, rest)
}

// texts are those that a claim holds: one, or a list of them.
func texts(claim any) []string {
	switch claim := claim.(type) {
	case string:
		return []string{claim}
	case []any:
		var all []string
		for _, value := range claim {
			if text, ok := value.(string); ok {
				all = append(all, text)
			}
		}
		return all
	}
	return nil
}
