package cli

import (
	"encoding/base64"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
)

func TestAuditNamesTheUserAndNoSecret(t *testing.T) {
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"name":"ops","sub":"UABC"}`))
	jwt := func() (string, error) { return "e30." + claims + ".c2ln", nil }
	for _, tc := range []struct {
		options   nats.Options
		connected string
		want      string
	}{
		{nats.Options{User: "ops", Password: testSecret}, "nats://n1", "ops"},
		{nats.Options{UserJWT: jwt, Nkey: "UABC"}, "nats://n1", "ops UABC"},
		{nats.Options{Nkey: "UABC"}, "nats://n1", "UABC"},
		{nats.Options{}, "nats://ops:" + testSecret + "@n1", "ops"},
		{nats.Options{Token: testSecret}, "nats://n1", ""},
		{nats.Options{}, "nats://" + testSecret + "@n1", ""},
		{nats.Options{}, "nats://n1", ""},
	} {
		assert.Equal(t, tc.want, natsUser(tc.options, tc.connected))
	}
}

func FuzzUserOfJWT(f *testing.F) {
	f.Add("e30.eyJuYW1lIjoib3BzIn0.c2ln")
	f.Add("..")
	f.Add("")
	f.Add("a.bnVsbA.c")
	f.Fuzz(func(t *testing.T, token string) { _ = userOfJWT(token) })
}
