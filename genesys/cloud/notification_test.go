package cloud_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/cloud"
)

const channelID = "streaming-0-battery staple"

func TestAChannelAndItsTopics(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
		switch r.Method + " " + r.URL.EscapedPath() {
		case "POST /api/v2/notifications/channels":
			writeJSON(w, map[string]any{"id": channelID, "connectUri": "wss://streaming.example.com/channels/x", "expires": time.Now().Add(24 * time.Hour)})
		case "PUT /api/v2/notifications/channels/streaming-0-battery%20staple/subscriptions":
			var topics []map[string]string
			assert.NoError(t, json.NewDecoder(r.Body).Decode(&topics))
			assert.Equal(t, []map[string]string{{"id": "v2.users.a.conversations"}, {"id": "v2.users.b.conversations"}}, topics)
			writeJSON(w, map[string]any{"entities": topics[:1]})
		case "GET /api/v2/notifications/channels/streaming-0-battery%20staple/subscriptions":
			writeJSON(w, map[string]any{"entities": []map[string]string{{"id": "v2.users.a.conversations"}}})
		default:
			assert.Fail(t, "an unknown call", r.Method+" "+r.URL.Path)
		}
	})
	c := p.client(t)
	channel, err := c.CreateChannel(t.Context())
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(24*time.Hour), channel.Expires, time.Minute)
	has, err := c.SetTopics(t.Context(), channel.ID, []string{"v2.users.a.conversations", "v2.users.b.conversations"})
	require.NoError(t, err)
	assert.Equal(t, []string{"v2.users.a.conversations"}, has)
	has, err = c.Topics(t.Context(), channel.ID)
	require.NoError(t, err)
	assert.Len(t, has, 1)
}

func TestAChannelEndsWithItsToken(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, _ int64) {
		writeJSON(w, map[string]any{"id": "1", "connectUri": "wss://streaming.example.com/x", "expires": time.Now().Add(24 * time.Hour)})
	})
	p.lifetime = 600
	channel, err := p.client(t).CreateChannel(t.Context())
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(10*time.Minute), channel.Expires, time.Minute)
}

func TestSocketsAreSecure(t *testing.T) {
	var address atomic.Value
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, _ int64) {
		writeJSON(w, map[string]any{"id": "1", "connectUri": address.Load()})
	})
	c := p.client(t)
	for _, good := range []string{"wss://streaming.example.com/c/hunter2", "ws://127.0.0.1:1/c/hunter2", "ws://localhost/x", "ws://[::1]:8/x"} {
		address.Store(good)
		channel, err := c.CreateChannel(t.Context())
		require.NoError(t, err, good)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			assert.NotContains(t, fmt.Sprintf(verb, channel), "hunter2")
		}
	}
	for _, bad := range []string{"ws://streaming.example.com/hunter2", "https://streaming.example.com/hunter2", "hunter2", "wss:///hunter2", "", "wss://%zz/hunter2"} {
		address.Store(bad)
		_, err := c.CreateChannel(t.Context())
		require.Error(t, err, bad)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// TestErrorsDontShowTheChannel: who knows its id can listen.
func TestErrorsDontShowTheChannel(t *testing.T) {
	t.Parallel() // it waits for most of the time
	var answer atomic.Value
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, _ int64) { answer.Load().(func(http.ResponseWriter))(w) })
	c := p.client(t)
	for name, a := range map[string]func(http.ResponseWriter){
		"refused": func(w http.ResponseWriter) {
			http.Error(w, fmt.Sprintf(`{"message":"no channel %s","code":"not.found"}`, channelID), http.StatusNotFound)
		},
		"garbage": func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") },
		"cut off": func(w http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		answer.Store(a)
		_, err := c.Topics(t.Context(), channelID)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "battery", name)
		assert.Contains(t, err.Error(), "/channels/{id}/subscriptions", name)
	}
	answer.Store(func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) })
	_, err := c.SetTopics(t.Context(), channelID, strings.Fields("a b"))
	require.ErrorIs(t, err, cloud.ErrForbidden)
	assert.Contains(t, err.Error(), "access to what the topics are about")
}
