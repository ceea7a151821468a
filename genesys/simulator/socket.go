package simulator

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	socketBuffer = 4096 // frames; a socket that is further behind is cut off
	writeTimeout = 10 * time.Second
)

// socket is one WebSocket of the notification service.
type socket struct {
	conn *websocket.Conn
	out  chan []byte
	ctx  context.Context // ends with the socket
	cut  context.CancelFunc
	over chan websocket.StatusCode // asks for an orderly end
}

func newSocket(conn *websocket.Conn) *socket {
	ctx, cut := context.WithCancel(context.Background())
	return &socket{conn: conn, out: make(chan []byte, socketBuffer), ctx: ctx, cut: cut, over: make(chan websocket.StatusCode, 1)}
}

// send hands a frame to the writer. A socket that does not keep up is cut off.
func (s *socket) send(frame []byte) bool {
	select {
	case s.out <- frame:
		return true
	default:
		s.drop()
		return false
	}
}

func (s *socket) drop() { s.cut() }

func (s *socket) end(code websocket.StatusCode) {
	select {
	case s.over <- code:
	default: // it ends already
	}
}

func (s *socket) announce(after time.Duration) {
	s.send([]byte(`{"topicName":"v2.system.socket_closing","eventBody":{"message":"Your WebSocket will be closed for maintenance"}}`))
	time.AfterFunc(after, func() { s.end(websocket.StatusServiceRestart) })
}

// run writes what is to be sent, with a heartbeat now and then, until the socket or its channel ends.
func (s *socket) run(heartbeat time.Duration, expires time.Time) {
	defer s.cut()
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(s.read)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	expired := time.NewTimer(time.Until(expires))
	defer expired.Stop()
	for {
		frame := []byte(`{"topicName":"channel.metadata","eventBody":{"message":"WebSocket Heartbeat"}}`)
		select {
		case <-s.ctx.Done():
			_ = s.conn.CloseNow()
			return
		case code := <-s.over:
			s.flush()
			_ = s.conn.Close(code, "")
			return
		case <-expired.C:
			_ = s.conn.Close(websocket.StatusGoingAway, "")
			return
		case <-beat.C:
		case frame = <-s.out:
		}
		if !s.write(frame) {
			return
		}
	}
}

// flush writes what was to be sent before an orderly end.
func (s *socket) flush() {
	for {
		select {
		case frame := <-s.out:
			if !s.write(frame) {
				return
			}
		default:
			return
		}
	}
}

func (s *socket) write(frame []byte) bool {
	ctx, cancel := context.WithTimeout(s.ctx, writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, frame) == nil
}

// read answers pings, and notices that the other side is gone.
func (s *socket) read() {
	defer s.cut()
	for {
		_, message, err := s.conn.Read(s.ctx)
		if err != nil {
			return
		}
		var asked struct{ Message string }
		if json.Unmarshal(message, &asked) == nil && asked.Message == "ping" {
			s.send([]byte(`{"topicName":"channel.metadata","eventBody":{"message":"pong"}}`))
		}
	}
}
