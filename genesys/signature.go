package genesys

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
)

// SignatureError is why a signature was refused. Its values are a closed set of single words,
// fit for a metric's label.
type SignatureError string

// The reasons why a signature is refused; test with errors.Is.
const (
	// ErrSignatureMissing: there is no signature header.
	ErrSignatureMissing SignatureError = "missing"
	// ErrSignatureSeveral: there is more than one header line. None is looked at, for a proxy
	// in between and we could disagree on which one counts.
	ErrSignatureSeveral SignatureError = "several"
	// ErrSignatureMalformed: the value is not 64 hex digits.
	ErrSignatureMalformed SignatureError = "malformed"
	// ErrSignatureMismatch: no live secret made this signature over this body.
	ErrSignatureMismatch SignatureError = "mismatch"
)

// Error says that the signature was refused and why.
func (e SignatureError) Error() string { return "signature refused: " + string(e) }

// signaturePrefix may stand before the hex digits, as several senders write it.
const signaturePrefix = "sha256="

// Sign is the signature of body in lower-case hex, as the header X-Genesys-Signature carries it.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body) // a hash never fails
	return hex.EncodeToString(mac.Sum(nil))
}

// Verifier checks the signatures of one source. It is safe for concurrent use.
type Verifier struct {
	attempts sync.Pool // *attempt
}

// attempt is the memory of one verification, reused so that verifying allocates nothing.
type attempt struct {
	macs []hash.Hash // one for each live secret
	text [2 * sha256.Size]byte
	sent [sha256.Size]byte
	want [sha256.Size]byte
}

// NewVerifier makes a verifier that takes a signature of any of the secrets: several are live
// at once while they are rotated. It refuses to make one without secrets or with a blank one,
// which anybody could sign with.
func NewVerifier(secrets []string) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret to verify signatures with")
	}
	for i, secret := range secrets {
		if strings.TrimSpace(secret) == "" {
			return nil, fmt.Errorf("secret %d of %d is blank: anybody could sign with it", i+1, len(secrets))
		}
	}
	secrets = append([]string(nil), secrets...)
	return &Verifier{attempts: sync.Pool{New: func() any { return newAttempt(secrets) }}}, nil
}

func newAttempt(secrets []string) *attempt {
	a := &attempt{macs: make([]hash.Hash, len(secrets))}
	for i, secret := range secrets {
		a.macs[i] = hmac.New(sha256.New, []byte(secret))
	}
	return a
}

// Verify checks that body, as it was received, was signed with a live secret. The values are
// all lines of the signature header. The error is a SignatureError.
func (v *Verifier) Verify(values []string, body []byte) error {
	switch {
	case len(values) == 0:
		return ErrSignatureMissing
	case len(values) > 1:
		return ErrSignatureSeveral
	}
	a := v.attempts.Get().(*attempt)
	defer v.attempts.Put(a)
	if !a.read(values[0]) {
		return ErrSignatureMalformed
	}
	if !a.matches(body) {
		return ErrSignatureMismatch
	}
	return nil
}

// read decodes a header value: exactly 32 bytes in hex of either case.
func (a *attempt) read(value string) bool {
	value = strings.TrimPrefix(value, signaturePrefix)
	if len(value) != len(a.text) {
		return false
	}
	copy(a.text[:], value)
	_, err := hex.Decode(a.sent[:], a.text[:])
	return err == nil
}

// matches tries every secret, whichever matched: the time it takes tells nothing.
func (a *attempt) matches(body []byte) bool {
	matched := false
	for _, mac := range a.macs {
		mac.Reset()
		mac.Write(body) // a hash never fails
		if hmac.Equal(mac.Sum(a.want[:0]), a.sent[:]) {
			matched = true
		}
	}
	return matched
}
