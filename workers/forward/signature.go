package forward

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// The headers of the Standard Webhooks specification, as net/http spells them.
const (
	webhookID        = "Webhook-Id"
	webhookTimestamp = "Webhook-Timestamp"
	webhookSignature = "Webhook-Signature"

	webhookKeyPrefix = "whsec_"
	webhookVersion   = "v1,"
	// maxSigningKeys bounds the signatures of a request, each a hash of the whole body; receivers
	// look at no more either.
	maxSigningKeys = 16
)

// signer signs requests by the symmetric scheme of the Standard Webhooks specification: "v1," and
// base64 of HMAC-SHA256 over id, timestamp and body with "." between them, for each key
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
// A signer without secrets signs nothing.
type signer []*reloaded[[][]byte]

func newSigner(secrets []mesh.Secret, o Options) (signer, error) {
	var s signer
	keys := 0
	for i, secret := range secrets {
		what := fmt.Sprintf("signing_secrets[%d]", i)
		read, err := newSecret(what, secret, o, signingKeys)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		s, keys = append(s, read), keys+len(read.get())
	}
	switch {
	case len(secrets) > 0 && keys == 0:
		return nil, errors.New("signing_secrets: none of them is set; nothing could be signed")
	case keys > maxSigningKeys:
		return nil, fmt.Errorf("signing_secrets: %d keys; at most %d sign a request", keys, maxSigningKeys)
	}
	return s, nil
}

// signingKeys reads the keys of a secret, one in a line. Only an optional variable is empty.
func signingKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, webhookKeyPrefix))
		if err != nil || len(key) == 0 {
			return nil, fmt.Errorf(`key %d is not "whsec_" and base64, nor base64 alone`, len(keys)+1)
		}
		keys = append(keys, key)
	}
	if text != "" && len(keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return keys, nil
}

// sign sets the three headers. The id must have no "." in it: the signature could not tell it from
// the timestamp.
func (s signer) sign(h http.Header, id string, now time.Time, body []byte) {
	if len(s) == 0 {
		return
	}
	timestamp := strconv.FormatInt(now.Unix(), 10)
	prefix := []byte(id + "." + timestamp + ".")
	signatures := make([]byte, 0, 2*(len(webhookVersion)+base64.StdEncoding.EncodedLen(sha256.Size)+1))
	signed := 0
	for _, secret := range s {
		for _, key := range secret.get() {
			if signed == maxSigningKeys {
				break
			}
			if signed > 0 {
				signatures = append(signatures, ' ')
			}
			signatures = appendSignature(signatures, key, prefix, body)
			signed++
		}
	}
	h[webhookID] = []string{id}
	h[webhookTimestamp] = []string{timestamp}
	h[webhookSignature] = []string{string(signatures)}
}

func appendSignature(to, key, prefix, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(prefix) // a hash never fails
	mac.Write(body)
	var sum [sha256.Size]byte
	return base64.StdEncoding.AppendEncode(append(to, webhookVersion...), mac.Sum(sum[:0]))
}
