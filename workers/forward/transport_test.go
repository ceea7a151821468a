package forward

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

// house is a certificate authority.
type house struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
	file        string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{pool: x509.NewCertPool(), file: filepath.Join(t.TempDir(), "ca.pem")}
	var err error
	h.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "house"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &h.key.PublicKey, h.key)
	require.NoError(t, err)
	h.certificate, err = x509.ParseCertificate(raw)
	require.NoError(t, err)
	h.pool.AddCert(h.certificate)
	require.NoError(t, os.WriteFile(h.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600))
	return h
}

// issue writes a certificate and its key.
func (h *house) issue(t *testing.T, name, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, h.certificate, &key.PublicKey, h.key)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}

func (h *house) pair(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	h.issue(t, name, certFile, keyFile)
	return certFile, keyFile
}

// strict is a subscriber named crm.internal that asks for a certificate of the house and tells whose
// it was. Each request has a connection of its own.
func (h *house) strict(t *testing.T) (url string, peers chan string) {
	t.Helper()
	certFile, keyFile := h.pair(t, "crm.internal")
	own, err := tls.LoadX509KeyPair(certFile, keyFile)
	require.NoError(t, err)
	peers = make(chan string, 64)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		peers <- r.TLS.PeerCertificates[0].Subject.CommonName
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: h.pool, ClientAuth: tls.RequireAndVerifyClientCert}
	server.Config.ErrorLog = silent
	server.Config.SetKeepAlivesEnabled(false)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL, peers
}

func TestATargetThatAsksForACertificate(t *testing.T) {
	h := newHouse(t)
	address, peers := h.strict(t)
	certFile, keyFile := h.pair(t, "first")
	files := mesh.TargetTLS{CertFile: certFile, KeyFile: keyFile, CAFile: h.file, ServerName: "crm.internal"}
	ends := map[CertificateUse]time.Time{}
	var mu sync.Mutex
	target := openTarget(t, mesh.Target{URL: address, TLS: &files}, Options{NoteCertificate: func(use CertificateUse, at time.Time) {
		mu.Lock()
		defer mu.Unlock()
		ends[use] = at
	}})
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	assert.Equal(t, "first", <-peers)
	mu.Lock()
	assert.Len(t, ends, 2)
	for _, use := range []CertificateUse{TargetCertificate, ClientCertificate} {
		assert.WithinDuration(t, time.Now().Add(time.Hour), ends[use], time.Minute, use)
	}
	mu.Unlock()

	h.issue(t, "second", certFile, keyFile)
	require.Eventually(t, func() bool {
		require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
		return <-peers == "second"
	}, 20*time.Second, 50*time.Millisecond)

	for name, wrong := range map[string]mesh.TargetTLS{
		"certificate":          {CAFile: h.file, ServerName: "crm.internal"},
		"not other.internal":   {CertFile: certFile, KeyFile: keyFile, CAFile: h.file, ServerName: "other.internal"},
		"any IP SANs":          {CertFile: certFile, KeyFile: keyFile, CAFile: h.file},
		"by unknown authority": {CertFile: certFile, KeyFile: keyFile, CAFile: newHouse(t).file, ServerName: "crm.internal"},
		"unknown authority":    {CertFile: certFile, KeyFile: keyFile, ServerName: "crm.internal"},
	} {
		err := openTarget(t, mesh.Target{URL: address, TLS: &wrong}, Options{}).Handle(t.Context(), targettest.Event(1))
		assert.Equal(t, workers.Wait, targettest.FateOf(err), "no event is to blame: %v", err)
		assert.ErrorContains(t, err, "; check ")
		assert.ErrorContains(t, err, name)
	}
}

func TestCertificateFilesThatCannotBeUsed(t *testing.T) {
	h := newHouse(t)
	certFile, keyFile := h.pair(t, "a")
	otherCert, _ := h.pair(t, "b")
	large := filepath.Join(t.TempDir(), "large")
	require.NoError(t, os.WriteFile(large, make([]byte, maxCABytes+1), 0o600))
	for want, files := range map[string]mesh.TargetTLS{
		"tls.ca_file: " + keyFile + " holds no": {CAFile: keyFile},
		"tls.ca_file: open /nowhere":            {CAFile: "/nowhere"},
		"larger than":                           {CAFile: large},
		"tls.cert_file and tls.key_file":        {CertFile: "/nowhere", KeyFile: keyFile},
		"private key does not match":            {CertFile: otherCert, KeyFile: keyFile},
		"belong together":                       {CertFile: certFile},
	} {
		_, err := New(mesh.Target{URL: "https://crm", TLS: &files}, "crm", Options{})
		require.ErrorContains(t, err, want)
	}
	_, err := New(mesh.Target{URL: "http://crm", TLS: &mesh.TargetTLS{CAFile: h.file}}, "crm", Options{})
	require.ErrorContains(t, err, "nothing would be encrypted")
}

// proxy forwards plain requests and tunnels others, for user "us" with "s3cret". Whatever host it is
// asked for, it goes to where.
type proxy struct {
	*httptest.Server
	where     string
	asked     chan string
	locked    atomic.Bool // it knows nobody
	tunnelled sync.WaitGroup
}

func newProxy(t *testing.T, where string, secured bool) *proxy {
	t.Helper()
	p := &proxy{where: strings.TrimPrefix(strings.TrimPrefix(where, "https://"), "http://"), asked: make(chan string, 64)}
	p.Server = httptest.NewUnstartedServer(p)
	p.Config.ErrorLog = silent
	p.EnableHTTP2 = true
	if secured {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(func() { p.Close(); p.tunnelled.Wait() })
	return p
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked <- r.Method + " " + r.Host
	as := r.Clone(r.Context())
	as.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
	if user, password, ok := as.BasicAuth(); !ok || user != "us" || password != "s3cret" || p.locked.Load() {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	if r.Method == http.MethodConnect {
		p.tunnel(w)
		return
	}
	out, _ := http.NewRequestWithContext(r.Context(), r.Method, "http://"+p.where, r.Body)
	out.Header = r.Header.Clone()
	out.Header.Del("Proxy-Authorization")
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	w.WriteHeader(resp.StatusCode)
}

func (p *proxy) tunnel(w http.ResponseWriter) {
	far, err := net.Dial("tcp", p.where)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	p.tunnelled.Add(2) // while the server still waits for this call
	near, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		p.tunnelled.Add(-2)
		_ = far.Close()
		return
	}
	_, _ = io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
	both := func() { _ = near.Close(); _ = far.Close() }
	carry := func(to, from net.Conn) {
		defer p.tunnelled.Done()
		defer both()
		_, _ = io.Copy(to, from)
	}
	go carry(far, near)
	go carry(near, far)
}

func (p *proxy) url(user string) string { return strings.Replace(p.URL, "://", "://"+user, 1) }

// certificateFile is a file with the certificate of a test server.
func certificateFile(t *testing.T, server *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	return file
}

func TestEventsTakeTheProxyOfStreamsJSON(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://environment.invalid:1")
	}
	for _, securedProxy := range []bool{false, true} {
		for _, securedTarget := range []bool{false, true} {
			var protocol atomic.Pointer[string]
			far := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				protocol.Store(&r.Proto)
				assert.Empty(t, r.Header.Get("Proxy-Authorization"))
			}))
			far.EnableHTTP2 = true
			target := mesh.Target{}
			if securedTarget {
				far.StartTLS()
				target.URL = "https://example.com"
			} else {
				far.Start()
				target.URL = "http://crm.example.net"
			}
			p := newProxy(t, far.URL, securedProxy)
			target.Proxy = p.url("us:s3cret@")
			if securedTarget {
				target.TLS = &mesh.TargetTLS{CAFile: certificateFile(t, far), ServerName: "example.com"}
			}
			opened := openTarget(t, target, Options{PublicOnly: true})
			if securedProxy && !securedTarget { // no ca_file is allowed there
				opened.egress.proxyRoots = x509.NewCertPool()
				opened.egress.proxyRoots.AddCert(p.Certificate())
				opened.transport = opened.egress.transport(1)
			}
			require.NoError(t, opened.Handle(t.Context(), targettest.Event(1)), "proxy by TLS: %t, target by TLS: %t", securedProxy, securedTarget)
			require.NotNil(t, protocol.Load())
			if securedTarget {
				assert.Equal(t, "CONNECT example.com:443", <-p.asked)
				assert.Equal(t, "HTTP/2.0", *protocol.Load())
			} else {
				assert.Equal(t, "POST crm.example.net", <-p.asked)
			}
			require.NoError(t, opened.Close())
			far.CloseClientConnections()
			far.Close()
		}
	}
}

func TestAProxyThatRefuses(t *testing.T) {
	far := httptest.NewServer(http.NotFoundHandler())
	defer far.Close()
	for _, address := range []string{"https://crm.example.com", "http://crm.example.com"} {
		p := newProxy(t, far.URL, false)
		err := handOver(t, mesh.Target{URL: address, Proxy: p.url("us:wr0ng@")}, Options{PublicOnly: true})
		assert.Equal(t, workers.Wait, targettest.FateOf(err), "%v", err)
		assert.ErrorContains(t, err, "check the user and password")
		assert.NotContains(t, err.Error(), "wr0ng")

		nowhere := newProxy(t, "http://127.0.0.1:1", false)
		err = handOver(t, mesh.Target{URL: address, Proxy: nowhere.url("us:s3cret@")}, Options{PublicOnly: true})
		assert.Equal(t, workers.Retry, targettest.FateOf(err), "%v", err)
		assert.ErrorContains(t, err, "502")
		assert.NotContains(t, err.Error(), "s3cret")

		err = handOver(t, mesh.Target{URL: address, Proxy: "http://us:s3cret@127.0.0.1:1"}, Options{PublicOnly: true})
		assert.Equal(t, workers.Retry, targettest.FateOf(err))
		assert.NotContains(t, err.Error(), "s3cret")
	}
}

func TestAProxyIsNoWayAroundTheGuardForAddresses(t *testing.T) {
	far := newCounted(t, "127.0.0.1")
	p := newProxy(t, far.URL, false)
	for _, host := range []string{
		"127.0.0.1", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]", "[64:ff9b::a00:1]", "localhost", "a.localhost.",
	} {
		for _, scheme := range []string{"http", "https"} {
			err := handOver(t, mesh.Target{URL: scheme + "://" + host, Proxy: p.url("us:s3cret@")}, Options{PublicOnly: true})
			assert.Equal(t, workers.Wait, targettest.FateOf(err))
			require.ErrorContains(t, err, "events don't go there", host)
		}
	}
	assert.Empty(t, p.asked)
	require.NoError(t, handOver(t, mesh.Target{URL: "http://10.0.0.1", Proxy: p.url("us:s3cret@"), AllowNetworks: []string{"10.0.0.0/8"}},
		Options{PublicOnly: true}))
	assert.Equal(t, "POST 10.0.0.1", <-p.asked)
}

func TestProxiesThatAreNone(t *testing.T) {
	for _, proxy := range []string{
		"proxy:3128", "socks5://s3cret@proxy", "http://", "http://proxy/s3cret", "http://proxy?s3cret",
		"http://u:s3cret@proxy#x", "http://s3cret proxy",
	} {
		err := Check(mesh.Target{URL: "https://crm", Proxy: proxy})
		require.ErrorContains(t, err, "proxy: ", proxy)
		assert.NotContains(t, err.Error(), "s3cret")
	}
}

// However a URL is written, the same host is meant.
func TestSpellingsOfAURL(t *testing.T) {
	for _, c := range []struct {
		url, proxy, want string
		secured          bool
	}{
		{url: "HTTP://CRM.example.com/hook", want: "POST CRM.example.com"},
		{url: "http://crm.example.com.", want: "POST crm.example.com."},
		{url: "http://b\u00fccher.example.com", want: "POST xn--bcher-kva.example.com"},
		{url: "http://user:s3cret@crm.example.com", want: "POST crm.example.com"},
		{url: "http://crm.example.com", proxy: "HTTP://", want: "POST crm.example.com"},
		{url: "HTTPS://example.com", secured: true, want: "CONNECT example.com:443"},
		{url: "https://example.com.", secured: true, want: "CONNECT example.com.:443"},
		{url: "https://EXAMPLE.com:443", secured: true, want: "CONNECT EXAMPLE.com:443"},
	} {
		far := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _, shown := r.BasicAuth()
			assert.Equal(t, strings.Contains(c.url, "@"), shown)
		}))
		target := mesh.Target{URL: c.url}
		if c.secured {
			far.StartTLS()
			target.TLS = &mesh.TargetTLS{CAFile: certificateFile(t, far)}
		} else {
			far.Start()
		}
		p := newProxy(t, far.URL, false)
		target.Proxy = strings.Replace(p.url("us:s3cret@"), "http://", cmp.Or(c.proxy, "http://"), 1)
		require.NoError(t, handOver(t, target, Options{PublicOnly: true}), c.url)
		assert.Equal(t, c.want, <-p.asked)
		far.CloseClientConnections()
		far.Close()
	}
}
