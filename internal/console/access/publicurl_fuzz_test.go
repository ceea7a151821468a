package access

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzPublicURL: what is taken for the console's own address is an origin, by which it tells its own pages from those of others.
func FuzzPublicURL(f *testing.F) {
	for _, text := range []string{
		"", "https://mesh.example.com", "https://mesh.example.com:443/", "HTTPS://MESH.example.com", "http://localhost:8090", "http://127.0.0.1", "http://mesh.example.com",
		"https://a@b", "https://a/b", "https://a?b", "https://a#b", "https://", "//a", "https://[::1]:443", "http://localhost.evil.example.com",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePublicURL(text)
		if err != nil || text == "" {
			require.Nil(t, p.URL)
			return
		}
		require.True(t, p.isHTTPS() || isLoopbackName(p.Hostname()), "in clear text it never leaves this machine")
		origin, err := url.Parse(p.origin())
		require.NoError(t, err)
		require.Empty(t, origin.Path+origin.RawQuery+origin.Fragment)
		require.Nil(t, origin.User)
		require.Equal(t, strings.ToLower(p.Hostname()), origin.Hostname())
		require.NotContains(t, []string{"https:443", "http:80"}, origin.Scheme+":"+origin.Port())
	})
}
