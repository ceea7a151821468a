package forward

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

// refused and served are what publicOnly makes of addresses.
var (
	refused = map[string]string{
		"0.0.0.0": "unspecified", "0.1.2.3": "this network", "10.0.0.0": "private", "10.255.255.255": "private",
		"100.64.0.1": "shared", "100.127.255.255": "shared", "100.100.100.200": "cloud metadata",
		"127.0.0.1": "loopback", "127.255.255.254": "loopback", "168.63.129.16": "cloud metadata",
		"169.254.0.1": "link-local", "169.254.169.254": "link-local, cloud metadata", "172.16.0.1": "private", "172.31.255.255": "private",
		"192.0.0.1": "protocol", "192.0.0.192": "protocol", "192.0.2.1": "documentation", "192.88.99.1": "6to4",
		"192.168.0.1": "private", "192.168.255.255": "private", "198.18.0.1": "benchmarking", "198.19.255.255": "benchmarking",
		"198.51.100.7": "documentation", "203.0.113.7": "documentation", "224.0.0.1": "multicast", "239.255.255.250": "multicast",
		"240.0.0.1": "reserved", "255.255.255.254": "reserved", "255.255.255.255": "broadcast",

		"::": "unspecified", "::1": "loopback", "::2": "IPv4-compatible", "::7f00:1": "IPv4-compatible", "::8.8.8.8": "IPv4-compatible",
		"::ffff:127.0.0.1": "loopback", "::ffff:7f00:1": "loopback", "::ffff:10.1.2.3": "private", "::ffff:169.254.169.254": "link-local",
		"::ffff:0.0.0.0": "unspecified", "::ffff:8.8.8.8": "IPv4-mapped", "::ffff:0:127.0.0.1": "IPv4-translated",
		"64:ff9b::7f00:1": "NAT64", "64:ff9b::10.0.0.1": "NAT64", "64:ff9b::8.8.8.8": "NAT64", "64:ff9b:1::a00:1": "NAT64",
		"64:ff9b:1:ffff::1": "NAT64", "100::1": "discard", "2001::1": "Teredo", "2001:0:ffff::1": "Teredo", "2001:2::1": "protocol",
		"2001:10::1": "protocol", "2001:db8::1": "documentation", "2001:db8:ffff::1": "documentation", "2002:7f00:1::1": "6to4",
		"2002:808:808::1": "6to4", "3fff::1": "documentation", "5f00::1": "segment", "fc00::1": "private", "fd12:3456::1": "private",
		"fd00:ec2::254": "cloud metadata", "fe80::1": "link-local", "fe80::1%eth0": "link-local", "febf::1": "link-local",
		"fec0::1": "site-local", "feff::1": "site-local", "ff02::1": "multicast", "ff0e::1": "multicast",
	}
	served = []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.255.255", "198.17.255.255", "198.20.0.0",
		"203.0.114.0", "223.255.255.255", "2001:4860:4860::8888", "2606:4700::1111", "2a00::1", "2001:200::1", "2003::1",
	}
)

func TestOnlyPublicAddressesAreServed(t *testing.T) {
	g := guard{publicOnly: true}
	for text, kind := range refused {
		err := g.check(netip.MustParseAddr(text))
		require.ErrorContains(t, err, "("+kind, text)
		require.ErrorContains(t, err, "add it to allow_networks of the subscriber's target if it is meant")
	}
	for _, text := range served {
		require.NoError(t, g.check(netip.MustParseAddr(text)), text)
	}
}

// registries are the IANA Special-Purpose Address Registries for IPv4 and IPv6
// (https://www.iana.org/assignments/iana-ipv4-special-registry, -ipv6-), without ::ffff:0:0/96, whose
// addresses are judged as the IPv4 addresses that they are; and what else is nobody's host by RFC.
var registries = map[string]string{
	"0.0.0.0/8": "", "0.0.0.0/32": "unspecified", "10.0.0.0/8": "private", "100.64.0.0/10": "shared", "127.0.0.0/8": "loopback",
	"169.254.0.0/16": "link-local", "172.16.0.0/12": "private", "192.0.0.0/24": "protocol", "192.0.0.0/29": "protocol",
	"192.0.0.8/32": "protocol", "192.0.0.9/32": "protocol", "192.0.0.10/32": "protocol", "192.0.0.170/31": "protocol",
	"192.0.2.0/24": "documentation", "192.31.196.0/24": "AS112", "192.52.193.0/24": "multicast", "192.88.99.0/24": "6to4",
	"192.88.99.2/32": "6to4", "192.168.0.0/16": "private", "192.175.48.0/24": "AS112", "198.18.0.0/15": "benchmarking",
	"198.51.100.0/24": "documentation", "203.0.113.0/24": "documentation", "240.0.0.0/4": "", "255.255.255.255/32": "broadcast",
	"224.0.0.0/4": "multicast", // RFC 5771

	"::1/128": "loopback", "::/128": "unspecified", "64:ff9b::/96": "NAT64", "64:ff9b:1::/48": "NAT64", "100::/64": "discard",
	"100:0:0:1::/64": "dummy", "2001::/23": "", "2001::/32": "Teredo", "2001:1::1/128": "protocol", "2001:1::2/128": "protocol",
	"2001:1::3/128": "protocol", "2001:2::/48": "protocol", "2001:3::/32": "protocol", "2001:4:112::/48": "protocol",
	"2001:10::/28": "protocol", "2001:20::/28": "protocol", "2001:30::/28": "protocol", "2001:db8::/32": "documentation",
	"2002::/16": "6to4", "2620:4f:8000::/48": "AS112", "3fff::/20": "documentation", "5f00::/16": "segment", "fc00::/7": "private",
	"fe80::/10": "link-local",
	"::/96":     "", "::ffff:0:0:0/96": "IPv4-translated", "fec0::/10": "site-local", "ff00::/8": "multicast", // RFC 4291, 2765, 3879
}

func TestNoSpecialPurposeAddressIsServedAndTheirNeighboursAre(t *testing.T) {
	g := guard{publicOnly: true}
	special := func(addr netip.Addr) bool {
		for text := range registries {
			if netip.MustParsePrefix(text).Contains(addr) {
				return true
			}
		}
		return addr.Is4In6()
	}
	neighbours := 0
	for text, kind := range registries {
		prefix := netip.MustParsePrefix(text)
		first, last := prefix.Addr(), lastOf(prefix)
		for _, addr := range []netip.Addr{first, last} {
			require.ErrorContains(t, g.check(addr), "("+kind, "%s of %s", addr, text)
		}
		for _, addr := range []netip.Addr{first.Prev(), last.Next()} {
			if addr.IsValid() && !special(addr) {
				neighbours++
				require.NoError(t, g.check(addr), "%s is outside of %s", addr, text)
			}
		}
	}
	assert.Greater(t, neighbours, 50)
}

// lastOf is the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	raw := p.Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(raw); bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(raw)
	return last
}

func TestWithoutTheRestrictionOnlyMetadataServicesAreOutOfReach(t *testing.T) {
	for text := range refused {
		addr := netip.MustParseAddr(text)
		inner, embeds := embeddedIPv4(addr)
		ip := addr.Unmap()
		if embeds {
			ip = inner
		}
		bad := ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified()
		assert.Equal(t, bad, guard{}.check(addr) != nil, text)
	}
	require.Error(t, guard{}.check(netip.MustParseAddr("64:ff9b::169.254.169.254")))
}

func TestAllowedNetworksAreExceptions(t *testing.T) {
	for _, c := range []struct{ allow, addr, want string }{
		{"10.0.0.0/8", "10.1.2.3", ""},
		{"10.0.0.0/8", "::ffff:10.1.2.3", ""},
		{"::ffff:10.0.0.0/104", "10.1.2.3", ""},
		{"10.0.0.0/8", "192.168.0.1", "192.168.0.1"},
		{"10.0.0.0/8", "64:ff9b::10.1.2.3", "64:ff9b::a01:203"},
		{"64:ff9b::/96", "64:ff9b::8.8.8.8", ""},
		{"64:ff9b::/96", "64:ff9b::10.1.2.3", "10.1.2.3"},
		{"64:ff9b::/96", "64:ff9b::169.254.169.254", "169.254.169.254"},
		{"64:ff9b::/96 10.0.0.0/8", "64:ff9b::10.1.2.3", ""},
		{"2002::/16", "2002:7f00:1::1", "127.0.0.1"},
		{"10.1.2.3", "10.1.2.3", ""},
		{"10.1.2.3", "10.1.2.4", "10.1.2.4"},
		{"::ffff:10.1.2.3", "10.1.2.3", ""},
		{"fd00::7", "fd00::7", ""},
		{"fd00::7", "fd00::8", "fd00::8"},
		{"127.0.0.1", "127.0.0.1", ""},
		{"127.0.0.1", "127.0.0.2", "127.0.0.2"},
		{"::1", "::1", ""},
		{"fd00::/8", "fd00::1", ""},
		{"fe80::/10", "fe80::1%eth0", ""},
		{"169.254.169.254/32", "169.254.169.254", ""},
	} {
		allowed, err := parseNetworks(strings.Fields(c.allow))
		require.NoError(t, err)
		err = guard{publicOnly: true, allowed: allowed}.check(netip.MustParseAddr(c.addr))
		if c.want == "" {
			assert.NoError(t, err, "%s allows %s", c.allow, c.addr)
		} else {
			assert.ErrorContains(t, err, c.want+" is not public", "%s does not allow %s", c.allow, c.addr)
		}
	}
}

func TestNetworksThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"": "is no network", "10.0.0.0/33": "is no network", "crm": "is no network", "fe80::1%eth0": "is no network",
		"10.0.0.0/08": "is no network", "10.1.0.0/8": `write "10.0.0.0/8"`, "::ffff:0:0/90": "", "::/0": "-", "0.0.0.0/0": "-",
	} {
		_, err := parseNetworks([]string{text})
		if want == "-" {
			assert.NoError(t, err, text)
		} else {
			assert.ErrorContains(t, err, want, text)
		}
	}
}

// counted is a subscriber on an address of this machine that counts its connections.
type counted struct {
	*httptest.Server
	connections atomic.Int64
	port        string
}

func newCounted(t *testing.T, address string) *counted {
	t.Helper()
	return newCountedOn(t, address, "0")
}

func newCountedOn(t *testing.T, address, port string) *counted {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(address, port))
	if err != nil {
		t.Skipf("this machine has no %s: %v", address, err)
	}
	c := &counted{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))}
	_ = c.Server.Listener.Close() // another takes its place
	c.Server.Listener = listener
	c.Server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			c.connections.Add(1)
		}
	}
	c.Server.Start()
	t.Cleanup(c.Server.Close)
	_, c.port, err = net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	return c
}

func TestNoSpellingOfLoopbackIsConnectedTo(t *testing.T) {
	for address, hosts := range map[string][]string{
		"127.0.0.1": {
			"127.0.0.1", "localhost", "LOCALHOST", "localhost.", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]",
			"127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F000001", "0x7f.0.0.1", "0x7f.1", "0177.0.0.1", "017700000001",
			"127.0.0.0x1", "127.0.0.1.", "127.000.000.001", "１２７.0.0.1", "①②⑦.0.0.1", "0", "0.0.0.0", "[::]", "[::127.0.0.1]",
		},
		"::1": {"[::1]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]", "localhost"},
	} {
		far := newCounted(t, address)
		for _, host := range hosts {
			err := handOver(t, mesh.Target{URL: "http://" + host + ":" + far.port + "/"}, Options{PublicOnly: true})
			require.Error(t, err, host)
		}
		// Connections are taken in their order: if the one that is meant is the first, none came before.
		require.NoError(t, handOver(t, mesh.Target{URL: far.URL, AllowNetworks: []string{address}}, Options{PublicOnly: true}))
		assert.Equal(t, int64(1), far.connections.Load())
	}
}

// handOver hands an event to a target, which may be refused before.
func handOver(t *testing.T, target mesh.Target, o Options) error {
	t.Helper()
	target.Timeout = mesh.Duration(5 * time.Second)
	opened, err := New(target, "crm", o)
	if err != nil {
		return err
	}
	defer func() { assert.NoError(t, opened.Close()) }()
	return opened.Handle(t.Context(), targettest.Event(1))
}

func TestARefusedAddressMakesTheSubscriberWait(t *testing.T) {
	err := handOver(t, mesh.Target{URL: "http://localhost:1/"}, Options{PublicOnly: true})
	assert.Equal(t, workers.Wait, targettest.FateOf(err), "it is wrong for every event, until streams.json or DNS says something else")
	assert.Zero(t, targettest.WaitOf(err), "with the backoff")
	assert.ErrorContains(t, err, "(loopback): events don't go there; add it to allow_networks of the subscriber's target if it is meant")
}

func TestTokensAreNotFetchedFromInternalHosts(t *testing.T) {
	far := newCounted(t, "127.0.0.1")
	auth := &mesh.TargetAuth{Method: mesh.AuthOAuth2, TokenURL: far.URL, ClientID: "id", ClientSecret: "${SECRET}"}
	err := handOver(t, mesh.Target{URL: "https://crm.invalid", Auth: auth}, Options{PublicOnly: true, LookupEnv: env("SECRET", "s3cret")})
	assert.Equal(t, workers.Wait, targettest.FateOf(err))
	assert.ErrorContains(t, err, "events don't go there")
	assert.Zero(t, far.connections.Load())
}

// A name that meant a host that is allowed, and then means another, as in DNS rebinding: what was checked before says nothing.
func TestANameThatComesToMeanAnotherHostIsCheckedAgain(t *testing.T) {
	near := newCounted(t, "127.0.0.1")
	near.Config.SetKeepAlivesEnabled(false) // each attempt dials
	inside := newCountedOn(t, "127.0.0.2", near.port)
	meant := resolving(t)
	options := Options{PublicOnly: true}
	crm := mesh.Target{URL: "http://crm.example.com:" + near.port, AllowNetworks: []string{"127.0.0.1/32"}}
	target := openTarget(t, crm, options)

	meant.Store([]byte{127, 0, 0, 1})
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	meant.Store([]byte{127, 0, 0, 2})
	for i := range 2 {
		err := target.Handle(t.Context(), targettest.Event(uint64(2+i)))
		require.ErrorContains(t, err, "127.0.0.2 is not public (loopback): events don't go there")
		assert.Equal(t, workers.Wait, targettest.FateOf(err))
	}
	meant.Store([]byte{127, 0, 0, 1})
	require.NoError(t, target.Handle(t.Context(), targettest.Event(2)), "it goes on when the name is right again")
	assert.Equal(t, int64(2), near.connections.Load())

	// Connections are taken in their order: if the one that is meant is the first, none came before.
	meant.Store([]byte{127, 0, 0, 2})
	crm.AllowNetworks = []string{"127.0.0.2/32"}
	require.NoError(t, handOver(t, crm, options))
	assert.Equal(t, int64(1), inside.connections.Load())
}

// resolving is the IPv4 address that every name stands for, for as long as the test runs. The real resolver asks for it, a DNS
// server on this machine.
func resolving(t *testing.T) *atomic.Value {
	t.Helper()
	meant := new(atomic.Value)
	serveNames(t, "127.0.0.1:0", func(query []byte) ([]byte, error) { return resolved(query, meant.Load().([]byte)) })
	return meant
}

// resolved answers a query: a name has one IPv4 address and nothing else.
func resolved(query, address []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil {
		return nil, err
	}
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	for _, q := range m.Questions {
		if q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 0}, Body: &dnsmessage.AResource{A: [4]byte(address)},
			})
		}
	}
	return m.Pack()
}

func TestControlRefusesWhatItCannotRead(t *testing.T) {
	require.Error(t, guard{}.control(context.Background(), "tcp", "nonsense", nil))
}

func FuzzNetworks(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "::/0", "::ffff:10.0.0.0/104", "10.1.2.3", "fe80::%1/10", "", "1/2/3"} {
		f.Add(s, "10.1.2.3")
	}
	f.Fuzz(func(t *testing.T, network, addr string) {
		prefix, err := parseNetwork(network)
		if err != nil {
			return
		}
		if prefix != prefix.Masked() || prefix.Addr().Is4In6() {
			t.Fatalf("%q is read as %s", network, prefix)
		}
		ip, err := netip.ParseAddr(addr)
		g := guard{publicOnly: true, allowed: []netip.Prefix{prefix}}
		if err == nil && prefix.Contains(ip.Unmap()) && !g.permits(ip.Unmap()) {
			t.Fatalf("%s is not allowed by %q", addr, network)
		}
	})
}

// FuzzHosts looks for hosts that some resolver takes for an IPv4 address although they are none to us.
func FuzzHosts(f *testing.F) {
	for _, s := range []string{"127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "crm.example.com", "::1", "１２７.1", "0x", "1.", "a.0x1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		u, err := parseURL((&url.URL{Scheme: "http", Host: host}).String())
		if err != nil {
			return
		}
		if _, err := netip.ParseAddr(u.Hostname()); err == nil {
			return
		}
		if isOldIPv4(u.Hostname()) {
			t.Fatalf("%q is an address to inet_aton", host)
		}
	})
}

// isOldIPv4 reports whether a text is one to four numbers as inet_aton(3) reads them.
func isOldIPv4(s string) bool {
	parts := strings.Split(s, ".")
	return len(parts) <= 4 && !slices.ContainsFunc(parts, func(part string) bool {
		digits, set := part, "0123456789"
		if len(part) > 2 && strings.EqualFold(part[:2], "0x") {
			digits, set = strings.ToLower(part[2:]), "0123456789abcdef"
		}
		return digits == "" || strings.Trim(digits, set) != ""
	})
}
