package ingress

import (
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBodiesOfAllRequestsTogetherAreBounded(t *testing.T) {
	store, began, gate := gated()
	s := start(t, store, func(o *Options) { o.MaxBodyMemory = int64(len(goodBody)) + 10 })
	first := s.posted(goodBody)
	<-began

	refused := s.post(strings.Replace(goodBody, "987654321", "another", 1))
	assert.Equal(t, http.StatusTooManyRequests, refused.code)
	assert.Equal(t, reasonInFlight, refused.Reason)
	assert.Equal(t, "1", refused.header.Get("Retry-After"))

	close(gate)
	assert.Equal(t, http.StatusAccepted, (<-first).code)
	assert.Equal(t, http.StatusAccepted, s.post(strings.Replace(goodBody, "987654321", "another", 1)).code, "its room is free again")
}

// Who announces much and sends little takes little from the others.
func TestAnnouncedBodyTakesNoRoomBeforeItComes(t *testing.T) {
	s := start(t, new(memory), func(o *Options) { o.MaxBodyMemory = int64(len(goodBody)) + 10 })
	body, slow := io.Pipe()
	request := s.request(goodBody)
	request.Body, request.ContentLength = body, int64(len(goodBody))
	answer := make(chan reply, 1)
	go func() {
		r, _ := s.try(request)
		answer <- r
	}()
	_, err := io.WriteString(slow, goodBody[:5])
	require.NoError(t, err)

	assert.Equal(t, http.StatusAccepted, s.post(goodBody).code)
	_, err = io.WriteString(slow, goodBody[5:])
	require.NoError(t, err)
	require.NoError(t, slow.Close())
	assert.Equal(t, http.StatusOK, (<-answer).code, "it is the same event")
	require.Eventually(t, func() bool { return s.bodies.taken.Load() == 0 }, 20*time.Second, time.Millisecond, "all of it is given back")
}

func TestBodiesTakeAQuarterOfTheMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for limit, want := range map[int64]int64{1 << 40: 256 << 20, 400 << 20: 100 << 20, 1 << 20: 4 << 20} {
		debug.SetMemoryLimit(limit)
		assert.Equal(t, want, bodyMemoryShare())
	}
}
