package genesys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

const (
	jwtLeeway    = time.Minute
	jwtLifetime  = 5 * time.Minute // of those that sign makes
	bearerPrefix = "Bearer "
)

// jwtScheme is MethodJWT. Tokens signed with a shared key are taken only where keys are given, tokens
// of an issuer only where its keys' URL is: so the one is never taken for the other.
type jwtScheme struct {
	Verification
	keys   [][]byte
	issuer *issuerKeys
	parser *jwt.Parser
}

func newJWT(v Verification, keys []string) (*jwtScheme, error) {
	s := &jwtScheme{Verification: v}
	options := []jwt.ParserOption{jwt.WithExpirationRequired(), jwt.WithLeeway(jwtLeeway)}
	switch {
	case v.JWKSURL != "" && len(keys) > 0:
		return nil, errors.New("a jwt is signed with a secret or by an issuer, not both")
	case v.JWKSURL != "":
		s.issuer = &issuerKeys{url: v.JWKSURL}
		options = append(options, jwt.WithValidMethods([]string{
			"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
		}))
	default:
		if err := checkKeys(keys); err != nil {
			return nil, err
		}
		for _, key := range keys {
			s.keys = append(s.keys, []byte(key))
		}
		options = append(options, jwt.WithValidMethods([]string{"HS256"}))
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
		return s.judge(s.parser.Parse(token, s.issuer.lookup(ctx, d.Received)))
	}
	for _, key := range s.keys {
		_, err = s.parser.Parse(token, func(*jwt.Token) (any, error) { return key, nil })
		if !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
			break
		}
	}
	return s.judge(nil, err)
}

// judge puts what is wrong with a token into our words.
func (s *jwtScheme) judge(_ *jwt.Token, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrKeysUnavailable):
		return err
	case errors.Is(err, jwt.ErrTokenMalformed):
		return ErrSignatureMalformed
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		return ErrSignatureExpired
	}
	return ErrSignatureMismatch
}

func (s *jwtScheme) sign(d *Delivery) error {
	if len(s.keys) == 0 {
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

// issuerKeys are an issuer's public keys. They are fetched when they are needed first, and again
// when a token names a key that is not among them: then at most once a minute, whoever asks.
type issuerKeys struct {
	url string

	mu      sync.Mutex
	keys    keyfunc.Keyfunc
	fetched time.Time
	tried   time.Time
}

const (
	minFetchInterval = time.Minute
	jwksTimeout      = 2 * time.Second
	maxJWKSBytes     = 1 << 20
)

// lookup finds the key of a token that came at the given time. A key that is not among those that
// were fetched after that time is unknown for good; among older ones it may only be too new.
func (k *issuerKeys) lookup(ctx context.Context, received time.Time) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.keys != nil {
			if key, err := k.keys.KeyfuncCtx(ctx)(token); err == nil {
				return key, nil
			}
			if k.fetched.After(received) {
				return nil, ErrSignatureMismatch
			}
		}
		if err := k.fetch(ctx); err != nil {
			return nil, err
		}
		return k.keys.KeyfuncCtx(ctx)(token)
	}
}

// fetch gets the keys anew, for all that wait for the lock too.
func (k *issuerKeys) fetch(ctx context.Context) error {
	if time.Since(k.tried) < minFetchInterval {
		return fmt.Errorf("%w: they were asked for less than a minute ago", ErrKeysUnavailable)
	}
	k.tried = time.Now()
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	defer response.Body.Close() // only read
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxJWKSBytes))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s answers %s", ErrKeysUnavailable, k.url, response.Status)
	}
	keys, err := keyfunc.NewJWKSetJSON(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	k.keys, k.fetched = keys, time.Now()
	return nil
}
