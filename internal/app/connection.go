package app

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/genmesh/genmesh/mesh"
)

// awayInterval is how often it is said again that NATS is away.
const awayInterval = time.Minute

// reach opens the connection to NATS. Where NATS is not there yet it gives one that connects as soon as it is, so that a process that starts
// first does what one does whose NATS goes away: it is not ready, and answers so. Who is refused at the start fails.
func (a *app) reach(url string, options []nats.Option) (*nats.Conn, error) {
	nc, err := mesh.Connect("genmesh", url, a.Logger, options...)
	if a.storage != nil || !mesh.IsAway(err) {
		return nc, err
	}
	a.Logger.WithError(err).Warn("NATS is away; this process is not ready until it is there")
	return mesh.Connect("genmesh", url, a.Logger, append(slices.Clone(options),
		nats.RetryOnFailedConnect(true),
		nats.ConnectHandler(func(nc *nats.Conn) {
			a.Logger.WithField("server", nc.ConnectedUrlRedacted()).Info("connected to NATS")
		}))...)
}

// addConnection adds who tells of an outage of NATS that lasts.
func (a *app) addConnection(components []component) []component {
	if a.js == nil || a.storage != nil {
		return components
	}
	return append(components, component{"connection", func(ctx context.Context) error { return a.tellAway(ctx, awayInterval) }})
}

// tellAway says now and then that NATS is away, until ctx ends. A refusal by a server that came after this process the client tells nobody else.
func (a *app) tellAway(ctx context.Context, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for nc := a.js.Conn(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		switch err := nc.LastError(); {
		case nc.IsConnected():
		case err != nil:
			a.Logger.WithError(err).Warn("NATS is still away; trying until it is there")
		default:
			a.Logger.Warn("NATS is still away; trying until it is there")
		}
	}
}
