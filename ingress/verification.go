package ingress

import (
	"time"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
)

// NewVerifier makes the verifier of a source for the given keys. Several are valid at once.
func NewVerifier(source mesh.Source, keys []string) (*genesys.Verifier, error) {
	return genesys.NewVerifier(Verification(source.Verification), keys)
}

// Verification is what streams.json says about a source's verification, in the terms of package genesys.
func Verification(v mesh.Verification) genesys.Verification {
	return genesys.Verification{
		Method:          genesys.Method(v.Method),
		Header:          v.Header,
		Algorithm:       v.Algorithm,
		Encodings:       v.Encodings,
		Prefix:          v.Prefix,
		Signed:          v.Signed,
		TimestampHeader: v.TimestampHeader,
		Tolerance:       time.Duration(v.Tolerance),
		Components:      v.Components,
		Issuer:          v.Issuer,
		Audience:        v.Audience,
		JWKSURL:         v.JWKSURL,
	}
}
