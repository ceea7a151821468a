package genesys

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"sync"
)

// Sign is the signature of body in lower-case hex, as the header X-Genesys-Signature carries it.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body) // a hash never fails
	return hex.EncodeToString(mac.Sum(nil))
}

// hmacScheme is MethodHMAC.
type hmacScheme struct {
	Verification
	size     int
	signed   []signedPart
	attempts sync.Pool // *attempt
	newHash  func() hash.Hash
	first    []byte // key
}

// signedPart is a piece of what is signed: a text, or the timestamp or the body if that is set.
type signedPart struct {
	literal         string
	timestamp, body bool
}

// attempt is the memory of one verification, reused so that verifying allocates nothing.
type attempt struct {
	macs []hash.Hash // one for each live key
	text [2 * sha512.Size]byte
	sent [sha512.Size + 2]byte // base64 may write a byte or two more before it finds the end
	want [sha512.Size]byte
}

// optionalPrefix may stand before the hex digits where no prefix is asked for, as several
// senders write it.
const optionalPrefix = "sha256="

func newHMAC(v Verification, keys []string) (*hmacScheme, error) {
	s := &hmacScheme{Verification: v, first: []byte(keys[0])}
	switch v.Algorithm {
	case "", "sha256":
		s.newHash = sha256.New
	case "sha512":
		s.newHash = sha512.New
	case "sha1":
		s.newHash = sha1.New
	default:
		return nil, fmt.Errorf("there is no algorithm %q: sha256, sha512 or sha1", v.Algorithm)
	}
	s.size = s.newHash().Size()
	if v.Header == "" {
		return nil, errors.New("the header that carries the signature is not named")
	}
	if len(v.Encodings) == 0 {
		s.Encodings = []string{"hex"}
	}
	for _, encoding := range s.Encodings {
		if encoding != "hex" && encoding != "base64" && encoding != "base64url" {
			return nil, fmt.Errorf("there is no encoding %q: hex, base64 or base64url", encoding)
		}
	}
	var err error
	if s.signed, err = parseSigned(v.Signed, v.TimestampHeader != ""); err != nil {
		return nil, err
	}
	keys = append([]string(nil), keys...)
	s.attempts.New = func() any {
		a := &attempt{macs: make([]hash.Hash, len(keys))}
		for i, key := range keys {
			a.macs[i] = hmac.New(s.newHash, []byte(key))
		}
		return a
	}
	return s, nil
}

// parseSigned cuts the template of what is signed.
func parseSigned(template string, hasTimestamp bool) ([]signedPart, error) {
	if template == "" {
		template = "{body}"
	}
	var parts []signedPart
	timed, covered := false, false
	for rest := template; rest != ""; {
		literal, after, found := strings.Cut(rest, "{")
		if literal != "" {
			parts = append(parts, signedPart{literal: literal})
		}
		if !found {
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		switch name {
		case "body":
			covered = true
			parts = append(parts, signedPart{body: true})
		case "timestamp":
			timed = true
			parts = append(parts, signedPart{timestamp: true})
		default:
			return nil, fmt.Errorf("what is signed has {%s}; it may have {body} and {timestamp}", name)
		}
		rest = tail
	}
	switch {
	case !covered:
		return nil, errors.New("what is signed leaves the {body} out")
	case timed != hasTimestamp:
		return nil, errors.New("a signed {timestamp} and the header that carries it belong together")
	}
	return parts, nil
}

func (s *hmacScheme) verify(_ context.Context, d *Delivery) error {
	value, err := only(d.Header, s.Header)
	if err != nil {
		return err
	}
	timestamp, err := s.timestamp(d)
	if err != nil {
		return err
	}
	a := s.attempts.Get().(*attempt)
	defer s.attempts.Put(a)
	if !s.read(a, value) {
		return ErrSignatureMalformed
	}
	if !s.matches(a, timestamp, d.Body) {
		return ErrSignatureMismatch
	}
	if timestamp == "" {
		return nil
	}
	if at, _ := parseSignedTime(timestamp); !isFresh(at, d.Received, s.Tolerance) {
		return ErrSignatureExpired
	}
	return nil
}

// timestamp is the signed time as it is written; "" if none is signed.
func (s *hmacScheme) timestamp(d *Delivery) (string, error) {
	if s.TimestampHeader == "" {
		return "", nil
	}
	lines := d.Header.Values(s.TimestampHeader)
	switch {
	case len(lines) == 0:
		return "", ErrSignatureMissing
	case len(lines) > 1:
		return "", ErrSignatureSeveral
	}
	if _, ok := parseSignedTime(lines[0]); !ok {
		return "", ErrSignatureMalformed
	}
	return lines[0], nil
}

// read decodes a header value. The encodings have different lengths, so one text is one signature.
func (s *hmacScheme) read(a *attempt, value string) bool {
	value, found := strings.CutPrefix(value, s.Prefix)
	if !found {
		return false
	}
	for _, encoding := range s.Encodings {
		if encoding == "hex" && s.readHex(a, value) ||
			encoding == "base64" && s.readBase64(a, value, base64.StdEncoding, base64.RawStdEncoding) ||
			encoding == "base64url" && s.readBase64(a, value, base64.URLEncoding, base64.RawURLEncoding) {
			return true
		}
	}
	return false
}

func (s *hmacScheme) readHex(a *attempt, value string) bool {
	if s.Prefix == "" {
		value = strings.TrimPrefix(value, optionalPrefix)
	}
	if len(value) != 2*s.size {
		return false
	}
	copy(a.text[:], value)
	_, err := hex.Decode(a.sent[:s.size], a.text[:2*s.size])
	return err == nil
}

// readBase64 is strict: another text than the one that encodes the bytes is none.
func (s *hmacScheme) readBase64(a *attempt, value string, padded, raw *base64.Encoding) bool {
	encoding := raw
	if len(value) == padded.EncodedLen(s.size) {
		encoding = padded
	} else if len(value) != raw.EncodedLen(s.size) {
		return false
	}
	copy(a.text[:], value)
	n, err := encoding.Strict().Decode(a.sent[:], a.text[:len(value)])
	return err == nil && n == s.size
}

// matches tries every key, whichever matched: the time it takes tells nothing.
func (s *hmacScheme) matches(a *attempt, timestamp string, body []byte) bool {
	matched := false
	for _, mac := range a.macs {
		mac.Reset()
		s.write(mac, timestamp, body)
		if hmac.Equal(mac.Sum(a.want[:0]), a.sent[:s.size]) {
			matched = true
		}
	}
	return matched
}

// write writes what is signed; a hash never fails.
func (s *hmacScheme) write(mac hash.Hash, timestamp string, body []byte) {
	for i := range s.signed {
		switch part := &s.signed[i]; {
		case part.body:
			mac.Write(body)
		case part.timestamp:
			mac.Write([]byte(timestamp))
		default:
			mac.Write([]byte(part.literal))
		}
	}
}

func (s *hmacScheme) sign(d *Delivery) error {
	timestamp := ""
	if s.TimestampHeader != "" {
		timestamp = strconv.FormatInt(d.Received.Unix(), 10)
		d.Header.Set(s.TimestampHeader, timestamp)
	}
	mac := hmac.New(s.newHash, s.first)
	s.write(mac, timestamp, d.Body)
	sum := mac.Sum(nil)
	text := hex.EncodeToString(sum)
	switch s.Encodings[0] {
	case "base64":
		text = base64.StdEncoding.EncodeToString(sum)
	case "base64url":
		text = base64.URLEncoding.EncodeToString(sum)
	}
	d.Header.Set(s.Header, s.Prefix+text)
	return nil
}
