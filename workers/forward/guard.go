package forward

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
)

// guard says which addresses events may go to. It looks at what a name resolved to, at each dial,
// so that a name whose address changes after a check gains nothing.
//
// Link-local addresses are where clouds keep their metadata services, whose answers hold
// credentials: no subscriber lives there. The other addresses that are not public are refused where
// publicOnly is set; without it internal subscribers are fine.
type guard struct {
	publicOnly bool
	allowed    []netip.Prefix // permitted whatever they are
}

// network is a range of addresses that is no place for an event.
type network struct {
	kind   string
	prefix netip.Prefix
}

// neverNetworks are refused unless they are allowed, publicOnly or not.
var neverNetworks = []network{
	{"unspecified", netip.MustParsePrefix("0.0.0.0/32")},                    // RFC 1122
	{"link-local, cloud metadata", netip.MustParsePrefix("169.254.0.0/16")}, // RFC 3927
	{"multicast", netip.MustParsePrefix("224.0.0.0/4")},                     // RFC 5771
	{"unspecified", netip.MustParsePrefix("::/128")},                        // RFC 4291
	{"link-local", netip.MustParsePrefix("fe80::/10")},                      // RFC 4291
	{"multicast", netip.MustParsePrefix("ff00::/8")},                        // RFC 4291
}

// internalNetworks are what is not public besides: all of the IANA IPv4 and IPv6 Special-Purpose Address
// Registries (RFC 6890, 8190), those that are called globally reachable included, for they are anycast
// services of the network and no place for events; and the clouds' documentation of their metadata
// services. What lies within another line stands before it.
var internalNetworks = []network{
	{"this network", netip.MustParsePrefix("0.0.0.0/8")},            // RFC 791
	{"private", netip.MustParsePrefix("10.0.0.0/8")},                // RFC 1918
	{"cloud metadata", netip.MustParsePrefix("100.100.100.200/32")}, // Alibaba Cloud
	{"shared by a carrier", netip.MustParsePrefix("100.64.0.0/10")}, // RFC 6598
	{"loopback", netip.MustParsePrefix("127.0.0.0/8")},              // RFC 1122
	{"cloud metadata", netip.MustParsePrefix("168.63.129.16/32")},   // Azure
	{"private", netip.MustParsePrefix("172.16.0.0/12")},             // RFC 1918
	{"protocol assignments", netip.MustParsePrefix("192.0.0.0/24")}, // RFC 6890; 7335, 7600, 7723, 8155, 8880 within
	{"documentation", netip.MustParsePrefix("192.0.2.0/24")},        // RFC 5737
	{"AS112", netip.MustParsePrefix("192.31.196.0/24")},             // RFC 7535
	{"multicast tunnels", netip.MustParsePrefix("192.52.193.0/24")}, // RFC 7450
	{"6to4 relay", netip.MustParsePrefix("192.88.99.0/24")},         // RFC 7526; 6751 within
	{"private", netip.MustParsePrefix("192.168.0.0/16")},            // RFC 1918
	{"AS112", netip.MustParsePrefix("192.175.48.0/24")},             // RFC 7534
	{"benchmarking", netip.MustParsePrefix("198.18.0.0/15")},        // RFC 2544
	{"documentation", netip.MustParsePrefix("198.51.100.0/24")},     // RFC 5737
	{"documentation", netip.MustParsePrefix("203.0.113.0/24")},      // RFC 5737
	{"broadcast", netip.MustParsePrefix("255.255.255.255/32")},      // RFC 919, 8190
	{"reserved", netip.MustParsePrefix("240.0.0.0/4")},              // RFC 1112

	{"loopback", netip.MustParsePrefix("::1/128")},                 // RFC 4291
	{"IPv4-compatible", prefixIPv4Compatible},                      // RFC 4291, section 2.5.5.1
	{"IPv4-translated", netip.MustParsePrefix("::ffff:0:0:0/96")},  // RFC 2765
	{"NAT64", prefixNAT64},                                         // RFC 6052
	{"NAT64", prefixLocalNAT64},                                    // RFC 8215
	{"discard-only", netip.MustParsePrefix("100::/64")},            // RFC 6666
	{"dummy prefix", netip.MustParsePrefix("100:0:0:1::/64")},      // RFC 9780
	{"Teredo", netip.MustParsePrefix("2001::/32")},                 // RFC 4380, 8190
	{"protocol assignments", netip.MustParsePrefix("2001::/23")},   // RFC 2928; 4843, 5180, 7343, 7450, 7535, 7723, 8155, 9374, 9665 within
	{"documentation", netip.MustParsePrefix("2001:db8::/32")},      // RFC 3849
	{"6to4", prefix6to4},                                           // RFC 3056
	{"AS112", netip.MustParsePrefix("2620:4f:8000::/48")},          // RFC 7534
	{"documentation", netip.MustParsePrefix("3fff::/20")},          // RFC 9637
	{"segment routing", netip.MustParsePrefix("5f00::/16")},        // RFC 9602
	{"cloud metadata", netip.MustParsePrefix("fd00:ec2::254/128")}, // AWS
	{"private", netip.MustParsePrefix("fc00::/7")},                 // RFC 4193, 8190
	{"site-local", netip.MustParsePrefix("fec0::/10")},             // RFC 3879
}

// The networks whose addresses hold an IPv4 address, which is where packets end.
var (
	prefixIPv4Compatible = netip.MustParsePrefix("::/96")
	prefixNAT64          = netip.MustParsePrefix("64:ff9b::/96")
	prefixLocalNAT64     = netip.MustParsePrefix("64:ff9b:1::/48")
	prefix6to4           = netip.MustParsePrefix("2002::/16")
)

// refusedAddress is the error for an address that events don't go to.
type refusedAddress struct {
	addr netip.Addr
	kind string
}

func (e *refusedAddress) Error() string {
	return fmt.Sprintf("%s is not public (%s): events don't go there; "+
		"add it to allow_networks of the subscriber's target if it is meant", e.addr, e.kind)
}

// control is net.Dialer.ControlContext: address is what was resolved and is about to be connected.
func (g guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the address %q can't be checked: %w", address, err)
	}
	return g.check(addr.Addr())
}

// checkHost checks a host that is an address; a name is checked when it has been resolved.
func (g guard) checkHost(host string) error {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	return g.check(addr)
}

// check reports what is wrong with an address. An address that leads to an IPv4 address by
// translation, and is permitted itself, must not lead to one that is refused.
func (g guard) check(addr netip.Addr) error {
	ip := addr.Unmap().WithZone("")
	permitted := g.permits(ip)
	if inner, ok := embeddedIPv4(ip); ok && (permitted || !g.publicOnly) {
		return g.check(inner)
	}
	if permitted {
		return nil
	}
	if kind := kindOf(ip, neverNetworks); kind != "" {
		return &refusedAddress{ip, kind}
	}
	if !g.publicOnly {
		return nil
	}
	if kind := kindOf(ip, internalNetworks); kind != "" {
		return &refusedAddress{ip, kind}
	}
	if addr.Is4In6() {
		return &refusedAddress{addr, "IPv4-mapped"}
	}
	return nil
}

func (g guard) permits(ip netip.Addr) bool {
	for _, prefix := range g.allowed {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// kindOf is "" for an address in none of the networks.
func kindOf(ip netip.Addr, networks []network) string {
	for _, n := range networks {
		if n.prefix.Contains(ip) {
			return n.kind
		}
	}
	return ""
}

// embeddedIPv4 is the IPv4 address that an IPv6 address stands for: in its last 32 bits, or after
// the prefix for 6to4 (RFC 3056).
func embeddedIPv4(ip netip.Addr) (netip.Addr, bool) {
	if !ip.Is6() || ip.IsUnspecified() || ip.IsLoopback() {
		return netip.Addr{}, false
	}
	raw := ip.As16()
	switch {
	case prefix6to4.Contains(ip):
		return netip.AddrFrom4([4]byte(raw[2:6])), true
	case prefixNAT64.Contains(ip), prefixLocalNAT64.Contains(ip), prefixIPv4Compatible.Contains(ip):
		return netip.AddrFrom4([4]byte(raw[12:16])), true
	}
	return netip.Addr{}, false
}

// parseNetworks reads allow_networks: prefixes, or single addresses.
func parseNetworks(texts []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for i, text := range texts {
		prefix, err := parseNetwork(text)
		if err != nil {
			return nil, fmt.Errorf("allow_networks[%d]: %w", i, err)
		}
		networks = append(networks, prefix)
	}
	return networks, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf(`%.60q is no network; write such as "10.0.0.0/8"`, text)
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has bits after its prefix; write %q", text, prefix.Masked())
	}
	if addr := prefix.Addr(); addr.Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("%q mixes IPv4 and IPv6; write the IPv4 network", text)
		}
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix, nil
}

// looksLikeAddress reports whether a host that is no IP address is one to some programs, such as
// "2130706433", "0x7f.1" or "127.0.0.1.": its last label is a number, as no name's is
// (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func looksLikeAddress(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if digits, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// isLocalhost reports whether a name is this machine's by RFC 6761, section 6.3.
func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
