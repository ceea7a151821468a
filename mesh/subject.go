package mesh

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strings"
)

// Partitions is how many partitions the subject space of a source has. It is part of every
// stored subject, so it never changes.
const Partitions = 64

// Partition is the partition of an interaction: two digits, "00" to "63". All events of an
// interaction share it.
func Partition(interaction string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(interaction)) // a hash never fails
	return fmt.Sprintf("%02d", h.Sum64()%Partitions)
}

// maxTokenBytes bounds an encoded subject token; a longer one is replaced by its hash.
const maxTokenBytes = 128

// absent is the token of an empty value. A value that really is "-" is escaped.
const absent = "-"

// Token encodes any text as one safe NATS subject token: letters, digits, "-" and "_" stand for
// themselves, every other byte is "=" and two upper-case hex digits, and an empty value is "-".
// What would be longer than 128 bytes becomes "=h" and a hash, which Untoken can't reverse.
//
// JetStream stores a publish to "a.*" or "a.>" literally, so nothing that came from outside may
// enter a subject unencoded.
func Token(s string) string {
	switch {
	case s == "":
		return absent
	case s == absent:
		return "=2D"
	case len(s) <= maxTokenBytes && isSafe(s):
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() <= maxTokenBytes; i++ {
		if isSafeByte(s[i]) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "=%02X", s[i])
		}
	}
	if b.Len() > maxTokenBytes {
		return "=h" + hashHex(s)
	}
	return b.String()
}

// Untoken reverses Token. It reports false for a token that Token can't have made or that is
// a hash.
func Untoken(token string) (string, bool) {
	if token == absent {
		return "", true
	}
	if token == "" || len(token) > maxTokenBytes {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		switch c := token[i]; {
		case isSafeByte(c):
			b.WriteByte(c)
		case c == '=' && i+2 < len(token):
			raw, err := hex.DecodeString(strings.ToLower(token[i+1 : i+3]))
			if err != nil || strings.ToUpper(token[i+1:i+3]) != token[i+1:i+3] {
				return "", false
			}
			b.WriteByte(raw[0])
			i += 2
		default:
			return "", false
		}
	}
	s := b.String()
	return s, Token(s) == token
}

func isSafe(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isSafeByte(s[i]) {
			return false
		}
	}
	return true
}

func isSafeByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// maxMsgIDBytes bounds the part of a Nats-Msg-Id that comes from an event's key.
const maxMsgIDBytes = 128

// msgID is the Nats-Msg-Id of the first event of a key. The server trims ids and takes any
// length, so a key that is not [A-Za-z0-9._:-]{1,128} is replaced by "=" and its hash: "=" is
// not in that set, so no other key can be named so.
func msgID(key string) string {
	if len(key) == 0 || len(key) > maxMsgIDBytes {
		return hashed(key)
	}
	for i := 0; i < len(key); i++ {
		if c := key[i]; !isSafeByte(c) && c != '.' && c != ':' {
			return hashed(key)
		}
	}
	return key
}

// repeatID is the Nats-Msg-Id of a later event of a key whose first id is taken. "#" stands in
// no id, so nothing else can be named so.
func repeatID(first, fingerprint string) string { return first + "#" + fingerprint }

// hashed is a fixed-length stand-in for a value that is too long or not safe where it must go.
func hashed(s string) string { return "=" + hashHex(s) }

func hashHex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// SubjectCovers reports whether every subject that matches pattern matches filter too; both may
// hold the wildcards "*" and ">".
func SubjectCovers(filter, pattern string) bool {
	f, p := strings.Split(filter, "."), strings.Split(pattern, ".")
	for i, token := range f {
		if token == ">" {
			return len(p) > i
		}
		if i >= len(p) || p[i] == ">" || token != "*" && token != p[i] {
			return false
		}
	}
	return len(f) == len(p)
}

// SubjectsOverlap reports whether some subject matches both a and b, which may hold the
// wildcards "*" and ">".
func SubjectsOverlap(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := 0; i < len(x) && i < len(y); i++ {
		if x[i] == ">" || y[i] == ">" {
			return true
		}
		if x[i] != y[i] && x[i] != "*" && y[i] != "*" {
			return false
		}
	}
	return len(x) == len(y)
}
