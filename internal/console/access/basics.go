package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// basics remembers for a minute which names and passwords were right: HTTP Basic sends them with each request, and checking them is slow on
// purpose. It keeps a keyed hash of them, which says nothing without the key of this process.
type basics struct {
	now func() time.Time
	key [32]byte

	mu    sync.Mutex
	byMAC *simplelru.LRU[[sha256.Size]byte, rightOne]
}

type rightOne struct {
	account *account
	checked time.Time
}

const (
	basicsLast = time.Minute
	maxBasics  = 1000
)

func newBasics(now func() time.Time) *basics {
	byMAC, _ := simplelru.NewLRU[[sha256.Size]byte, rightOne](maxBasics, nil) // fails only for a size below 1
	b := &basics{now: now, byMAC: byMAC}
	_, _ = rand.Read(b.key[:]) // never fails
	return b
}

// find is whose name and password these are, if they were checked lately and the user has not changed since.
func (b *basics) find(name, password string) *account {
	mac := b.mac(name, password)
	b.mu.Lock()
	defer b.mu.Unlock()
	right, ok := b.byMAC.Get(mac)
	if !ok {
		return nil
	}
	if right.account.ends.Err() != nil || b.now().Sub(right.checked) >= basicsLast {
		b.byMAC.Remove(mac)
		return nil
	}
	return right.account
}

func (b *basics) add(name, password string, a *account) {
	mac := b.mac(name, password)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.byMAC.Add(mac, rightOne{account: a, checked: b.now()})
}

func (b *basics) mac(name, password string) (sum [sha256.Size]byte) {
	mac := hmac.New(sha256.New, b.key[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(name)))) // where the name ends
	mac.Write([]byte(name + password))
	mac.Sum(sum[:0])
	return sum
}
