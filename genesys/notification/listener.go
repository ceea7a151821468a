package notification

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/genmesh/genmesh/genesys/cloud"
)

// lasting is for how many base waits a socket must have been open to be followed by another at once.
const lasting = 10

// listener keeps a socket open. Its fields belong to the goroutine of run. Each socket has two
// goroutines, and the search for one has another; all of them end before run does.
type listener struct {
	*Bridge
	current  *socket // nil while there is none
	opening  bool    // the next socket is being looked for
	reason   string  // why
	failures int     // sockets in a row that did not last
	away     time.Time
	renew    *time.Timer

	opened, noticed, ended chan *socket
	background             sync.WaitGroup
}

func newListener(b *Bridge) *listener {
	return &listener{Bridge: b, opened: make(chan *socket), noticed: make(chan *socket), ended: make(chan *socket)}
}

// run keeps a socket open until ctx ends.
func (l *listener) run(ctx context.Context) {
	l.renew = time.NewTimer(maxLife)
	defer l.renew.Stop()
	l.open(ctx, nil, "")
	for {
		select {
		case s := <-l.opened:
			l.adopt(ctx, s)
		case s := <-l.noticed:
			if s == l.current && !l.opening {
				l.log.Info("the notification service will end the socket; the next one is opened before")
				l.judge(s, time.Now())
				l.replace(ctx, afterNotice)
			}
		case <-l.renew.C:
			l.replace(ctx, afterRenewal)
		case s := <-l.ended:
			if s == l.current {
				l.lose(ctx, s)
			}
		case <-ctx.Done():
			l.background.Wait()
			l.countGap(time.Now())
			return
		}
	}
}

// open looks for the next socket: on the given channel, or on a new one.
func (l *listener) open(ctx context.Context, channel *cloud.Channel, reason string) {
	if l.opening {
		return
	}
	l.opening, l.reason = true, reason
	failures := l.failures
	l.background.Go(func() {
		c := &connection{Bridge: l.Bridge, channel: channel, known: channel != nil}
		if s := c.open(ctx, failures); s != nil && !send(ctx, l.opened, s) {
			_ = s.conn.CloseNow() // nobody needs it any more
		}
	})
}

// replace opens the next socket while there is one. A channel has one socket, so it takes a new channel.
func (l *listener) replace(ctx context.Context, reason string) {
	if l.current != nil {
		l.open(ctx, nil, reason)
	}
}

// adopt makes a socket the one that counts.
func (l *listener) adopt(ctx context.Context, s *socket) {
	if l.current != nil {
		close(l.current.retired)
	}
	if l.reason != "" {
		l.metrics.reconnect(l.reason)
	}
	l.countGap(s.opened)
	l.current, l.opening = s, false
	l.renew.Reset(l.renewal(s.channel, s.opened))
	l.connected(s)
	l.background.Go(func() {
		s.run(ctx, func() { send(ctx, l.noticed, s) })
		send(ctx, l.ended, s)
	})
}

// lose looks for another socket after one has ended unforeseen.
func (l *listener) lose(ctx context.Context, s *socket) {
	now := time.Now()
	l.current, l.away = nil, s.lost(now)
	l.judge(s, now)
	l.log.WithError(s.err).Warn("the socket to the notification service is gone; what happens until the next one is lost")
	reason := afterLoss
	if errors.Is(s.err, errSilent) {
		reason = afterSilence
	}
	l.open(ctx, &s.channel, reason)
}

// judge counts a socket that did not last: the next one is not opened at once then, or a service that
// ends each as soon as it is open would be asked for hundreds in a second.
func (l *listener) judge(s *socket, now time.Time) {
	if l.failures++; now.Sub(s.opened) > lasting*l.backoff.base {
		l.failures = 0
	}
}

// countGap ends a gap, if there is one.
func (l *listener) countGap(now time.Time) {
	if l.away.IsZero() {
		return
	}
	lasted := max(now.Sub(l.away), 0)
	l.metrics.gap(lasted)
	l.log.WithField("lasted", lasted.Round(time.Millisecond).String()).
		Warn("there was no socket to the notification service: what happened meanwhile is lost for good")
	l.away = time.Time{}
}

// send reports whether somebody took it before ctx ended.
func send(ctx context.Context, to chan<- *socket, s *socket) bool {
	select {
	case to <- s:
		return true
	case <-ctx.Done():
		return false
	}
}
