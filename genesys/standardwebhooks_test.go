package genesys_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
)

func TestStandardWebhook(t *testing.T) {
	key, body, at := []byte("a key"), []byte(`{"id":"1"}`), fmt.Sprint(now.Unix())
	signed := func(key []byte, id, at string) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + at + "." + string(body)))
		return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	good, other := signed(key, "msg_1", at), signed([]byte("another key"), "msg_1", at)
	loose := looseBit(strings.TrimRight(good, "=")) + "="
	times := func(n int, text string) string { return strings.Repeat(text+" ", n) }
	v, err := genesys.NewVerifier(genesys.Verification{Method: genesys.MethodStandardWebhooks}, []string{"whsec_" + base64.StdEncoding.EncodeToString(key)})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		id, at, signatures string
		want               error
	}{
		"good": {"msg_1", at, good, nil},

		"an empty id":              {"", at, signed(key, "", at), genesys.ErrSignatureMalformed},
		"another id":               {"msg_2", at, good, genesys.ErrSignatureMismatch},
		"another time":             {"msg_1", fmt.Sprint(now.Unix() + 1), good, genesys.ErrSignatureMismatch},
		"a time that is no number": {"msg_1", "now", signed(key, "msg_1", "now"), genesys.ErrSignatureMalformed},
		"six minutes early":        {"msg_1", fmt.Sprint(now.Unix() - 360), signed(key, "msg_1", fmt.Sprint(now.Unix()-360)), genesys.ErrSignatureExpired},

		"another key's before it":     {"msg_1", at, other + " " + good, nil},
		"another key's after it":      {"msg_1", at, good + " " + other, nil},
		"a malformed one before it":   {"msg_1", at, "v1,!! " + good, nil},
		"a malformed one after it":    {"msg_1", at, good + " v1,!!", nil},
		"two blanks between them":     {"msg_1", at, other + "  " + good, nil},
		"another version's before it": {"msg_1", at, "v1a,AAAA " + good, nil},
		"only another version":        {"msg_1", at, "v1a," + good[len("v1,"):], genesys.ErrSignatureMalformed},
		"no version":                  {"msg_1", at, good[len("v1,"):], genesys.ErrSignatureMalformed},
		"only a malformed one":        {"msg_1", at, "v1,!!", genesys.ErrSignatureMalformed},
		"only another key's":          {"msg_1", at, other, genesys.ErrSignatureMismatch},
		"commas between them":         {"msg_1", at, good + "," + good, genesys.ErrSignatureMalformed},

		"a loose bit":         {"msg_1", at, loose, genesys.ErrSignatureMalformed},
		"without its padding": {"msg_1", at, strings.TrimRight(good, "="), genesys.ErrSignatureMalformed},

		"the last of 16":                        {"msg_1", at, times(15, other) + good, nil},
		"the last of 17":                        {"msg_1", at, times(16, other) + good, genesys.ErrSignatureMalformed},
		"the first of 17":                       {"msg_1", at, good + " " + times(16, other), genesys.ErrSignatureMalformed},
		"the last of many of another version's": {"msg_1", at, times(50, "v1a,AAAA") + good, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := &genesys.Delivery{Body: body, Received: now, Header: http.Header{
				"Webhook-Id": {c.id}, "Webhook-Timestamp": {c.at}, "Webhook-Signature": {c.signatures},
			}}
			assert.ErrorIs(t, v.Verify(t.Context(), d), c.want)
		})
	}
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		d := &genesys.Delivery{Body: body, Received: now, Header: http.Header{
			"Webhook-Id": {"msg_1"}, "Webhook-Timestamp": {at}, "Webhook-Signature": {good},
		}}
		d.Header.Add(name, d.Header.Get(name))
		assert.ErrorIs(t, v.Verify(t.Context(), d), genesys.ErrSignatureSeveral, "two lines of %s", name)
		d.Header.Del(name)
		assert.ErrorIs(t, v.Verify(t.Context(), d), genesys.ErrSignatureMissing, "no %s", name)
	}
}
