package access

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxSessions bounds how many are signed in at once; the one that has been idle for longest makes room.
const maxSessions = 10_000

// sessions are those who are signed in. They are kept by the hash of their id, so that memory that leaks signs nobody in.
type sessions struct {
	now func() time.Time
	mu  sync.Mutex
	// byID has the one that was used last in front.
	byID *simplelru.LRU[sessionKey, *session]
}

type sessionKey = [sha256.Size]byte

type session struct {
	grant
	begun, used time.Time
	end         context.CancelFunc
}

func newSessions(now func() time.Time) *sessions {
	byID, _ := simplelru.NewLRU(maxSessions, func(_ sessionKey, s *session) { s.end() }) // fails only for a size below 1
	return &sessions{now: now, byID: byID}
}

// begin signs somebody in, for at most longest, and returns the id of the session: always a new one, or somebody who had put theirs into a
// browser before would be signed in with it.
func (s *sessions) begin(granted grant, longest time.Duration) (id string) {
	id = newSecret()
	now := s.now()
	added := &session{grant: granted, begun: now, used: now}
	added.ends, added.end = context.WithCancel(granted.ends)
	added.until = now.Add(longest)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID.Add(sha256.Sum256([]byte(id)), added)
	return id
}

// find is who is signed in with an id, and counts as a use of the session.
func (s *sessions) find(id string, idle, longest time.Duration) (grant, bool) {
	key, now := sha256.Sum256([]byte(id)), s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byID.Get(key)
	if !ok {
		return grant{}, false
	}
	if found.over(now, idle, longest) {
		s.byID.Remove(key)
		return grant{}, false
	}
	found.used = now
	return found.grant, true
}

func (s *session) over(now time.Time, idle, longest time.Duration) bool {
	return s.ends.Err() != nil || now.Sub(s.used) >= idle || now.Sub(s.begun) >= longest
}

// end signs out; what is under way with the session ends, too.
func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID.Remove(sha256.Sum256([]byte(id)))
}

func (s *sessions) endAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID.Purge()
}

// count forgets those that are over and tells how many are left.
func (s *sessions) count(idle, longest time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for _, key := range s.byID.Keys() {
		if found, ok := s.byID.Peek(key); ok && found.over(now, idle, longest) {
			s.byID.Remove(key)
		}
	}
	return s.byID.Len()
}
