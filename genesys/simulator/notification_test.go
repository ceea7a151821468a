package simulator_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/genesys/simulator"
)

// listen opens the socket of a channel.
func listen(t *testing.T, c cloud.Channel) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), c.ConnectURI, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// frame is what comes through a socket.
type frame struct {
	TopicName string
	EventBody struct {
		ID, Message  string
		Participants []map[string]any
	}
	Metadata struct{ CorrelationID string }
}

func next(t *testing.T, conn *websocket.Conn) (frame, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var f frame
	_, text, err := conn.Read(ctx)
	if err != nil {
		return f, err
	}
	require.NoError(t, json.Unmarshal(text, &f))
	return f, nil
}

// ends reads a socket to its end.
func ends(t *testing.T, conn *websocket.Conn) error {
	t.Helper()
	for {
		if _, err := next(t, conn); err != nil {
			return err
		}
	}
}

// channelOf makes a channel with topics.
func channelOf(t *testing.T, c *cloud.Client, topics ...string) cloud.Channel {
	t.Helper()
	made, err := c.CreateChannel(t.Context())
	require.NoError(t, err)
	has, err := c.SetTopics(t.Context(), made.ID, topics)
	require.NoError(t, err)
	require.Equal(t, topics, has)
	return made
}

func TestConversationsAreToldByTopic(t *testing.T) {
	_, c := platform(t)
	topics := []string{"v2.users.8e7d6c5b.conversations", "v2.routing.queues.q-02.conversations", "v2.routing.queues.q-03.conversations.calls", "v2.users.a-001.presence"}
	conn := listen(t, channelOf(t, c, topics...))
	seen := map[string]int{}
	lives := map[string][]int{}
	for seen[topics[0]] == 0 || seen[topics[1]] < 100 || seen[topics[2]] == 0 {
		f, err := next(t, conn)
		require.NoError(t, err)
		require.Contains(t, topics, f.TopicName)
		require.NotEmpty(t, f.EventBody.ID)
		require.NotEmpty(t, f.Metadata.CorrelationID)
		seen[f.TopicName]++
		customer := f.EventBody.Participants[0]
		assert.Equal(t, "customer", customer["purpose"])
		if f.TopicName == topics[2] {
			assert.Contains(t, customer, "calls")
		}
		if f.TopicName == topics[1] {
			n, err := strconv.Atoi(customer["attributes"].(map[string]any)["sequence"].(string))
			require.NoError(t, err)
			lives[f.EventBody.ID] = append(lives[f.EventBody.ID], n)
		}
	}
	assert.Zero(t, seen[topics[3]])
	for id, steps := range lives {
		for i := range steps[1:] {
			assert.Equal(t, steps[i]+1, steps[i+1], "conversation %s: %v", id, steps)
		}
	}
}

func TestLimitsOfTheNotificationService(t *testing.T) {
	s, c := platform(t)
	first := channelOf(t, c, "v2.users.a-001.conversations")
	conn := listen(t, first)
	second := channelOf(t, c, "v2.users.a-001.conversations")
	for range 19 {
		channelOf(t, c, "v2.users.a-001.conversations")
	}
	assert.Len(t, s.Channels(), 20)
	_, err := c.Topics(t.Context(), second.ID)
	require.ErrorIs(t, err, cloud.ErrNotFound, "it had no socket and was used least lately")
	_, err = c.Topics(t.Context(), first.ID)
	require.NoError(t, err)

	_, err = c.SetTopics(t.Context(), first.ID, make([]string, 1001))
	require.ErrorContains(t, err, "1000 topics")
	many := make([]string, 1000)
	for i := range many {
		many[i] = "v2.users." + strings.Repeat("x", 60) + strconv.Itoa(i) + ".conversations"
	}
	has, err := c.SetTopics(t.Context(), first.ID, many)
	require.NoError(t, err)
	assert.Len(t, has, 1000)

	listen(t, first)
	assert.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(ends(t, conn)), "a channel has one socket")
	_, response, err := websocket.Dial(t.Context(), strings.TrimSuffix(first.ConnectURI, first.ID)+"guessed", nil)
	require.Error(t, err)
	assert.Equal(t, http.StatusNotFound, response.StatusCode)
}

func TestSocketsCanBeSteered(t *testing.T) {
	s, c := platform(t)
	steer := func(path, body string) {
		r, err := http.NewRequest(http.MethodPost, "http://"+s.Addr()+"/simulator/"+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Close = true
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusNoContent, response.StatusCode)
	}
	channel := channelOf(t, c, "v2.users.a-001.presence")

	// heard is a socket that the platform knows of: it has answered on it.
	heard := func() *websocket.Conn {
		conn := listen(t, channel)
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(`{"message":"ping"}`)))
		f, err := next(t, conn)
		require.NoError(t, err)
		assert.Equal(t, "channel.metadata", f.TopicName)
		assert.Equal(t, "pong", f.EventBody.Message)
		return conn
	}
	conn := heard()
	steer("sockets/drop", `{}`)
	assert.Equal(t, websocket.StatusCode(-1), websocket.CloseStatus(ends(t, conn)), "without a word")

	conn = heard()
	steer("sockets/announce", `{"close_after_seconds": 0}`)
	f, err := next(t, conn)
	require.NoError(t, err)
	assert.Equal(t, "v2.system.socket_closing", f.TopicName)
	assert.Equal(t, websocket.StatusServiceRestart, websocket.CloseStatus(ends(t, conn)))

	conn = heard()
	steer("channels/expire", `{}`)
	assert.Equal(t, websocket.StatusNormalClosure, websocket.CloseStatus(ends(t, conn)))
	_, err = c.Topics(t.Context(), channel.ID)
	assert.ErrorIs(t, err, cloud.ErrNotFound)
	assert.Empty(t, s.Channels())
}

func TestChannelsExpireAndSocketsBeat(t *testing.T) {
	s, err := simulator.New(simulator.Options{
		Addr: "127.0.0.1:0", Rate: 1, Logger: quiet(), ChannelLifetime: 300 * time.Millisecond, Heartbeat: 10 * time.Millisecond,
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	c, err := cloud.New(cloud.Options{URL: "http://" + s.Addr(), ClientID: "simulator", ClientSecret: "simulator", HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	conn := listen(t, channelOf(t, c, "v2.users.a-001.presence"))
	f, err := next(t, conn)
	require.NoError(t, err)
	assert.Equal(t, "WebSocket Heartbeat", f.EventBody.Message)
	assert.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(ends(t, conn)))

	channel := channelOf(t, c, "v2.users.a-001.presence")
	listen(t, channel)
	cancel()
	require.NoError(t, <-done, "sockets don't keep it from its end")
}
