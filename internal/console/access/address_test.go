package access

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheConsoleBehindAProxySeesWhoAsks: only what a trusted proxy says counts.
func TestTheConsoleBehindAProxySeesWhoAsks(t *testing.T) {
	networks := settings{}
	for _, text := range []string{"10.0.0.0/8", "192.0.2.1", "fd00::/8"} {
		network, err := parseNetwork(text)
		require.NoError(t, err)
		networks.proxies = append(networks.proxies, network)
	}
	for _, tc := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no proxy", "203.0.113.5:1234", nil, "203.0.113.5"},
		{"a stranger who says to be another", "203.0.113.5:1234", []string{"198.51.100.7"}, "203.0.113.5"},
		{"proxy", "10.1.2.3:1234", []string{"198.51.100.7"}, "198.51.100.7"},
		{"proxy of one address", "192.0.2.1:1234", []string{"198.51.100.7"}, "198.51.100.7"},
		{"client that invents hops", "10.1.2.3:1234", []string{"127.0.0.1, 198.51.100.7"}, "198.51.100.7"},
		{"two proxies", "10.1.2.3:1234", []string{"6.6.6.6, 198.51.100.7, 10.9.9.9"}, "198.51.100.7"},
		{"two headers", "10.1.2.3:1234", []string{"198.51.100.7", "10.9.9.9"}, "198.51.100.7"},
		{"nonsense", "10.1.2.3:1234", []string{"198.51.100.7, <script>"}, "10.1.2.3"},
		{"proxy that says nothing", "10.1.2.3:1234", nil, "10.1.2.3"},
		{"IPv4 in IPv6", "[::ffff:10.1.2.3]:1234", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		{"IPv6", "[fd00::1]:1234", []string{"2001:db8::1"}, "2001:db8::1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tc.peer
			r.Header["X-Forwarded-For"] = tc.forwarded
			assert.Equal(t, tc.want, clientAddress(r, networks.trusted()).String())
		})
	}
}

func TestTrustedProxiesComeFromTheFile(t *testing.T) {
	for proxies, want := range map[string]string{`["127.0.0.0/8"]`: "198.51.100.7", `[]`: "127.0.0.1"} {
		s := open(t, accessFile(t, people(), `"trusted_proxies":`+proxies))
		who := s.ask(t, s.browser(t), http.MethodGet, "/", "", "Authorization", "Bearer "+ciToken, "X-Forwarded-For", "198.51.100.7").who(t)
		assert.Equal(t, want, who["address"])
	}
}
