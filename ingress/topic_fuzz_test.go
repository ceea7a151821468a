package ingress

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzTopicPattern: of a topic nothing is left that is not one of its words, and a pattern is its own.
func FuzzTopicPattern(f *testing.F) {
	for _, topic := range []string{
		"", "v2.users.8e7d6c5b-4a39-4281-9706-f5e4d3c2b1a0.conversations", "v2.detail.events.conversation.{id}.customer.end",
		"..", "v", "v2x", "Users", "a\x00b",
	} {
		f.Add(topic)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		pattern := topicPattern(topic)
		require.Equal(t, pattern, topicPattern(pattern))
		parts, was := strings.Split(pattern, "."), strings.Split(topic, ".")
		require.Len(t, parts, len(was))
		for i, part := range parts {
			require.True(t, part == "{id}" || part == was[i] && strings.Trim(part, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "")
		}
	})
}
