package mesh

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
)

// Connect opens a connection as genmesh needs it, to urls (comma-separated) or as the further options say.
//
// It reconnects for ever, also where it is refused, for a node may have the wrong list of users for a while. While it is away it
// fails at once: a 503 is better than a hidden queue of events that were never answered. A dead peer is noticed in about ten
// seconds. The caller closes the connection.
func Connect(name, urls string, log logrus.FieldLogger, more ...nats.Option) (*nats.Conn, error) {
	options := append([]nats.Option{
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // else the second refusal by a node would close it
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if err != nil && !nc.IsClosed() {
				log.WithError(err).Warn("lost the connection to NATS; reconnecting")
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.WithField("server", nc.ConnectedUrlRedacted()).Info("connected to NATS again")
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			entry := log.WithError(err)
			if sub != nil {
				entry = entry.WithField("subject", sub.Subject)
			}
			entry.Error("NATS reports an error")
		}),
	}, more...)
	nc, err := nats.Connect(urls, options...)
	var unreadable *url.Error
	if errors.As(err, &unreadable) { // it would show the address, password included
		return nil, errors.New("connect to NATS: an address is no URL; a password in it must be percent-encoded")
	}
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", hosts(urls), err)
	}
	return nc, nil
}

// IsAway reports whether Connect failed because no server answered, as before NATS is started: it may in a moment. Credentials and certificates
// that are refused, by either side, are something else.
func IsAway(err error) bool {
	var network *net.OpError
	if errors.As(err, &network) {
		return network.Op != "remote error" // so crypto/tls calls what the other side says no to
	}
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, io.EOF)
}

// hosts names the servers of a list of URLs: what comes before the @ is a password or a token.
func hosts(urls string) string {
	all := strings.Split(urls, ",")
	for i, raw := range all {
		all[i] = raw[strings.LastIndex(raw, "@")+1:]
	}
	return strings.Join(all, ",")
}

// publishTimeout bounds how long an asynchronous publish waits for its acknowledgement. The
// client has no default: without one, a publish that nobody answers would never end.
const publishTimeout = 5 * time.Second

// maxPublishesInFlight bounds the asynchronous publishes under way on one connection.
const maxPublishesInFlight = 4096

// JetStream is a JetStream context on nc with genmesh's bounds.
func JetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	js, err := jetstream.New(nc,
		jetstream.WithDefaultTimeout(publishTimeout),
		jetstream.WithPublishAsyncTimeout(publishTimeout),
		jetstream.WithPublishAsyncMaxPending(maxPublishesInFlight))
	if err != nil {
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	return js, nil
}
