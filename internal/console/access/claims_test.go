package access

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRolesAndNamesComeFromClaims(t *testing.T) {
	settings := oidcSettings{RolesClaim: "roles", Roles: map[string]Role{"look": Viewer, "do": Operator, "all": Admin}}
	with := func(change func(*oidcSettings)) oidcSettings {
		s := settings
		change(&s)
		return s
	}
	nested := with(func(o *oidcSettings) { o.RolesClaim = "resource_access.console.roles" })
	asURL := with(func(o *oidcSettings) { o.RolesClaim = "https://example.com/roles" })
	byDefault := with(func(o *oidcSettings) { o.DefaultRole = Operator })
	for _, tc := range []struct {
		name     string
		settings oidcSettings
		claims   string
		want     Role
	}{
		{"string", settings, `{"roles":"do"}`, Operator},
		{"list", settings, `{"roles":["look","all","do"]}`, Admin},
		{"list with other things", settings, `{"roles":[1,null,{"x":"all"},["all"],"look"]}`, Viewer},
		{"none", settings, `{"roles":["staff"]}`, ""},
		{"no claim", settings, `{}`, ""},
		{"object", settings, `{"roles":{"all":true}}`, ""},
		{"names of ours are no values", settings, `{"roles":["admin"]}`, ""},
		{"two in one text", settings, `{"roles":"look all"}`, ""},
		{"nested", nested, `{"resource_access":{"console":{"roles":["do"]}}}`, Operator},
		{"nested, not there", nested, `{"resource_access":{"console":"do"}}`, ""},
		{"name with dots", nested, `{"resource_access.console.roles":"look"}`, Viewer},
		{"name that is a URL", asURL, `{"https://example.com/roles":["all"]}`, Admin},
		{"default", byDefault, `{}`, Operator},
		{"more than the default", byDefault, `{"roles":"all"}`, Admin},
		{"less than the default", byDefault, `{"roles":"look"}`, Operator},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var all map[string]any
			require.NoError(t, json.Unmarshal([]byte(tc.claims), &all))
			assert.Equal(t, tc.want, tc.settings.role(all))
		})
	}
	for _, tc := range []struct{ claim, claims, want string }{
		{"", `{"email":"a@x","preferred_username":"ann"}`, "a@x"},
		{"", `{"email":"a@x","email_verified":true}`, "a@x"},
		{"", `{"email":"a@x","email_verified":false,"preferred_username":"ann"}`, "ann"},
		{"", `{"email":"a@x","email_verified":"false"}`, "4711"},
		{"", `{"preferred_username":""}`, "4711"},
		{"upn", `{"email":"a@x","upn":"ann@corp"}`, "ann@corp"},
		{"upn", `{"email":"a@x"}`, "4711"},
		{"upn", `{"upn":"a\u001b[2J\u202e"}`, `a\x1b[2J\u202e`},
		{"upn", `{"upn":"` + strings.Repeat("ü", 500) + `"}`, strings.Repeat("ü", 100)},
	} {
		var all map[string]any
		require.NoError(t, json.Unmarshal([]byte(tc.claims), &all))
		assert.Equal(t, tc.want, claims{subject: "4711", all: all}.name(tc.claim), tc.claims)
	}
}
