package mesh

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// idempotencyKeyBytes is how much of the hash names an event: 128 bits, so that two of even
// 2^50 events do not share a key.
const idempotencyKeyBytes = 16

// IdempotencyKey names what happened, for receivers that must not act on it twice: 32 hex
// digits over the source, the interaction and the fingerprint.
//
// It is the same for each attempt, each redelivery and each replay of the event, in every
// process and for every subscriber; it does not depend on where the event is stored.
func (e Event) IdempotencyKey() string {
	h := sha256.New()
	for _, part := range [...]string{e.Source, e.Interaction, e.Fingerprint} {
		// The length before each part keeps ("ab", "c") and ("a", "bc") apart.
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		_, _ = h.Write(size[:]) // a hash never fails
		_, _ = h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:idempotencyKeyBytes])
}
