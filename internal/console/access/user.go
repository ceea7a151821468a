package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
)

// The bounds of passwords and tokens. NIST SP 800-63B asks for length and for no rules about kinds of characters.
const (
	minPasswordRunes = 12
	maxPasswordBytes = 1024
	minTokenBytes    = 32
)

// NewUser is an entry of an access file for somebody with a password of at least 12 characters.
func NewUser(name string, role Role, password string) (User, error) {
	if err := checkUser(name, role); err != nil {
		return User{}, err
	}
	switch {
	case utf8.RuneCountInString(password) < minPasswordRunes:
		return User{}, fmt.Errorf("the password is too short: it needs at least %d characters", minPasswordRunes)
	case len(password) > maxPasswordBytes:
		return User{}, fmt.Errorf("the password is too long: at most %d bytes", maxPasswordBytes)
	}
	hash, err := argon2id.CreateHash(password, &ownHash)
	if err != nil {
		return User{}, fmt.Errorf("hash the password: %w", err)
	}
	return User{Name: name, Role: role, PasswordHash: hash}, nil
}

// NewTokenUser is an entry of an access file for a program, and the token that it has to send.
func NewTokenUser(name string, role Role) (user User, token string, err error) {
	if err := checkUser(name, role); err != nil {
		return User{}, "", err
	}
	token = tokenPrefix + newSecret()
	sum := sha256.Sum256([]byte(token))
	return User{Name: name, Role: role, TokenSHA256: hex.EncodeToString(sum[:])}, token, nil
}

// tokenPrefix lets scanners for leaked secrets find our tokens.
const tokenPrefix = "genmesh_"

func checkUser(name string, role Role) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("the name %q: %w", name, err)
	}
	if !role.May(Viewer) {
		return fmt.Errorf("the role %q: %s", role, rolesHint)
	}
	return nil
}

// newSecret is 32 random bytes as text of 43 characters.
func newSecret() string {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(secret[:])
}
