package genesys

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

const (
	jwtLeeway    = time.Minute
	jwtLifetime  = 5 * time.Minute // of those that sign makes
	bearerPrefix = "Bearer "
)

// jwtScheme is MethodJWT. Tokens signed with a shared key are taken only where the keys are shared ones,
// tokens of an issuer only where they are an issuer's: so the one is never taken for the other.
type jwtScheme struct {
	Verification
	keys   [][]byte        // shared ones
	issuer keyfunc.Keyfunc // nil if the keys are shared
	parser *jwt.Parser
}

func newJWT(v Verification, keys []string) (*jwtScheme, error) {
	s := &jwtScheme{Verification: v}
	options := []jwt.ParserOption{jwt.WithExpirationRequired(), jwt.WithLeeway(jwtLeeway), jwt.WithStrictDecoding()}
	if v.JWKSURL == "" {
		for _, key := range keys {
			s.keys = append(s.keys, []byte(key))
		}
		options = append(options, jwt.WithValidMethods([]string{"HS256"}))
	} else {
		var err error
		if s.issuer, err = issuerKeys(keys); err != nil {
			return nil, err
		}
		options = append(options, jwt.WithValidMethods([]string{
			"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
		}))
	}
	if v.Issuer != "" {
		options = append(options, jwt.WithIssuer(v.Issuer))
	}
	if v.Audience != "" {
		options = append(options, jwt.WithAudience(v.Audience))
	}
	s.parser = jwt.NewParser(options...)
	return s, nil
}

// issuerKeys makes one set of JSON Web Keys.
func issuerKeys(keys []string) (keyfunc.Keyfunc, error) {
	set := struct {
		Keys []json.RawMessage `json:"keys"`
	}{}
	for _, key := range keys {
		set.Keys = append(set.Keys, json.RawMessage(key))
	}
	raw, err := json.Marshal(set)
	if err != nil {
		return nil, errors.New("a key of the issuer is no JSON")
	}
	parsed, err := keyfunc.NewJWKSetJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("the issuer's keys: %w", err)
	}
	return parsed, nil
}

func (s *jwtScheme) verify(ctx context.Context, d *Delivery) error {
	value, err := only(d.Header, authorization)
	if err != nil {
		return err
	}
	if len(value) < len(bearerPrefix) || !strings.EqualFold(value[:len(bearerPrefix)], bearerPrefix) {
		return ErrSignatureMalformed
	}
	token := value[len(bearerPrefix):]
	if s.issuer != nil {
		_, err = s.parser.Parse(token, s.issuer.KeyfuncCtx(ctx))
		return tokenError(err)
	}
	for _, key := range s.keys {
		_, err = s.parser.Parse(token, func(*jwt.Token) (any, error) { return key, nil })
		if !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
			break
		}
	}
	return tokenError(err)
}

// tokenError puts what is wrong with a token into our words. A key that is not among those that are
// known is a mismatch, too: its issuer may have made it just now.
func tokenError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrTokenMalformed):
		return ErrSignatureMalformed
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		return ErrSignatureExpired
	case errors.Is(err, jwt.ErrTokenInvalidClaims):
		return fmt.Errorf("%w: %s", ErrSignatureClaims, wrongClaim(err)) // its key is known: others would not help
	}
	return ErrSignatureMismatch
}

// wrongClaim names what a token does not say as it should.
func wrongClaim(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "aud is not the source's audience"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "iss is not the source's issuer"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "it lacks exp, aud or iss"
	}
	return "its claims can't be used"
}

func (s *jwtScheme) sign(d *Delivery) error {
	if s.issuer != nil {
		return errors.New("only the issuer can make a token that is verified by its own keys")
	}
	claims := jwt.MapClaims{"exp": d.Received.Add(jwtLifetime).Unix(), "iat": d.Received.Unix()}
	if s.Issuer != "" {
		claims["iss"] = s.Issuer
	}
	if s.Audience != "" {
		claims["aud"] = s.Audience
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(s.keys[0])
	if err != nil {
		return fmt.Errorf("sign a token: %w", err)
	}
	d.Header.Set(authorization, bearerPrefix+token)
	return nil
}
