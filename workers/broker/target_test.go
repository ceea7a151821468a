package broker

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func TestURLs(t *testing.T) {
	for url, want := range map[string]string{
		"kafka://host/topic": "", "kafka://host:9092/topic?brokers=b:9092,c&tls=true": "", "kafka://u:p@host/topic?sasl=plain": "",
		"rabbit://host/exchange": "", "rabbit://host/?routing_key=queue": "", "rabbit://u:p@host:5672/e?vhost=v&mandatory=false": "",
		"kafka://host/":                           "not of the form",
		"kafka:///topic":                          "not of the form",
		"kafka://host/a/b":                        "not of the form",
		"kafka://host/topic?sasl=plain":           "needs a user",
		"kafka://u:s3cret@host/topic?sasl=s3cret": "none of plain",
		"kafka://host/topic?tls=s3cret":           "neither true nor false",
		"kafka://host/topic?s3cret=1":             "unknown parameter",
		"kafka://host/topic?a=%zs3cret":           "can't be read",
		"rabbit://host/":                          "not of the form",
		"rabbit://u:s3cret@host/e?prefetch=1":     "unknown parameter",
		"http://host/":                            `the scheme "http" is no broker's`,
		"kafka://u:s3cret@host:s3cret/topic":      "can't be read",
		"kafka://u:s3cret@host:99999999999/topic": "the settings of the Kafka client",
		"KAFKA://host/topic":                      "",
	} {
		checked := Check(mesh.Target{URL: url})
		made, err := New(mesh.Target{URL: url}, "crm", quiet())
		if want == "" {
			assert.NoError(t, checked, url)
			require.NoError(t, err, url)
			assert.NoError(t, made.Close())
			continue
		}
		require.ErrorContains(t, err, want, url)
		assert.ErrorContains(t, err, "subscriber crm")
		require.ErrorContains(t, checked, "url: ")
		assert.ErrorContains(t, err, strings.TrimPrefix(checked.Error(), "url: "), "both say the same")
		assert.NotContains(t, err.Error(), "s3cret")
	}
}

func TestCertificatesThatCannotBeRead(t *testing.T) {
	for _, scheme := range []string{"kafka", "rabbit"} {
		for says, files := range map[string]mesh.TargetTLS{
			"ca_file":                 {CAFile: "/nowhere/ca.pem"},
			"the certificate to show": {CertFile: "/nowhere/cert.pem", KeyFile: "/nowhere/key.pem"},
		} {
			target := mesh.Target{URL: scheme + "://host/name", TLS: &files}
			_, err := New(target, "crm", quiet())
			assert.ErrorContains(t, err, says)
			assert.NoError(t, Check(target), "the files are of the machine that serves")
		}
	}
}

func TestWhatIsNotBuiltInIsSaid(t *testing.T) {
	for scheme, tag := range known {
		got, ok := Known(scheme)
		assert.True(t, ok)
		assert.Equal(t, tag, got)
		if _, builtIn := makers()[scheme]; builtIn {
			assert.Contains(t, Schemes(), scheme)
			continue
		}
		_, err := New(mesh.Target{URL: scheme + "://name"}, "crm", quiet())
		assert.ErrorContains(t, err, "build with -tags "+tag)
	}
	_, ok := Known("http")
	assert.False(t, ok)
	assert.Subset(t, Schemes(), []string{"kafka", "rabbit"})
}
