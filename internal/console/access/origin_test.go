package access

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAnotherSiteCanNotMakeABrowserChangeAnything(t *testing.T) {
	s := open(t, accessFile(t, people()), func(o *Options) { o.PublicURL = "https://mesh.example.com:443" })
	signed := s.signedIn(t, "ann", annPassword)
	plain := strings.Replace(s.URL, "https:", "http:", 1)
	basic, bearer := []string{"Authorization", basicAuth("ann", annPassword)}, []string{"Authorization", "Bearer " + ciToken}
	for _, tc := range []struct {
		name    string
		method  string
		client  *http.Client
		headers []string
		want    int
	}{
		{"own page", http.MethodPost, signed, []string{"Origin", s.URL, "Sec-Fetch-Site", "same-origin"}, 200},
		{"own page, browser without fetch metadata", http.MethodPost, signed, []string{"Origin", s.URL}, 200},
		{"own page behind the proxy", http.MethodPost, signed, []string{"Origin", "https://mesh.example.com"}, 200},
		{"reading from elsewhere", http.MethodGet, signed, []string{"Sec-Fetch-Site", "cross-site"}, 200},
		{"another site", http.MethodPost, signed, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"another site, DELETE", http.MethodDelete, signed, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"another site, made-up method", "BREW", signed, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		{"another site, browser without fetch metadata", http.MethodPost, signed, []string{"Origin", "https://evil.example"}, 403},
		{"another host of the domain", http.MethodPost, signed, []string{"Origin", "https://other.example.com", "Sec-Fetch-Site", "same-site"}, 403},
		{"page in a sandbox", http.MethodPost, signed, []string{"Origin", "null"}, 403},
		{"same host without TLS", http.MethodPost, signed, []string{"Origin", plain}, 403},
		{"public URL without TLS", http.MethodPost, signed, []string{"Origin", "http://mesh.example.com"}, 403},
		{"cookie and no word where from", http.MethodPost, signed, nil, 403},
		{"curl with a password", http.MethodPost, s.browser(t), basic, 200},
		{"another site, browser that remembers a password", http.MethodPost, s.browser(t), append(basic, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), 403},
		{"program with a token", http.MethodPost, s.browser(t), bearer, 200},
		{"program with a token, from a page", http.MethodPost, s.browser(t), append(bearer, "Origin", "https://tools.example", "Sec-Fetch-Site", "cross-site"), 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			assert.Equal(t, tc.want, s.ask(t, tc.client, tc.method, "/api/v1/subscribers/crm/pause", "{}", tc.headers...).status)
		})
	}
	assert.EqualValues(t, 10, s.logins(t, resultCrossOrigin))
}

// TestAnotherSiteCanNotUseTheOpenConsole: on loopback nobody signs in, so that any page in the browser could ask it.
func TestAnotherSiteCanNotUseTheOpenConsole(t *testing.T) {
	s := open(t, "{}", func(o *Options) { o.File, o.Loopback, o.Secure, o.PublicURL = "", true, true, "" })
	assert.Equal(t, 403, s.ask(t, s.browser(t), http.MethodPost, "/", "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site").status)
	assert.Equal(t, 403, s.ask(t, s.browser(t), http.MethodPost, "/", "", "Origin", "https://evil.example").status)
	assert.Equal(t, 200, s.ask(t, s.browser(t), http.MethodPost, "/", "").status, "curl")
	assert.Equal(t, 200, s.ask(t, s.browser(t), http.MethodPost, "/", "", "Origin", s.URL).status)
}

// TestAnotherSiteCanNotSignItsVisitorsInOrOut, for it could read later what they do under its own name.
func TestAnotherSiteCanNotSignItsVisitorsInOrOut(t *testing.T) {
	s := open(t, accessFile(t, people()))
	signed := s.signedIn(t, "ann", annPassword)
	elsewhere := []string{"Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}
	in := s.ask(t, s.browser(t), http.MethodPost, "/login", "name=ann&password=nine+brown+otters", elsewhere...)
	assert.Equal(t, http.StatusForbidden, in.status)
	assert.Empty(t, in.header.Values("Set-Cookie"))
	assert.Contains(t, in.body, `role="alert"`)
	assert.Equal(t, http.StatusForbidden, s.ask(t, signed, http.MethodPost, "/logout", "", elsewhere...).status)
	assert.Equal(t, http.StatusMethodNotAllowed, s.ask(t, signed, http.MethodGet, "/logout", "").status, "an image could do that")
	assert.Equal(t, http.StatusOK, s.ask(t, signed, http.MethodGet, "/", "").status)
}
