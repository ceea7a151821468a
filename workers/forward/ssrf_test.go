//go:build linux

package forward

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/targettest"
)

// forgery is a target, and where the events that are handed to it may go. Whoever may write a subscriber, or the DNS of one, must not make
// genmesh connect to anything else.
type forgery struct {
	Name, Why string
	URL       string
	Allow     []string
	Dev       bool // without PublicOnly
	Proxy     string
	// Environment is a proxy by HTTP_PROXY and its kin.
	Environment string
	TokenURL    string `json:"token_url"`
	// Names has what each lookup of a name finds: addresses, or an alias. The last goes on.
	Names map[string][][]string
	// Answer is the status, and one header, of whoever is reached; 200 by default.
	Answer [3]any
	// Times events are handed over; 1 by default.
	Times int
	// Fate is what becomes of the event: "delivered", "wait", "retry" or "refuse"; "none" if there is no such target. Fates has one for each time.
	Fate  string
	Fates []string
	// Reached are all addresses that are connected to, in their order.
	Reached []string
}

// ssrfPorts are what is listened on.
var ssrfPorts = []string{"22", "80", "443", "3128", "4222", "6379", "8090"}

const inNamespace = "GENMESH_TEST_EVERY_ADDRESS_IS_LOCAL"

// TestNoTargetReachesAForbiddenAddress runs testdata/ssrf.json in a network namespace of its own, in which each address there is, of both
// IPv4 and IPv6, is one of this machine: whatever is connected to is seen, be it forbidden, allowed or public.
func TestNoTargetReachesAForbiddenAddress(t *testing.T) {
	raw, err := os.ReadFile("testdata/ssrf.json") // also where it is not used: go test has to know what the result depends on
	require.NoError(t, err)
	var cases []*forgery
	require.NoError(t, json.Unmarshal(raw, &cases))
	require.GreaterOrEqual(t, len(cases), 60)
	if os.Getenv(inNamespace) != "" {
		attackEverything(t, cases)
		return
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("it needs ip of iproute2 to make all addresses local: %v", err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=4m")
	child.Env = append(os.Environ(), inNamespace+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		child.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	said, err := child.CombinedOutput()
	if child.Process == nil {
		t.Skipf("it needs a network namespace of its own, which this machine does not give: %v", err)
	}
	require.NoError(t, err, "%s", said)
	require.NotContains(t, string(said), "--- SKIP")
}

// attackEverything runs in the namespace.
func attackEverything(t *testing.T, cases []*forgery) {
	for _, command := range []string{
		"link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo",
	} {
		said, err := exec.CommandContext(t.Context(), "ip", strings.Fields(command)...).CombinedOutput()
		require.NoError(t, err, "ip %s: %s", command, said)
	}
	w := newWorld(t)
	reached := 0
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			w.begin(c)
			assert.Equal(t, c.fates(), w.handOver(t, c), c.Why)
			assert.Equal(t, len(c.Reached), len(w.connections(t)), "%s: %s", c.Why, w.connections(t))
			assert.ElementsMatch(t, c.Reached, w.connections(t), c.Why)
			reached += len(c.Reached)
		})
	}
	assert.Greater(t, reached, 30, "the addresses of this namespace can be reached")
}

func (c *forgery) fates() []string {
	if c.Fates != nil {
		return c.Fates
	}
	return []string{c.Fate}
}

// handOver hands events to the target of a case and returns what became of them.
func (w *world) handOver(t *testing.T, c *forgery) []string {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, c.Environment)
	}
	target := mesh.Target{URL: c.URL, AllowNetworks: c.Allow, Proxy: c.Proxy, Timeout: mesh.Duration(10 * time.Second)}
	if c.TokenURL != "" {
		target.Auth = &mesh.TargetAuth{Method: mesh.AuthOAuth2, TokenURL: c.TokenURL, ClientID: "id", ClientSecret: "${SECRET}"}
	}
	opened, err := New(target, "crm", Options{PublicOnly: !c.Dev, LookupEnv: env("SECRET", "s3cret")})
	if err != nil {
		return []string{"none"}
	}
	defer func() { assert.NoError(t, opened.Close()) }()
	var fates []string
	for n := range max(1, c.Times) {
		err := opened.Handle(t.Context(), targettest.Event(uint64(n+1)))
		fates = append(fates, map[bool]string{true: "delivered", false: string(targettest.FateOf(err))}[err == nil])
		opened.transport.CloseIdleConnections() // the next one dials
	}
	return fates
}

// world is everybody that can be connected to: a server on each port of each address, and the DNS.
type world struct {
	mu       sync.Mutex
	current  *forgery
	lookups  map[string]int
	accepted map[string][]string // by port: the addresses that were connected to
}

func newWorld(t *testing.T) *world {
	w := &world{}
	for _, port := range ssrfPorts {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", ":"+port)
		require.NoError(t, err)
		server := &http.Server{
			Handler: http.HandlerFunc(w.answer), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
			ConnContext: w.note,
		}
		server.SetKeepAlivesEnabled(false)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = server.Serve(listener) // until it is closed
		}()
		t.Cleanup(func() {
			assert.NoError(t, server.Close())
			<-ended
		})
	}
	serveNames(t, "127.0.0.1:53", w.resolve)
	return w
}

func (w *world) begin(c *forgery) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current, w.lookups, w.accepted = c, make(map[string]int), make(map[string][]string)
}

// note is called for each connection, in the order in which they came.
func (w *world) note(ctx context.Context, conn net.Conn) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	local := netip.MustParseAddrPort(conn.LocalAddr().String())
	local = netip.AddrPortFrom(local.Addr().Unmap(), local.Port())
	port := fmt.Sprint(local.Port())
	w.accepted[port] = append(w.accepted[port], local.String())
	return ctx
}

// connections are the addresses that were connected to. A port takes its connections in their order: once it has taken one of ours, there
// is none before it that it has not.
func (w *world) connections(t *testing.T) []string {
	var all []string
	const ours = "127.9.9.9"
	for _, port := range ssrfPorts {
		address := net.JoinHostPort(ours, port)
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return slices.Contains(w.accepted[port], address)
		}, 20*time.Second, time.Millisecond)
		require.NoError(t, conn.Close())
		w.mu.Lock()
		w.accepted[port] = slices.DeleteFunc(w.accepted[port], func(a string) bool { return a == address })
		all = append(all, w.accepted[port]...)
		w.mu.Unlock()
	}
	return all
}

// answer is what everybody says.
func (w *world) answer(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	answer := w.current.Answer
	w.mu.Unlock()
	switch status, given := answer[0].(float64); {
	case given:
		rw.Header().Set(answer[1].(string), answer[2].(string))
		rw.WriteHeader(int(status))
	case r.URL.Path == "/token":
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"access_token": "t0ken", "token_type": "Bearer", "expires_in": 3600}`)
	}
}

// resolve answers a query as the case says. A resolver asks for IPv4 and for IPv6: both of a lookup get the same.
func (w *world) resolve(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	m.Response, m.Authoritative, m.RecursionAvailable, m.Additionals = true, true, true, nil
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, q := range m.Questions {
		name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
		lookup := w.lookups[name+q.Type.String()]
		w.lookups[name+q.Type.String()]++
		if w.current.Names[name] == nil {
			m.RCode = dnsmessage.RCodeNameError
			continue
		}
		records, err := w.records(q.Name, q.Type, lookup)
		if err != nil {
			return nil, err
		}
		m.Answers = append(m.Answers, records...)
	}
	return m.Pack()
}

// records are what a lookup of a name finds, aliases with what they stand for.
func (w *world) records(of dnsmessage.Name, kind dnsmessage.Type, lookup int) ([]dnsmessage.Resource, error) {
	found := w.current.Names[strings.ToLower(strings.TrimSuffix(of.String(), "."))]
	if len(found) == 0 {
		return nil, nil
	}
	var records []dnsmessage.Resource
	head := dnsmessage.ResourceHeader{Name: of, Class: dnsmessage.ClassINET}
	for _, text := range found[min(lookup, len(found)-1)] {
		addr, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			alias, err := dnsmessage.NewName(text + ".")
			if err != nil {
				return nil, err
			}
			meant, err := w.records(alias, kind, lookup)
			if err != nil {
				return nil, err
			}
			records = append(append(records, dnsmessage.Resource{Header: head, Body: &dnsmessage.CNAMEResource{CNAME: alias}}), meant...)
		case addr.Is4() && kind == dnsmessage.TypeA:
			records = append(records, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && kind == dnsmessage.TypeAAAA:
			records = append(records, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return records, nil
}
