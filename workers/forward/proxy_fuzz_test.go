package forward

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// FuzzProxy: a proxy that is taken is a host to connect to, and nothing of one that is not is shown, for it may hold a password.
func FuzzProxy(f *testing.F) {
	for _, raw := range []string{
		"", "http://proxy:3128", "https://user:pass@[::1]:3128/", "http://proxy/path",
		"http://proxy?q", "socks5://proxy", "proxy:3128", "http://:80", "http://a:0", "http://a:99999",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		proxy, err := parseProxy(raw)
		if err == nil && proxy == nil {
			require.Empty(t, raw)
			return
		}
		if err != nil {
			require.Equal(t, `proxy: not of the form "http://host:port" or "https://host:port"; it is not shown, for it may hold a secret`, err.Error())
			require.Error(t, Check(mesh.Target{URL: "https://crm.example.com", Proxy: raw}))
			return
		}
		require.Contains(t, []string{"http", "https"}, proxy.Scheme)
		require.NotEmpty(t, proxy.Hostname())
		require.Empty(t, proxy.RawQuery+proxy.Fragment)
	})
}
