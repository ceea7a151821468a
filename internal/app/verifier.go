package app

import (
	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

// verifier verifies the deliveries of a source with the secrets that it has now.
func (a *app) verifier(s mesh.Source) (ingress.Verifier, error) {
	if s.Verification.JWKSURL != "" {
		return ingress.NewVerifier(s, nil)
	}
	keys, err := s.ResolveSecrets(a.LookupEnv)
	if err != nil {
		return nil, err
	}
	return ingress.NewVerifier(s, keys)
}
