package app

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func nothingSet(string) (string, bool) { return "", false }

func TestPreviewsOfTwoConfigurationsShareTheirStandIns(t *testing.T) {
	s := mesh.Subscriber{Name: "crm", Redact: []mesh.Redaction{{Path: "name", With: mesh.RedactHash}}, RedactKey: "${KEY}"}
	e := mesh.Event{Body: []byte(`{"name":"Ada"}`)}
	hashed := func(p Preview, s mesh.Subscriber) string {
		applied, standIn, err := p.Shape(s)
		require.NoError(t, err)
		assert.Contains(t, standIn, "stand-in")
		shaped, gets, err := applied.Apply(t.Context(), e)
		require.NoError(t, err)
		assert.True(t, gets)
		return string(shaped.Body)
	}
	p := NewPreview(&mesh.Topology{}, nothingSet, "v1")
	other := s
	other.RedactKey = "${ANOTHER}"
	assert.Equal(t, hashed(p, s), hashed(p.Of(&mesh.Topology{}), s))
	assert.NotEqual(t, hashed(p, s), hashed(p, other), "another key would make other hashes")
	assert.NotEqual(t, hashed(p, s), hashed(NewPreview(&mesh.Topology{}, nothingSet, "v1"), s), "nobody can guess by a stand-in")

	s.When = "data.x ="
	_, _, err := p.Shape(s)
	assert.ErrorContains(t, err, "when")
}

func TestMirrorKeepsCredentialsAway(t *testing.T) {
	s := mesh.Subscriber{Name: "crm", Target: &mesh.Target{
		URL: "https://crm.example.com", Headers: map[string]string{"Authorization": "Basic x", "X-Tenant": "blue"},
		SecretHeaders: map[string]mesh.Secret{"X-Api-Key": "${KEY}"}, SigningSecrets: []mesh.Secret{"${SIGNING}"},
	}}
	target, standIn, err := NewPreview(&mesh.Topology{}, nothingSet, "v1").Mirror(s, "http://127.0.0.1:1")
	require.NoError(t, err, "what stays away need not be set")
	assert.Contains(t, standIn, "requests are not signed")
	require.NoError(t, target.Close())
	assert.Equal(t, map[string]string{"X-Tenant": "blue"}, withoutCredentials(s.Target.Headers))
}
