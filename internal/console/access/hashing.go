package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/sync/semaphore"
)

// hashing checks passwords, two at a time: each takes tens of milliseconds of a processor and some megabytes, and the process has other work.
type hashing struct {
	slots   *semaphore.Weighted
	waiting atomic.Int64
	// key chooses the decoy of a name, so that nobody can tell which it is.
	key   [32]byte
	decoy string
}

const (
	hashSlots    = 2
	maxWaiting   = 32
	hashPatience = 5 * time.Second
)

// errBusy means that so many passwords are being checked that another one would have to wait for too long.
var errBusy = errors.New("too many passwords are being checked at once")

func newHashing() *hashing {
	h := &hashing{slots: semaphore.NewWeighted(hashSlots)}
	_, _ = rand.Read(h.key[:]) // never fails
	decoy, err := argon2id.CreateHash(newSecret(), &ownHash)
	if err != nil {
		panic(fmt.Sprintf("access: %v", err)) // only without randomness
	}
	h.decoy = decoy
	return h
}

// account is whose name and password these are; nil if nobody's. It takes as long for a name that does not exist.
func (h *hashing) account(ctx context.Context, s *settings, name, password string) (*account, error) {
	if h.waiting.Add(1) > maxWaiting+hashSlots {
		h.waiting.Add(-1)
		return nil, errBusy
	}
	defer h.waiting.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, hashPatience)
	defer cancel()
	if h.slots.Acquire(ctx, 1) != nil {
		return nil, errBusy
	}
	defer h.slots.Release(1)
	a := s.accounts[name]
	if a == nil || a.PasswordHash == "" {
		matches(h.decoyFor(s, name), password)
		return nil, nil
	}
	if !matches(a.PasswordHash, password) {
		return nil, nil
	}
	return a, nil
}

// decoyFor is the hash that a name is checked against that has none: that of one of the users, for theirs may take different times, and always
// the same one for a name.
func (h *hashing) decoyFor(s *settings, name string) string {
	if len(s.passwords) == 0 {
		return h.decoy
	}
	mac := hmac.New(sha256.New, h.key[:])
	mac.Write([]byte(name))
	return s.passwords[binary.BigEndian.Uint64(mac.Sum(nil))%uint64(len(s.passwords))].PasswordHash
}
