package access

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOpenRedirectsAreClosed(t *testing.T) {
	for next, want := range map[string]string{
		"/": "/", "/dead": "/dead", "/dead?group=a%20b&x=/": "/dead?group=a%20b&x=/", "/a%2fb": "/a%2fb", "/a b": "/a%20b",
		"/ü?q=ü": "/%C3%BC?q=%C3%BC", "/x?next=https://evil.example": "/x?next=https://evil.example", "/dead#top": "/dead",
		"": "/", "dead": "/", "//evil.example": "/", "///evil.example": "/", "/\\evil.example": "/", "\\\\evil.example": "/",
		"/%2f/evil.example": "/", "/%5cevil.example": "/", "https://evil.example": "/", "https:evil.example": "/",
		"javascript:alert(1)": "/", "/\t/evil.example": "/", "/\n/evil.example": "/", "\t//evil.example": "/", " //evil.example": "/",
		"http:///evil.example": "/", "//evil.example/%2f..": "/", "/login": "/", "/login?next=/x": "/", "/logout": "/", "/auth/oidc": "/",
		"/x\r\nSet-Cookie: a=b": "/", "/" + strings.Repeat("x", maxNextBytes): "/", "//user@evil.example": "/", "/%": "/",
		"/" + strings.Repeat("ü", maxNextBytes/4): "/",
	} {
		assert.Equal(t, want, nextPath(next), "%q", next)
	}
}

func FuzzNextPath(f *testing.F) {
	for _, seed := range []string{"/dead?x=1", "//evil.example", "/\\evil", "/%2f/evil", "/.//evil", "/..//evil", "/\t/evil"} {
		f.Add(seed)
	}
	home, err := url.Parse("https://mesh.example.com/login")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, next string) {
		got := nextPath(next)
		require.NotContains(t, got, "\\")
		for _, r := range got {
			require.True(t, r > ' ' && r < 0x7f, "%q", got)
		}
		there, err := home.Parse(got)
		require.NoError(t, err)
		require.Equal(t, home.Host, there.Host)
		require.Equal(t, got, nextPath(got), "what is good stays as it is")
	})
}
