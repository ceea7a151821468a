package admin

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func TestAConfigurationIsShownWithoutTheKeysThatStandInIt(t *testing.T) {
	for written, shown := range map[string]string{
		`{"url": "https://crm.example.com/events"}`:                                 `{"url": "https://crm.example.com/events"}`,
		`{"url": "https://hunter2@crm.example.com/"}`:                               `{"url": "https://…@crm.example.com/"}`,
		`{"url": "https:\/\/u:hunter2@crm.example.com/"}`:                           `{"url": "https://…@crm.example.com/"}`,
		`{"url": "https://${USER}:${PASSWORD}@crm.example.com/"}`:                   `{"url": "https://${USER}:${PASSWORD}@crm.example.com/"}`,
		`{"url": "https://me:${PASSWORD}@crm.example.com/"}`:                        `{"url": "https://…@crm.example.com/"}`,
		`{"url": "${CRM_URL:-https://u:hunter2@crm/}"}`:                             `{"url": "${CRM_URL:-https://…@crm/}"}`,
		`{"url": "https://crm/?a=1&key=hunter2&b=${B}&hunter2"}`:                    `{"url": "https://crm/?a=…&key=…&b=${B}&…"}`,
		`{"headers": {"X-Key": "hunter2", "Y": "${Y}"},` + "\n" + ` "headersx": 1}`: `{"headers": {"X-Key": "…", "Y": "${Y}"},` + "\n" + ` "headersx": 1}`,
		`{"headers": {"X-Key": "Bearer ${hunter2:-hunter2}"}}`:                      `{"headers": {"X-Key": "…"}}`,
		"{\n\t\"description\": \"What? a=b, 100%\"\n}":                              "{\n\t\"description\": \"What? a=b, 100%\"\n}",
		`https://u:hunter2@crm/`:                                                    `https://…@crm/`,
		`24 https://u:hunter2@crm/`:                                                 `24 https://…@crm/`,
		`24h`:                                                                       `24h`,
		``:                                                                          ``,
	} {
		assert.Equal(t, shown, withoutSecrets(written))
	}
	steps := []mesh.Step{{Name: "crm", Changes: []mesh.Change{{Field: "target", From: `{"headers":{"k":"hunter2"}}`, To: `{"url":"https://hunter2@x"}`}}}}
	assert.Equal(t, []mesh.Change{{Field: "target", From: `{"headers":{"k":"…"}}`, To: `{"url":"https://…@x"}`}}, stepsWithoutSecrets(steps)[0].Changes)
	assert.Contains(t, steps[0].Changes[0].From, "hunter2", "the plan itself stays as it is")
}

func FuzzWithoutSecrets(f *testing.F) {
	f.Add("hunter2")
	f.Add(`x"y\`)
	f.Fuzz(func(t *testing.T, header string) {
		if references.MatchString(header) {
			return
		}
		quoted, err := jsontext.AppendQuote(nil, header)
		if err != nil || header == leftOut {
			return
		}
		shown := withoutSecrets(`{"target": {"headers": {"k": ` + string(quoted) + `}}}`)
		require.Equal(t, `{"target": {"headers": {"k": "…"}}}`, shown)
	})
}
