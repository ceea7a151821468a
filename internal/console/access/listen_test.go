package access

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWithoutAFileOnlyThisMachineIsLetIn: also where a page elsewhere had its name pointed at this machine.
func TestWithoutAFileOnlyThisMachineIsLetIn(t *testing.T) {
	s := open(t, "{}", func(o *Options) { o.File, o.Loopback, o.Secure, o.PublicURL = "", true, false, "" })
	for host, let := range map[string]bool{
		"127.0.0.1:8090": true, "127.8.9.1": true, "[::1]:8090": true, "localhost": true, "LOCALHOST:8090": true, "localhost.": true,
		"mesh.localhost:8090": true, "[::ffff:127.0.0.1]": true,
		"evil.example": false, "evil.example:8090": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"notlocalhost": false, "0.0.0.0": false, "10.0.0.1:8090": false, "127.1": false, "2130706433": false, "[::]": false, "[fe80::1]": false,
		"evil.example#localhost": false,
	} {
		for _, path := range []string{"/", "/login"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			s.Config.Handler.ServeHTTP(w, r)
			switch {
			case !let:
				assert.Equal(t, http.StatusMisdirectedRequest, w.Code, host+path)
			case path == "/":
				assert.Contains(t, w.Body.String(), `"role":"admin","via":"loopback"`, host)
			default:
				assert.Equal(t, "/", w.Header().Get("Location"), "nobody has to sign in")
			}
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = ""
	w := httptest.NewRecorder()
	s.Config.Handler.ServeHTTP(w, r)
	assert.Equal(t, http.StatusMisdirectedRequest, w.Code, "a request without a Host")
	assert.NoError(t, s.guard.Reload())
	assert.Zero(t, gauge(t, s))
}

func gauge(t *testing.T, s *site) float64 {
	t.Helper()
	families, err := s.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == "genmesh_console_sessions" {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("there is no genmesh_console_sessions")
	return 0
}

// A proxy on the same machine asks as if it were somebody here, whoever has asked it.
func TestWithoutAFileNobodyIsLetInBehindAProxy(t *testing.T) {
	s := open(t, "{}", func(o *Options) { o.File, o.Loopback, o.Secure, o.PublicURL = "", true, false, "" })
	for _, header := range []string{"X-Forwarded-For", "Forwarded"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = "127.0.0.1:8090"
		r.Header.Set(header, "203.0.113.7")
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		assert.Equal(t, http.StatusMisdirectedRequest, w.Code, header)
	}
}

// TestAnOpenConsoleIsNoGuard: what would let anybody in from anywhere does not start.
func TestAnOpenConsoleIsNoGuard(t *testing.T) {
	file := open(t, accessFile(t, people())).file
	for _, tc := range []struct {
		name    string
		options Options
		want    string
	}{
		{"no file", Options{Secure: true}, "needs TLS and an access file"},
		{"no TLS", Options{File: file}, "needs TLS and an access file"},
		{"neither", Options{}, "needs TLS and an access file"},
		{"no file behind a proxy", Options{Loopback: true, PublicURL: "https://mesh.example.com"}, "needs an access file"},
		{"public URL with a path", Options{File: file, Secure: true, PublicURL: "https://mesh.example.com/console"}, "public URL"},
		{"public URL without TLS", Options{File: file, Secure: true, PublicURL: "http://mesh.example.com"}, "public URL"},
		{"file that is not there", Options{File: file + "x", Secure: true}, "no such file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.options.Logger, tc.options.Registerer = logrus.New(), prometheus.NewRegistry()
			_, err := New(tc.options)
			assert.ErrorContains(t, err, tc.want)
		})
	}
}

func TestWhereTheConsoleMayBeServed(t *testing.T) {
	for _, tc := range []struct {
		addr        string
		tls, access bool
		want        string // "" is allowed
	}{
		{"127.0.0.1:8090", false, false, ""},
		{"127.9.9.9:0", false, false, ""},
		{"[::1]:8090", false, false, ""},
		{"localhost:8090", false, false, ""},
		{"0.0.0.0:8090", true, true, ""},
		{":8090", true, true, ""},
		{":8090", false, false, "a certificate (--console-tls-cert, --console-tls-key) and users"},
		{"0.0.0.0:8090", false, false, "can be reached from other machines"},
		{"[::]:8090", false, false, "can be reached from other machines"},
		{"10.0.0.1:8090", true, false, "needs users or an identity provider (--console-access)"},
		{"10.0.0.1:8090", false, true, "needs a certificate"},
		{"[::ffff:10.0.0.1]:8090", false, true, "needs a certificate"},
		{"8090", false, false, "missing port"},
		{"no-such-host.invalid:8090", true, true, "no-such-host.invalid"},
	} {
		err := CheckListen(tc.addr, tc.tls, tc.access)
		if tc.want == "" {
			assert.NoError(t, err, tc.addr)
		} else {
			assert.ErrorContains(t, err, tc.want, tc.addr)
		}
	}
}
