package forward

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/mesh"
)

// TestAPortIsOneThatCanBeListenedOn: a slip of the finger in a port is found before the first event meets it.
func TestAPortIsOneThatCanBeListenedOn(t *testing.T) {
	for port, wrong := range map[string]bool{
		"": false, ":": false, ":1": false, ":443": false, ":65535": false, ":00443": false,
		":0": true, ":65536": true, ":99999999": true, ":" + strings.Repeat("9", 100): true,
	} {
		host := "s3cret:s3cret@crm.example.com" + port
		for field, target := range map[string]mesh.Target{
			"url":   {URL: "https://" + host + "/s3cret?s3cret"},
			"proxy": {URL: "https://crm.example.com/", Proxy: "http://" + host},
			"auth.token_url": {URL: "https://crm.example.com/", Auth: &mesh.TargetAuth{
				Method: mesh.AuthOAuth2, TokenURL: "https://crm.example.com" + port + "/s3cret", ClientID: "id", ClientSecret: "${KEY}",
			}},
		} {
			err := Check(target)
			if !wrong {
				assert.NoError(t, err, "%s with %q", field, port)
				continue
			}
			assert.ErrorContains(t, err, field+": ", port)
			assert.ErrorContains(t, err, "ports are 1 to 65535", port)
			assert.NotContains(t, err.Error(), "s3cret")
			assert.Less(t, len(err.Error()), 100)
		}
	}
}
