package notification

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestClassify(t *testing.T) {
	for frame, want := range map[string]struct {
		kind  kind
		about string
	}{
		`{"topicName":"channel.metadata","eventBody":{"message":"WebSocket Heartbeat"}}`:      {alive, ""},
		`{"topicName":"channel.metadata","eventBody":{"message":"pong"}}`:                     {alive, ""},
		`{"topicName":"channel.metadata"}`:                                                    {alive, ""},
		`{"topicName":"v2.system.socket_closing","eventBody":{"message":"soon"}}`:             {closing, ""},
		`{"topicName":"v2.users.a.conversations","version":"2","eventBody":{"id":"c1"}}`:      {event, "c1"},
		`{"topicName":"v2.users.a.presence","eventBody":{"source":"X"}}`:                      {event, "v2.users.a.presence"},
		`{"topicName":"v2.users.a.conversations","eventBody":{"id":17}}`:                      {event, "v2.users.a.conversations"},
		`{"topicName":"v2.users.a.conversations","eventBody":[1]}`:                            {event, "v2.users.a.conversations"},
		`{"eventBody":[1],"topicName":"channel.metadata"}`:                                    {alive, ""},
		`{"topicName":"v2.detail.events.conversation.c.customer.end","x":"channel.metadata"}`: {event, "v2.detail.events.conversation.c.customer.end"},
		`{"topicName":["channel.metadata"]}`:                                                  {event, ""},
		`{"topicName":"channel.metadata"`:                                                     {event, ""},
		`["channel.metadata"]`:                                                                {event, ""},
		`no JSON`:                                                                             {event, ""},
		``:                                                                                    {event, ""},
	} {
		kind, about := classify([]byte(frame))
		assert.Equal(t, want.kind, kind, frame)
		assert.Equal(t, want.about, about, frame)
	}
}

// FuzzClassify looks for an event that would be taken for something of the service's own, and be lost.
func FuzzClassify(f *testing.F) {
	for _, seed := range []string{
		`{"topicName":"channel.metadata","eventBody":{"message":"pong"}}`, `{"topicName":"v2.system.socket_closing"}`,
		`{"topicName":"v2.users.a.conversations","eventBody":{"id":"c"}}`, `{"topicname":"\u0063hannel.metadata"}`, `[]`, `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		kind, about := classify(frame)
		if kind == event {
			return
		}
		assert.Empty(t, about)
		var fields map[string]json.RawMessage
		assert.NoError(t, json.Unmarshal(frame, &fields), "no JSON object says that it is one of the service's own")
		named := false
		for name, value := range fields {
			var topic string
			named = named || strings.EqualFold(name, "topicName") && json.Unmarshal(value, &topic) == nil && (topic == topicMetadata || topic == topicClosing)
		}
		assert.True(t, named, "%s", frame)
	})
}
