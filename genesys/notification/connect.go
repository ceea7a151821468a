package notification

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys/cloud"
)

const (
	dialTimeout = 15 * time.Second
	// maxDials is how often a channel's address is tried before there shall be another channel.
	maxDials = 3
	// maxLife is how long a channel lives at most; see cloud.Channel.
	maxLife = 24 * time.Hour
)

// connection is a search for a socket.
type connection struct {
	*Bridge
	channel *cloud.Channel // nil if a new one shall be made
	known   bool           // the channel had a socket before
	dials   int            // of the channel
}

// refused is a handshake that the service answered with a status.
type refused struct{ status int }

func (r *refused) Error() string {
	return fmt.Sprintf("the notification service refuses the socket with status %d", r.status)
}

// isGone reports whether it is the channel that the service doesn't take.
func (r *refused) isGone() bool {
	return r.status >= 400 && r.status < 500 && r.status != http.StatusRequestTimeout && r.status != http.StatusTooManyRequests
}

// open opens a socket on the channel it has, or a new one, and tries until it succeeds. It is nil if
// ctx ends before.
func (c *connection) open(ctx context.Context, failures int) *socket {
	failing := outage{log: c.log, begins: "there is no socket to the notification service; it is tried again", ends: "the notification service is reached again"}
	for ; ; failures++ {
		if !sleep(ctx, c.backoff.wait(failures)) {
			return nil
		}
		s, err := c.attempt(ctx)
		if err == nil {
			failing.succeed()
			return s
		}
		if ctx.Err() != nil {
			return nil
		}
		c.metrics.connectFailed()
		failing.fail(err)
	}
}

func (c *connection) attempt(ctx context.Context) (*socket, error) {
	if c.channel == nil || !time.Now().Before(c.channel.Expires) {
		if err := c.makeChannel(ctx); err != nil {
			return nil, err
		}
	}
	s, err := c.dial(ctx)
	if err == nil || c.channel != nil || !c.known {
		return s, err
	}
	c.known = false // the old channel is gone, which says nothing about a new one
	return c.attempt(ctx)
}

func (c *connection) makeChannel(ctx context.Context) error {
	c.channel, c.known = nil, false
	made, err := c.options.Channels.CreateChannel(ctx)
	if err != nil {
		return err
	}
	has, err := c.options.Channels.SetTopics(ctx, made.ID, c.options.Topics)
	if err != nil {
		return err
	}
	if missing := len(c.options.Topics) - len(has); missing > 0 {
		c.log.WithField("missing", missing).Warn("the notification service does not take all topics: nothing comes of the others")
	}
	if life := time.Until(made.Expires); life <= 0 || life > maxLife {
		made.Expires = time.Now().Add(maxLife) // one of the clocks is wrong
	}
	c.channel, c.dials = &made, 0
	return nil
}

// dial opens a socket on the channel. It forgets the channel if another one is needed.
func (c *connection) dial(ctx context.Context) (*socket, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, c.channel.ConnectURI, &websocket.DialOptions{HTTPClient: c.client})
	if err == nil {
		return newSocket(c.Bridge, *c.channel, conn), nil
	}
	c.dials++
	err = withoutURL(err)
	if response != nil && response.StatusCode != http.StatusSwitchingProtocols {
		answer := &refused{response.StatusCode}
		if err = answer; answer.isGone() {
			c.dials = maxDials
		}
	}
	if c.dials >= maxDials {
		c.channel = nil
	}
	return nil, err
}

// newClient is a client for handshakes. It goes where the channel's address says and nowhere else.
func newClient(given *http.Client) *http.Client {
	client := new(http.Client)
	if given != nil {
		*client = *given
	} else {
		client.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	client.Timeout = 0
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return client
}

// renewal is when a channel is followed by another: after nine tenths of its life.
func (b *Bridge) renewal(c cloud.Channel, now time.Time) time.Duration {
	return max(c.Expires.Sub(now)*9/10, b.options.MinRenewal)
}

func (b *Bridge) connected(s *socket) {
	b.upOnce.Do(func() { close(b.up) })
	b.log.WithFields(logrus.Fields{"topics": len(b.options.Topics), "until": s.channel.Expires.UTC().Format(time.RFC3339)}).
		Info("listening to the notification service")
}
