package notification_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/genesys/notification"
)

// streaming is a notification service whose sockets a test plays by itself, over TLS and with HTTP/2 as
// the real one may have it.
type streaming struct {
	*httptest.Server
	channels, handshakes, pings atomic.Int64
	answer                      bool // pings
	play                        func(ctx context.Context, conn *websocket.Conn, handshake int64)
	refuse                      func(handshake int64) (status int) // nil, or 0, for none
	lifetime                    time.Duration
}

func startStreaming(t *testing.T, play func(ctx context.Context, conn *websocket.Conn, handshake int64)) *streaming {
	s := &streaming{play: play, lifetime: 24 * time.Hour}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.accept))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *streaming) accept(w http.ResponseWriter, r *http.Request) {
	n := s.handshakes.Add(1)
	if s.refuse != nil && s.refuse(n) != 0 {
		w.WriteHeader(s.refuse(n))
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		s.read(ctx, conn)
	}()
	s.play(ctx, conn, n)
	_ = conn.CloseNow()
	<-ctx.Done()
}

// read takes pings, and answers them if it shall.
func (s *streaming) read(ctx context.Context, conn *websocket.Conn) {
	for {
		_, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if string(message) == `{"message":"ping"}` {
			s.pings.Add(1)
		}
		if s.answer {
			_ = conn.Write(ctx, websocket.MessageText, []byte(`{"topicName":"channel.metadata","eventBody":{"message":"pong"}}`))
		}
	}
}

func (s *streaming) CreateChannel(context.Context) (cloud.Channel, error) {
	s.channels.Add(1)
	return cloud.Channel{ID: "secret-id", ConnectURI: strings.Replace(s.URL, "https", "wss", 1) + "/channels/secret-id", Expires: time.Now().Add(s.lifetime)}, nil
}

func (s *streaming) SetTopics(_ context.Context, _ string, topics []string) ([]string, error) {
	return topics, nil
}

// listen starts a bridge to the service.
func (s *streaming) listen(t *testing.T, change func(*notification.Options)) (*source, *journal) {
	t.Helper()
	got, log := &source{seen: map[string]bool{}}, logrus.New()
	text := new(journal)
	log.SetOutput(text)
	o := notification.Options{
		Source: "desk", Channels: s, Topics: []string{"v2.users.a.conversations"}, Forward: got.take, Logger: log, HTTPClient: s.Client(),
		Silence: 200 * time.Millisecond, RetryBase: time.Millisecond, RetryMax: 20 * time.Millisecond, Overlap: time.Millisecond,
	}
	change(&o)
	bridge, err := notification.New(o)
	require.NoError(t, err)
	run(t, bridge.Run)
	return got, text
}

func TestASocketThatFallsSilentIsReplaced(t *testing.T) {
	s := startStreaming(t, func(ctx context.Context, _ *websocket.Conn, _ int64) { <-ctx.Done() })
	_, log := s.listen(t, func(*notification.Options) {})
	require.Eventually(t, func() bool { return s.handshakes.Load() >= 3 }, patience, time.Millisecond)
	assert.Contains(t, log.String(), "not even a heartbeat")
	assert.Equal(t, int64(1), s.channels.Load(), "the channel is still good")
}

func TestAPingKeepsAQuietSocket(t *testing.T) {
	t.Parallel() // it waits for most of the time
	s := startStreaming(t, func(ctx context.Context, _ *websocket.Conn, _ int64) { <-ctx.Done() })
	s.answer = true
	got, log := s.listen(t, func(o *notification.Options) { o.Silence = 3 * time.Second })
	require.Eventually(t, func() bool { return s.pings.Load() >= 3 }, patience, time.Millisecond)
	assert.Equal(t, int64(1), s.handshakes.Load(), log.String())
	assert.Zero(t, got.attempts(), "what answers a ping is not forwarded")
}

func TestAChannelThatIsRefusedIsFollowedByAnother(t *testing.T) {
	for status, channels := range map[int]int64{401: 2, 403: 2, 404: 2, 410: 2, 429: 1, 500: 1, 503: 1} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			cut := make(chan struct{})
			s := startStreaming(t, func(ctx context.Context, _ *websocket.Conn, n int64) {
				if n == 1 {
					<-cut
				} else {
					<-ctx.Done()
				}
			})
			s.refuse = func(n int64) int {
				if n == 2 {
					return status
				}
				return 0
			}
			_, log := s.listen(t, func(o *notification.Options) { o.Silence = time.Hour })
			require.Eventually(t, func() bool { return s.handshakes.Load() == 1 }, patience, time.Millisecond)
			close(cut)
			require.Eventually(t, func() bool { return strings.Count(log.String(), "listening to") == 2 }, patience, time.Millisecond, log.String())
			assert.Equal(t, channels, s.channels.Load())
			assert.NotContains(t, log.String(), "secret-id")
		})
	}
}

func TestASocketThatEndsAtOnceIsNotTriedWithoutPause(t *testing.T) {
	s := startStreaming(t, func(_ context.Context, conn *websocket.Conn, _ int64) { _ = conn.Close(websocket.StatusGoingAway, "") })
	s.listen(t, func(o *notification.Options) { o.RetryBase, o.RetryMax = 100*time.Millisecond, time.Second })
	assert.Never(t, func() bool { return s.handshakes.Load() > 8 }, time.Second, 20*time.Millisecond)
}

// TestAServiceThatEndsEachSocketIsNotAskedWithoutPause: it announces the end of each as it begins.
func TestAServiceThatEndsEachSocketIsNotAskedWithoutPause(t *testing.T) {
	s := startStreaming(t, func(ctx context.Context, conn *websocket.Conn, _ int64) {
		_ = conn.Write(ctx, websocket.MessageText, []byte(`{"topicName":"v2.system.socket_closing","eventBody":{"message":"soon"}}`))
		<-ctx.Done()
	})
	s.listen(t, func(o *notification.Options) {
		o.Silence, o.RetryBase, o.RetryMax = time.Minute, 100*time.Millisecond, time.Second
	})
	assert.Never(t, func() bool { return s.channels.Load() > 8 }, time.Second, 20*time.Millisecond)
}

func TestEndlessFramesEndTheSocket(t *testing.T) {
	s := startStreaming(t, func(ctx context.Context, conn *websocket.Conn, n int64) {
		if n > 1 {
			_ = conn.Write(ctx, websocket.MessageText, []byte(`{"topicName":"v2.users.a.conversations","eventBody":{"id":"c","participants":[{"attributes":{"sequence":"1"}}]}}`))
			<-ctx.Done()
			return
		}
		w, err := conn.Writer(ctx, websocket.MessageText)
		for chunk := make([]byte, 1<<20); err == nil; {
			_, err = w.Write(chunk)
		}
	})
	got, log := s.listen(t, func(o *notification.Options) { o.Silence = time.Minute })
	require.Eventually(t, func() bool { return got.stored() == 1 }, patience, time.Millisecond, log.String())
}
