package notification

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/genmesh/genmesh/genesys/cloud"
)

const (
	// maxSkippedBytes is how much of a frame is read past; a larger one ends the socket.
	maxSkippedBytes = 64 << 20
	pingTimeout     = 5 * time.Second
	// closeTimeout is how long the service may take to say goodbye.
	closeTimeout = 2 * time.Second
	// looks is how often in the time of silence is looked whether something arrived.
	looks = 6
)

var errSilent = errors.New("nothing arrives any more, not even a heartbeat")

// socket is one connection to the notification service.
type socket struct {
	bridge  *Bridge
	channel cloud.Channel
	conn    *websocket.Conn
	opened  time.Time
	heard   atomic.Int64  // when something arrived last, in Unix nanoseconds
	retired chan struct{} // closed when another socket has followed
	err     error         // why it ended; only to be read then
}

func newSocket(b *Bridge, channel cloud.Channel, conn *websocket.Conn) *socket {
	conn.SetReadLimit(maxSkippedBytes)
	s := &socket{bridge: b, channel: channel, conn: conn, opened: time.Now(), retired: make(chan struct{})}
	s.heard.Store(s.opened.UnixNano())
	return s
}

// run takes in what arrives until the socket ends, by itself or because ctx has ended, it is retired or
// silent. It calls notice for each announcement that the service will end the socket.
func (s *socket) run(ctx context.Context, notice func()) {
	s.bridge.metrics.socket(1)
	s.bridge.sockets.Add(1)
	defer s.bridge.metrics.socket(-1)
	defer s.bridge.sockets.Add(-1)
	defer s.conn.CloseNow()
	reading, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { s.watch(ctx, ended, cut) })
	err := s.read(reading, notice)
	close(ended)
	watching.Wait()
	s.err = err
	if cause := context.Cause(reading); cause != nil {
		s.err = cause
	}
}

// read takes frames in until the socket ends.
func (s *socket) read(ctx context.Context, notice func()) error {
	for {
		frame, err := s.next(ctx)
		if err != nil {
			return err
		}
		s.heard.Store(time.Now().UnixNano())
		if len(frame) > s.bridge.options.MaxFrameBytes {
			s.bridge.skip()
			continue
		}
		switch kind, about := classify(frame); kind {
		case alive:
		case closing:
			notice()
		case event:
			s.bridge.receive(about, frame)
		}
	}
}

// next is the next frame, or only its beginning if it is too large.
func (s *socket) next(ctx context.Context) ([]byte, error) {
	_, reader, err := s.conn.Reader(ctx)
	if err != nil {
		return nil, err
	}
	frame, err := io.ReadAll(io.LimitReader(reader, int64(s.bridge.options.MaxFrameBytes)+1))
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, reader)
	return frame, err
}

// watch ends the socket when it has to.
func (s *socket) watch(ctx context.Context, ended <-chan struct{}, cut context.CancelCauseFunc) {
	silence := s.bridge.options.Silence
	look := time.NewTicker(max(silence/looks, time.Millisecond))
	defer look.Stop()
	retired, over := s.retired, (<-chan time.Time)(nil)
	for {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			s.close(cut)
			return
		case <-retired:
			retired, over = nil, time.After(s.bridge.options.Overlap)
		case <-over:
			s.close(cut)
			return
		case <-look.C:
			quiet := time.Since(s.lastHeard())
			if quiet >= silence {
				cut(errSilent)
				return
			}
			if quiet >= silence/2 {
				s.ping(ctx)
			}
		}
	}
}

// ping asks for a sign of life. If it fails, the reader fails too.
func (s *socket) ping(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_ = s.conn.Write(ctx, websocket.MessageText, []byte(ping))
}

// close says goodbye, and takes in what still arrives before the answer to that.
func (s *socket) close(cut context.CancelCauseFunc) {
	timer := time.AfterFunc(closeTimeout, func() { cut(nil) })
	defer timer.Stop()
	_ = s.conn.Close(websocket.StatusNormalClosure, "") // it ends in any case
}

func (s *socket) lastHeard() time.Time { return time.Unix(0, s.heard.Load()) }

// lost is since when nothing came through the socket that has ended.
func (s *socket) lost(now time.Time) time.Time {
	if errors.Is(s.err, errSilent) {
		return s.lastHeard()
	}
	return now
}
