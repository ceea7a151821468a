package genesys

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The headers of the Standard Webhooks specification.
const (
	webhookID        = "Webhook-Id"
	webhookTimestamp = "Webhook-Timestamp"
	webhookSignature = "Webhook-Signature"

	webhookKeyPrefix     = "whsec_"
	webhookVersion       = "v1,"
	maxWebhookSignatures = 16
)

// standardWebhooks is MethodStandardWebhooks: "v1," and base64 of HMAC-SHA256 over id, timestamp and
// body with "." between them; several signatures with a blank between them while keys rotate
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
type standardWebhooks struct {
	keys      [][]byte
	tolerance time.Duration
}

func newStandardWebhooks(v Verification, keys []string) (*standardWebhooks, error) {
	s := &standardWebhooks{tolerance: v.Tolerance}
	var err error
	s.keys, err = decodeKeys(keys, webhookKeyPrefix)
	return s, err
}

// decodeKeys reads base64 keys. The error does not show them.
func decodeKeys(keys []string, prefix string) ([][]byte, error) {
	decoded := make([][]byte, len(keys))
	for i, key := range keys {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key, prefix))
		if err != nil || len(raw) == 0 {
			return nil, fmt.Errorf("secret %d of %d is not base64", i+1, len(keys))
		}
		decoded[i] = raw
	}
	return decoded, nil
}

func (s *standardWebhooks) verify(_ context.Context, d *Delivery) error {
	var id, timestamp, signatures string
	for _, h := range []struct {
		name  string
		value *string
	}{{webhookID, &id}, {webhookTimestamp, &timestamp}, {webhookSignature, &signatures}} {
		var err error
		if *h.value, err = only(d.Header, h.name); err != nil {
			return err
		}
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || id == "" {
		return ErrSignatureMalformed
	}
	if err := s.matches(id, timestamp, signatures, d.Body); err != nil {
		return err
	}
	if !isFresh(time.Unix(seconds, 0), d.Received, s.tolerance) {
		return ErrSignatureExpired
	}
	return nil
}

// matches tries every key with every signature, whichever matched.
func (s *standardWebhooks) matches(id, timestamp, signatures string, body []byte) error {
	var sent [][]byte
	for text := range strings.SplitSeq(signatures, " ") {
		encoded, ok := strings.CutPrefix(text, webhookVersion)
		raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if !ok || err != nil {
			continue // of another version, or none; another of them may be good
		}
		if len(sent) == maxWebhookSignatures {
			return ErrSignatureMalformed
		}
		sent = append(sent, raw)
	}
	if len(sent) == 0 {
		return ErrSignatureMalformed
	}
	matched := false
	for _, key := range s.keys {
		want := webhookMAC(key, id, timestamp, body)
		for _, signature := range sent {
			if hmac.Equal(want, signature) {
				matched = true
			}
		}
	}
	if !matched {
		return ErrSignatureMismatch
	}
	return nil
}

func webhookMAC(key []byte, id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{id, ".", timestamp, "."} {
		mac.Write([]byte(part)) // a hash never fails
	}
	mac.Write(body)
	return mac.Sum(nil)
}

// sign keeps an id that the delivery has. Without one it makes one of the body, so that the same body
// sent again has the same.
func (s *standardWebhooks) sign(d *Delivery) error {
	id := d.Header.Get(webhookID)
	if id == "" {
		sum := sha256.Sum256(d.Body)
		id = "msg_" + base64.RawURLEncoding.EncodeToString(sum[:16])
	}
	timestamp := strconv.FormatInt(d.Received.Unix(), 10)
	d.Header.Set(webhookID, id)
	d.Header.Set(webhookTimestamp, timestamp)
	d.Header.Set(webhookSignature, webhookVersion+base64.StdEncoding.EncodeToString(webhookMAC(s.keys[0], id, timestamp, d.Body)))
	return nil
}
