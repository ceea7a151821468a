package access

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

type addressKey struct{}

func withAddress(ctx context.Context, address netip.Addr) context.Context {
	return context.WithValue(ctx, addressKey{}, address)
}

// Address is where a request that Handler let in comes from; "" if nobody said so. It is the peer's, unless that is one of trusted_proxies: then
// it is what the proxy put last into X-Forwarded-For. From anybody else that header is not believed, for whoever wants to can write it.
func Address(r *http.Request) string {
	if address := addressOf(r); address.IsValid() {
		return address.String()
	}
	return ""
}

func addressOf(r *http.Request) netip.Addr {
	address, _ := r.Context().Value(addressKey{}).(netip.Addr)
	return address
}

func (s *settings) trusted() []netip.Prefix {
	if s == nil {
		return nil
	}
	return s.proxies
}

// clientAddress is the last hop that is no trusted proxy. Each proxy appends whom it was asked by, so the list is read from its end, and what
// stands before a hop that is not trusted could be anybody's invention.
func clientAddress(r *http.Request, proxies []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(client) }) {
			break
		}
		before, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		client = before.Unmap().WithZone("")
	}
	return client
}
