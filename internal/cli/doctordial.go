package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/postgres"
)

// serverTarget looks whether the servers of a target that is neither HTTP nor a file take connections. Of several one is enough,
// as it is for the target. Credentials are not tried, nor what is behind them: a topic, an exchange, a database.
func serverTarget(ctx context.Context, check string, t mesh.Target, u *url.URL) finding {
	addresses, err := serverAddresses(t, u)
	if err != nil {
		return broken(check, fmt.Errorf("%s: %w", t.Display(), err), "correct the target's url in streams.json")
	}
	if len(addresses) == 0 {
		return good(check, "%s is not tried: only its own client with its credentials would tell", t.Display())
	}
	if err := knockAny(ctx, addresses); err != nil {
		return broken(check, fmt.Errorf("%s: %w", t.Display(), err), reachRemedy)
	}
	return good(check, "%s takes connections; credentials are not tried", t.Display())
}

// serverAddresses are those that a target connects to, with the ports that its client takes by default; none where the URL
// does not tell.
func serverAddresses(t mesh.Target, u *url.URL) ([]string, error) {
	query := u.Query()
	switch u.Scheme {
	case "kafka":
		return eachWithPort(u.Host+","+query.Get("brokers"), "9092"), nil
	case "rabbit":
		encrypted := t.TLS != nil
		if wanted, err := strconv.ParseBool(query.Get("tls")); err == nil {
			encrypted = wanted
		}
		if encrypted {
			return eachWithPort(u.Host, "5671"), nil
		}
		return eachWithPort(u.Host, "5672"), nil
	case "postgres", "postgresql":
		return postgres.Addresses(t)
	}
	return nil, nil
}

// eachWithPort splits a list of hosts.
func eachWithPort(hosts, port string) []string {
	var addresses []string
	for host := range strings.SplitSeq(hosts, ",") {
		host = strings.TrimSpace(host)
		if host == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		addresses = append(addresses, host)
	}
	return addresses
}

// maxKnocked bounds how many servers of a target are tried.
const maxKnocked = 16

// knockAny tries all at once; one that answers is enough. The error is that of all.
func knockAny(ctx context.Context, addresses []string) error {
	addresses = addresses[:min(len(addresses), maxKnocked)]
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan error, len(addresses))
	for _, address := range addresses {
		go func() { answers <- knock(ctx, address) }()
	}
	var errs []error
	for range addresses {
		err := <-answers
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
