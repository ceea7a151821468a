package access

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/bcrypt"
)

// The bounds of a hash in an access file. The upper ones keep one that somebody else made from using up memory or time; the lower ones are
// the weakest that OWASP's Password Storage Cheat Sheet recommends.
const (
	maxArgonMemory  = 256 << 10 // KiB
	maxArgonWork    = 1 << 20   // KiB, times iterations
	minArgonMemory  = 7 << 10   // KiB
	minArgonWork    = 35 << 10  // KiB, times iterations
	maxArgonThreads = 16
	minBcryptCost   = 10
	maxBcryptCost   = 14
)

// ownHash are the parameters of hashes that we make: of those that OWASP holds to be equal the ones that need the least memory without being
// slow, for the process that checks them hands on events as well. The salt is 16, the key 32 bytes, as RFC 9106 recommends.
var ownHash = argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// phcArgon is a PHC string of argon2id: its own parser takes what only begins like one.
var phcArgon = regexp.MustCompile(`^\$argon2id\$v=19\$m=[1-9]\d{0,6},t=[1-9]\d{0,3},p=[1-9]\d?\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}$`)

// phcBcrypt is a bcrypt hash, of any of the prefixes that mean the same algorithm; htpasswd -B writes $2y$.
var phcBcrypt = regexp.MustCompile(`^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$`)

// checkHash says what is wrong with a password's hash, without showing it: it may be the password itself.
func checkHash(hash string) error {
	switch {
	case phcArgon.MatchString(hash):
		return checkArgon(hash)
	case phcBcrypt.MatchString(hash):
		cost, err := bcrypt.Cost([]byte(hash))
		if err != nil || cost < minBcryptCost || cost > maxBcryptCost {
			return fmt.Errorf("has a bcrypt cost that is not %d to %d", minBcryptCost, maxBcryptCost)
		}
		return nil
	}
	return errors.New("is no argon2id or bcrypt hash")
}

func checkArgon(hash string) error {
	params, _, _, err := argon2id.DecodeHash(hash)
	if err != nil {
		return errors.New("is no argon2id hash: its salt or its key is not base64")
	}
	work := uint64(params.Memory) * uint64(params.Iterations)
	switch {
	case params.Memory > maxArgonMemory || work > maxArgonWork || params.Parallelism > maxArgonThreads:
		return fmt.Errorf("takes more than %d KiB, %d KiB in all iterations or %d threads, which is too much for each sign-in",
			maxArgonMemory, maxArgonWork, maxArgonThreads)
	case params.Memory < minArgonMemory || work < minArgonWork:
		return fmt.Errorf("takes less than %d KiB, or %d KiB in all iterations: too little against guessing", minArgonMemory, minArgonWork)
	}
	return nil
}

// matches reports whether the password is the hash's. The hash must have passed checkHash. It takes tens of milliseconds, and the memory that
// the hash asks for.
func matches(hash, password string) bool {
	if strings.HasPrefix(hash, "$2") {
		return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
	}
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	return ok && err == nil
}
