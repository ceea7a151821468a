package access

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/time/rate"
)

// provider is an identity provider that speaks OpenID Connect. It is looked up when somebody needs it first, and again while that fails, so that
// the console starts without it.
type provider struct {
	settings oidcSettings
	client   *http.Client
	now      func() time.Time
	// ends is done once the provider is not in force any more.
	ends  context.Context
	close context.CancelFunc

	mu       sync.Mutex
	found    *discovered
	failed   error
	failedAt time.Time
}

// discovered is what the provider says of itself.
type discovered struct {
	endpoint oauth2.Endpoint
	keys     *oidc.RemoteKeySet
}

const (
	providerTimeout = 10 * time.Second
	// rediscoverAfter is how long a provider that can't be reached is left alone.
	rediscoverAfter = 5 * time.Second
	// clockSkew is how far the provider's clock may be behind.
	clockSkew = time.Minute
	// maxProviderBytes bounds an answer of the provider.
	maxProviderBytes = 1 << 20
)

// errUnreachable means that the provider did not answer as it should, so that nothing is known of a token.
var errUnreachable = errors.New("the identity provider can't be reached")

func (g *Guard) newProvider(settings oidcSettings) *provider {
	p := &provider{settings: settings, now: func() time.Time { return g.now() }}
	p.ends, p.close = context.WithCancel(context.Background())
	p.client = &http.Client{Timeout: providerTimeout, Transport: &providerTransport{
		next:  http.DefaultTransport.(*http.Transport).Clone(),
		agent: "genmesh/" + g.options.Version,
		gets:  rate.NewLimiter(rate.Every(10*time.Second), 5),
	}}
	context.AfterFunc(p.ends, p.client.CloseIdleConnections)
	return p
}

// has reports whether the provider is the one that settings are about: the secret of the same file may have changed.
func (p *provider) has(settings *oidcSettings) bool {
	if p == nil || settings == nil {
		return p == nil && settings == nil
	}
	return p.settings.secret == settings.secret // the rest is the same, for the file is
}

// host is what people know the provider by.
func (p *provider) host() string {
	u, err := url.Parse(p.settings.Issuer)
	if err != nil {
		return "the identity provider"
	}
	return u.Hostname()
}

// discover looks the provider up, once.
func (p *provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	if p.failed != nil && p.now().Sub(p.failedAt) < rediscoverAfter {
		return nil, p.failed
	}
	found, err := p.lookUp(context.WithoutCancel(ctx)) // the others wait for it, too
	if err != nil {
		p.failed, p.failedAt = fmt.Errorf("%w: %w", errUnreachable, err), p.now()
		return nil, p.failed
	}
	p.found, p.failed = found, nil
	return found, nil
}

func (p *provider) lookUp(ctx context.Context) (*discovered, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	found, err := oidc.NewProvider(ctx, p.settings.Issuer)
	if err != nil {
		return nil, err
	}
	var more struct {
		Keys        string   `json:"jwks_uri"`
		AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := found.Claims(&more); err != nil {
		return nil, err
	}
	endpoint := found.Endpoint()
	for _, text := range []string{endpoint.AuthURL, endpoint.TokenURL, more.Keys} {
		if u, err := url.Parse(text); err != nil || !isSafeURL((&url.URL{Scheme: u.Scheme, Host: u.Host}).String()) {
			return nil, errors.New("it names an endpoint that is no https URL")
		}
	}
	// Without a secret the client only names itself. Basic is what counts where the provider says nothing (OpenID Connect Discovery, section 3).
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if p.settings.secret == "" || len(more.AuthMethods) > 0 && !slices.Contains(more.AuthMethods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &discovered{endpoint: endpoint, keys: oidc.NewRemoteKeySet(ctx, more.Keys)}, nil
}

func (p *provider) oauth(d *discovered) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.settings.ClientID, ClientSecret: p.settings.secret, Endpoint: d.endpoint,
		RedirectURL: p.settings.RedirectURL, Scopes: p.settings.Scopes,
	}
}

// redeem turns what came back from the provider into claims. The ID token must be about this very attempt, and for this client.
func (p *provider) redeem(ctx context.Context, code string, f flow) (claims, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return claims{}, err
	}
	token, err := p.oauth(d).Exchange(oidc.ClientContext(ctx, p.client), code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return claims{}, exchangeError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return claims{}, errors.New("the provider gave no ID token")
	}
	c, err := p.verify(ctx, raw)
	switch {
	case err != nil:
		return claims{}, err
	case subtle.ConstantTimeCompare([]byte(c.nonce), []byte(f.Nonce)) != 1:
		return claims{}, errors.New("the nonce of the ID token is another one")
	case c.all["azp"] != nil && c.all["azp"] != p.settings.ClientID:
		return claims{}, errors.New("the ID token was made for another client")
	}
	return c, nil
}

// exchangeError is what the token endpoint said, without its text: that is the provider's, and may repeat what it was sent.
func exchangeError(err error) error {
	var answered *oauth2.RetrieveError
	switch {
	case !errors.As(err, &answered):
		return fmt.Errorf("%w: no token", errUnreachable)
	case answered.Response.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("%w: the token endpoint answers %d", errUnreachable, answered.Response.StatusCode)
	}
	return fmt.Errorf("the token endpoint answers %d %q", answered.Response.StatusCode, cut(answered.ErrorCode))
}

// algorithms are those that a token may be signed by: none that needs a secret, and not "none".
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// verify checks a token's signature, issuer, audience and times. It fails with errUnreachable where that can't be done now.
func (p *provider) verify(ctx context.Context, token string) (claims, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return claims{}, err
	}
	keys := &keysOnce{KeySet: d.keys}
	verifier := oidc.NewVerifier(p.settings.Issuer, keys, &oidc.Config{
		ClientID: p.settings.ClientID, SupportedSigningAlgs: algorithms,
		Now: func() time.Time { return p.now().Add(-clockSkew) },
	})
	verified, err := verifier.Verify(ctx, token)
	if unreachable := (*url.Error)(nil); errors.As(keys.failed, &unreachable) {
		return claims{}, fmt.Errorf("%w: its keys: %w", errUnreachable, unreachable.Err)
	}
	if err != nil {
		return claims{}, err
	}
	c := claims{subject: verified.Subject, nonce: verified.Nonce, expires: verified.Expiry.Add(clockSkew)}
	return c, verified.Claims(&c.all)
}

// keysOnce keeps why a signature could not be checked: the verifier passes on only the text.
type keysOnce struct {
	oidc.KeySet
	failed error
}

// VerifySignature is that of the KeySet.
func (k *keysOnce) VerifySignature(ctx context.Context, token string) (payload []byte, err error) {
	payload, k.failed = k.KeySet.VerifySignature(ctx, token)
	return payload, k.failed
}

// providerTransport bounds what the provider is asked and what it may answer.
type providerTransport struct {
	next  *http.Transport
	agent string
	// gets bounds how often keys are fetched: each token with a key that is not known asks for them, and anybody can make one up. Whoever does
	// it brings the keys up to date, so that a rotation is seen all the same.
	gets *rate.Limiter
}

// CloseIdleConnections is what the client's calls.
func (t *providerTransport) CloseIdleConnections() { t.next.CloseIdleConnections() }

// RoundTrip fails where a GET is not answered 200, so that no answer of a proxy, and no redirect, is taken for the provider's.
func (t *providerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && !t.gets.Allow() {
		return nil, errors.New("it was asked too often")
	}
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", t.agent)
	answer, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK && (r.Method == http.MethodGet || answer.StatusCode < http.StatusBadRequest) {
		_ = answer.Body.Close() // nobody reads it
		return nil, fmt.Errorf("it answers %d", answer.StatusCode)
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxProviderBytes), answer.Body}
	return answer, nil
}
