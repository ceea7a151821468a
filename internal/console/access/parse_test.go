package access

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func noEnvironment(string) (string, bool) { return "", false }

// TestEveryMistakeIsNamedWithItsPlace: and nothing of what may be a secret is repeated.
func TestEveryMistakeIsNamedWithItsPlace(t *testing.T) {
	const secret = "correct-horse-battery"
	ann, err := json.Marshal(people()[0])
	require.NoError(t, err)
	for _, tc := range []struct {
		name, text string
		want       []string
	}{
		{"no JSON", "{\n  \"users\": [}", []string{"f:2:13: not JSON"}},
		{"ends early", `{"users":[`, []string{"f:1:11: not JSON: "}},
		{"empty", "", []string{"f:1:1: not JSON"}},
		{"two documents", "{}{}", []string{"not JSON"}},
		{"field twice", `{"users":[],"users":[]}`, []string{"not JSON: duplicate"}},
		{"too deep", `{"users":[[[[[[[[[]]]]]]]]]}`, []string{"nests too deep"}},
		{"nobody", `{}`, []string{"f:1:1: nobody could sign in; name users"}},
		{"list", `[]`, []string{"f:1:1: must be an object"}},
		{"null", `{"users":null,"oidc":null}`, []string{"f:1:22: oidc: must not be null"}},
		{"unknown field", `{"usres":[]}`, []string{`usres: there is no such field; did you mean "users"?`}},
		{"wrong type", `{"users":[` + string(ann) + `],"trusted_proxies":"10.0.0.0/8"}`, []string{"trusted_proxies: must be a list"}},
		{"plain password", `{"users":[{"name":"ann","role":"viewer","password":"` + secret + `"}]}`,
			[]string{"users[0].password: there is no such field; a password never stands here: genmesh console user NAME"}},
		{"plain password as its hash", `{"users":[{"name":"ann","role":"viewer","password_hash":"` + secret + `"}]}`,
			[]string{"users[0].password_hash: is no argon2id or bcrypt hash; a password never stands here"}},
		{"token instead of its hash", `{"users":[{"name":"ann","role":"viewer","token_sha256":"` + secret + `"}]}`, []string{"is no SHA-256 in 64 hex digits"}},
		{"number as a hash", `{"users":[{"name":"ann","role":"viewer","password_hash":12345678}]}`, []string{"users[0].password_hash: must be a string"}},
		{"several", "{\n \"users\": [\n  {\"name\": \"ann\", \"role\": \"root\"},\n  {\"name\": \"a:b\", \"rloe\": \"viewer\"},\n" +
			"  {\"name\": \"\", \"role\": \"viewer\", \"token_sha256\": \"ab\"}\n ],\n \"session\": {\"idle\": \"1s\"}\n}", []string{
			"f:3:27: users[0].role: is no role; write viewer, operator or admin",
			"f:3:3: users[0]: has neither password_hash nor token_sha256",
			`f:4:27: users[1].rloe: there is no such field; did you mean "role"?`,
			"f:5:12: users[2].name: a name is missing",
			"users[2].token_sha256: is no SHA-256",
			"f:7:22: session.idle: must be 1m to 168h",
		}},
		{"name twice", `{"users":[` + string(ann) + `,` + string(ann) + `]}`, []string{"users[1].name: stands here twice"}},
		{"one token of two", `{"users":[{"name":"a","role":"viewer","token_sha256":"` + strings.Repeat("ab", 32) + `"},{"name":"b","role":"viewer","token_sha256":"` +
			strings.Repeat("AB", 32) + `"}]}`, []string{"users[1].token_sha256: is another user's, too"}},
		{"both proofs", `{"users":[{"name":"a","role":"viewer","token_sha256":"` + strings.Repeat("ab", 32) + `","password_hash":"x"}]}`, []string{"has both"}},
		{"hostile name", `{"users":[{"name":"a\u001b[2J","role":"viewer","token_sha256":"` + strings.Repeat("ab", 32) + `"}]}`, []string{"no control characters"}},
		{"session", `{"users":[` + string(ann) + `],"session":{"idle":"2h","max":"1h"}}`, []string{"session.max: must be at least idle"}},
		{"no duration", `{"users":[` + string(ann) + `],"session":{"idle":"soon"}}`, []string{`session.idle: must be a duration such as "12h"`}},
		{"no network", `{"users":[` + string(ann) + `],"trusted_proxies":["10.0.0.0/8","proxy"]}`, []string{"trusted_proxies[1]: is no address and no network"}},
		{"empty oidc", `{"oidc":{}}`, []string{"oidc.issuer: is no https URL", "oidc.client_id: is missing", "oidc.redirect_url: ", "oidc.roles: is empty"}},
		{"wrong oidc", `{"oidc":{"issuer":"http://login.example.com","client_id":"console","client_secret":"` + secret + `","redirect_url":"https://mesh.example.com/x",` +
			`"roles":{"ops":"root"},"default_role":"all"}}`, []string{
			"oidc.issuer: is no https URL", "oidc.client_secret: a secret is not a reference", "oidc.redirect_url: is no https URL that ends in /auth/oidc/callback",
			"oidc.roles.ops: is no role", "oidc.default_role: is no role",
		}},
		{"secret that is not set", `{"oidc":{"issuer":"https://login.example.com","client_id":"console","client_secret":"${NOT_SET}",` +
			`"redirect_url":"https://mesh.example.com/auth/oidc/callback","roles":{"ops":"admin"}}}`, []string{"oidc.client_secret: the secret ${NOT_SET}: the environment variable is not set"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := parse("f", []byte(tc.text), "", noEnvironment)
			var mistakes mesh.Mistakes
			require.ErrorAs(t, err, &mistakes)
			for _, want := range tc.want {
				assert.Contains(t, err.Error(), want)
			}
			assert.Len(t, mistakes, len(tc.want), "%v", err)
			assert.NotContains(t, err.Error(), secret)
			assert.NotContains(t, err.Error(), "12345678")
		})
	}
}

func TestAFileIsReadWithItsDefaults(t *testing.T) {
	f, err := parse("f", []byte(`{"oidc":{"issuer":"https://login.example.com/","client_id":"console","client_secret":"${S}","scopes":["groups"],"default_role":"viewer"}}`),
		"https://mesh.example.com/", func(name string) (string, bool) { return "value of " + name, true })
	require.NoError(t, err)
	assert.Equal(t, "https://mesh.example.com/auth/oidc/callback", f.OIDC.RedirectURL)
	assert.Equal(t, []string{"openid", "groups"}, f.OIDC.Scopes)
	assert.Equal(t, "roles", f.OIDC.RolesClaim)
	assert.Equal(t, "value of S", f.OIDC.secret)
	assert.Equal(t, sessionSettings{Idle: defaultIdle, Max: defaultMax}, f.Session)
}

// FuzzParse: whatever stands in an access file, it is refused with its place or has users that are whole.
func FuzzParse(f *testing.F) {
	text, err := json.Marshal(people())
	require.NoError(f, err)
	f.Add([]byte(`{"users":` + string(text) + `}`))
	f.Add([]byte(`{"users":[{"name":"a"}],"oidc":{"issuer":"https://x","roles":{"a/b~c":"viewer","5":1}},"session":{"idle":1},"trusted_proxies":["::/0"]}`))
	f.Add([]byte(`[[[[[[[[[[`))
	f.Add([]byte(`{"users":{"name":1}}`))
	f.Add([]byte(`{"session":{"idle":"9223372036854775807d"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parse("f", data, "", noEnvironment)
		if err != nil {
			var mistakes mesh.Mistakes
			require.ErrorAs(t, err, &mistakes)
			for _, m := range mistakes {
				require.Positive(t, m.Line)
				require.Positive(t, m.Column)
				require.NotEmpty(t, m.Problem)
			}
			return
		}
		require.False(t, len(got.Users) == 0 && got.OIDC == nil)
		for _, user := range got.Users {
			require.NoError(t, checkUser(user.Name, user.Role))
			require.NotEqual(t, user.PasswordHash == "", user.TokenSHA256 == "")
		}
		newSettings(got, nil, func(oidcSettings) *provider { return nil }).giveWay(nil)
	})
}
