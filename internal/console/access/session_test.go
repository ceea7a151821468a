package access

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWhatRunsEndsWithWhatLetItIn: a live view does not outlive its session, nor a change of the file.
func TestWhatRunsEndsWithWhatLetItIn(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(t *testing.T, s *site, client *http.Client)
	}{
		{"signed out", func(t *testing.T, s *site, client *http.Client) {
			assert.Equal(t, http.StatusSeeOther, s.ask(t, client, http.MethodPost, "/logout", "", "Sec-Fetch-Site", "same-origin").status)
		}},
		{"user gone", func(t *testing.T, s *site, _ *http.Client) {
			write(t, s.file, accessFile(t, people()[1:]))
			require.NoError(t, s.guard.Reload())
		}},
		{"console ends", func(_ *testing.T, s *site, _ *http.Client) { s.guard.close() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, accessFile(t, people()))
			client := s.signedIn(t, "ann", annPassword)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/wait", nil)
			require.NoError(t, err)
			response, err := client.Do(r)
			require.NoError(t, err)
			defer response.Body.Close()
			require.Equal(t, http.StatusOK, response.StatusCode)
			tc.end(t, s, client)
			_, err = response.Body.Read(make([]byte, 1)) // as long as the request is under way, nothing comes
			assert.Error(t, err)
			assert.NotErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}

func TestRunSignsEverybodyOutAtItsEnd(t *testing.T) {
	s := open(t, accessFile(t, people()))
	client := s.signedIn(t, "ann", annPassword)
	assert.EqualValues(t, 1, gauge(t, s))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.guard.Run(ctx) }()
	cancel()
	require.NoError(t, <-ended)
	assert.Equal(t, http.StatusUnauthorized, s.ask(t, client, http.MethodGet, "/api", "").status)
	assert.Zero(t, gauge(t, s))
}

// TestASessionEndsByItself: idle after an hour, at all after twelve.
func TestASessionEndsByItself(t *testing.T) {
	s := open(t, accessFile(t, people()))
	client := s.signedIn(t, "ann", annPassword)
	in := func() bool { return s.ask(t, client, http.MethodGet, "/api", "").status == http.StatusOK }
	for range 13 {
		s.clock.pass(55 * time.Minute)
		assert.True(t, in(), "it is used")
	}
	s.clock.pass(5 * time.Minute)
	assert.False(t, in(), "twelve hours are over")

	client = s.signedIn(t, "ann", annPassword)
	s.clock.pass(time.Hour)
	assert.Zero(t, gauge(t, s), "an idle one is not counted")
	assert.False(t, in())
}

func TestSessionsAreBounded(t *testing.T) {
	now := &clock{at: time.Now()}
	kept := newSessions(now.now)
	who := grant{ends: context.Background()}
	first, second := kept.begin(who, time.Hour), kept.begin(who, time.Hour)
	for range maxSessions - 2 {
		kept.begin(who, time.Hour)
	}
	_, ok := kept.find(first, time.Hour, time.Hour) // the second is now idle for longest
	require.True(t, ok)
	kept.begin(who, time.Hour)
	_, ok = kept.find(second, time.Hour, time.Hour)
	assert.False(t, ok)
	_, ok = kept.find(first, time.Hour, time.Hour)
	assert.True(t, ok)
	assert.Equal(t, maxSessions, kept.count(time.Hour, time.Hour))
}
