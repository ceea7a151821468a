package genesys

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// staticKey is MethodHeader, MethodBasic and MethodBearer: the sender shows a key. It is compared by
// its hash, so that neither length nor content shows in the time it takes.
type staticKey struct {
	header, prefix string
	hashes         [][sha256.Size]byte // of the header values that are good
	first          string
}

func newStaticKey(v Verification, keys []string) (*staticKey, error) {
	s := &staticKey{header: authorization}
	switch v.Method {
	case MethodHeader:
		s.header = v.Header
	case MethodBasic:
		s.prefix = "Basic "
	case MethodBearer:
		s.prefix = "Bearer "
	}
	if s.header == "" {
		return nil, errors.New("the header that holds the key is not named")
	}
	for i, key := range keys {
		if v.Method == MethodBasic {
			if !strings.Contains(key, ":") {
				return nil, fmt.Errorf("secret %d of %d is not user:password", i+1, len(keys))
			}
			key = base64.StdEncoding.EncodeToString([]byte(key))
		}
		if i == 0 {
			s.first = key
		}
		s.hashes = append(s.hashes, sha256.Sum256([]byte(key)))
	}
	return s, nil
}

func (s *staticKey) verify(_ context.Context, d *Delivery) error {
	value, err := only(d.Header, s.header)
	if err != nil {
		return err
	}
	// The name of an authentication scheme is in any case (RFC 9110, 11.1).
	if len(value) < len(s.prefix) || !strings.EqualFold(value[:len(s.prefix)], s.prefix) {
		return ErrSignatureMalformed
	}
	sent, matched := sha256.Sum256([]byte(value[len(s.prefix):])), 0
	for i := range s.hashes {
		matched |= subtle.ConstantTimeCompare(sent[:], s.hashes[i][:])
	}
	if matched == 0 {
		return ErrSignatureMismatch
	}
	return nil
}

func (s *staticKey) sign(d *Delivery) error {
	d.Header.Set(s.header, s.prefix+s.first)
	return nil
}
