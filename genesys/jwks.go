package genesys

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

const (
	maxJWKSBytes = 1 << 20
	maxJWKs      = 64
	minRSABytes  = 2048 / 8 // RFC 7518, 3.3
)

// FetchIssuerKeys asks for the public keys of an issuer of tokens, a JSON Web Key Set (RFC 7517): each
// key as JSON, for NewVerifier. Keys that are for something else than signing, of a kind that is
// not understood, or RSA of less than 2048 bits, are left out. It follows no redirects: the keys decide who may bring events.
func FetchIssuerKeys(ctx context.Context, url string) ([]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() // only read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, response.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxJWKSBytes+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxJWKSBytes {
		return nil, fmt.Errorf("%s answers with more than %d bytes", url, maxJWKSBytes)
	}
	return signingKeys(raw)
}

func signingKeys(raw []byte) ([]string, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, errors.New("what the issuer answers is no JSON Web Key Set")
	}
	var keys []string
	for _, key := range set.Keys {
		var is struct{ Use, Kty, N string }
		if json.Unmarshal(key, &is) != nil || is.Use != "" && is.Use != "sig" {
			continue
		}
		if is.Kty == "RSA" && base64.RawURLEncoding.DecodedLen(len(is.N)) < minRSABytes {
			continue // anybody could find the other half
		}
		if _, err := issuerKeys([]string{string(key)}); err != nil {
			continue
		}
		if keys = append(keys, string(key)); len(keys) > maxJWKs {
			return nil, fmt.Errorf("the issuer has more than %d keys", maxJWKs)
		}
	}
	return keys, nil
}
