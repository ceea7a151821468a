//go:build aws

package broker

import (
	"crypto/md5" //nolint:gosec // what SQS answers with
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

// simpleQueue answers SendMessageBatch as Amazon SQS does.
type simpleQueue struct {
	mu      sync.Mutex
	taken   []simpleMessage
	refuses bool
}

type simpleMessage struct {
	ID                     string `json:"Id"`
	MessageBody            string
	MessageGroupId         string
	MessageDeduplicationId string
	MessageAttributes      map[string]struct{ StringValue string }
}

func (q *simpleQueue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var request struct{ Entries []simpleMessage }
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || q.refuses {
		w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": "AccessDeniedException", "message": "no"})
		return
	}
	var successful []map[string]string
	for _, m := range request.Entries {
		sum := md5.Sum([]byte(m.MessageBody)) //nolint:gosec // see above
		successful = append(successful, map[string]string{"Id": m.ID, "MessageId": m.ID, "MD5OfMessageBody": hex.EncodeToString(sum[:])})
		q.taken = append(q.taken, m)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"Successful": successful})
}

func TestSQS(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
	queue := &simpleQueue{}
	server := httptest.NewServer(queue)
	t.Cleanup(server.Close)
	target := newTarget(t, "awssqs://sqs.eu-west-1.amazonaws.com/1/calls.fifo?region=eu-west-1&endpoint="+url.QueryEscape(server.URL))
	event := targettest.Event(7)
	require.NoError(t, target.Handle(t.Context(), event))
	event.Body = []byte("\xff")
	require.NoError(t, target.Handle(t.Context(), event))
	require.Len(t, queue.taken, 2)
	for _, m := range queue.taken {
		assert.LessOrEqual(t, len(m.MessageAttributes), 10, "SQS refuses more")
		assert.Equal(t, event.IdempotencyKey(), m.MessageAttributes["ce_id"].StringValue)
		assert.Equal(t, "7", m.MessageAttributes["Genmesh-Sequence"].StringValue)
		assert.Equal(t, event.IdempotencyKey(), m.MessageDeduplicationId)
		assert.Len(t, m.MessageGroupId, 64)
	}
	assert.Equal(t, string(targettest.Event(7).Body), queue.taken[0].MessageBody)

	queue.mu.Lock()
	queue.refuses = true
	queue.mu.Unlock()
	err := target.Handle(t.Context(), event)
	require.ErrorContains(t, err, "AccessDenied")
	assert.NotEqual(t, workers.Refuse, targettest.FateOf(err))
	assert.False(t, strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "region="), err.Error())
	queue.mu.Lock()
	queue.refuses = false
	queue.mu.Unlock()
	require.NoError(t, target.Handle(t.Context(), event))
}
