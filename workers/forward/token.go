package forward

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

const (
	tokenTimeout = 10 * time.Second
	// tokenMargin is how long before its end a token is no longer used; a quarter of its life if
	// that is less.
	tokenMargin = 30 * time.Second
	// freshToken is up to which age a token that the target refuses is not bought anew: it can hardly
	// have been revoked, and another one would be refused, too.
	freshToken = 10 * time.Second
)

// tokens has one token of the client credentials grant (RFC 6749, section 4.4) for all events, until
// shortly before its end. Its methods are safe for concurrent use.
type tokens struct {
	host   string // all that errors say of the token endpoint
	secret *reloaded[string]
	client *http.Client
	// ctx ends with the target.
	ctx    context.Context
	cancel context.CancelFunc

	flight singleflight.Group
	// config and styled belong to the flight.
	config clientcredentials.Config
	styled bool // config.AuthStyle is known to be the right one

	mu       sync.Mutex
	current  string
	bought   time.Time
	useUntil time.Time // zero: until it is refused
}

func newTokens(auth *mesh.TargetAuth, transport http.RoundTripper, o Options) (*tokens, error) {
	u, err := parseURL(auth.TokenURL)
	if err != nil {
		return nil, within("auth.token_url", err)
	}
	secret, err := newSecret("auth.client_secret", auth.ClientSecret, o, func(secret string) (string, error) {
		return secret, missing("the value", secret)
	})
	if err != nil {
		return nil, within("auth.client_secret", err)
	}
	params := url.Values{}
	if auth.Audience != "" {
		params.Set("audience", auth.Audience)
	}
	ctx, cancel := context.WithCancel(context.Background())
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a secret goes where it was meant to, and nowhere else
	}}
	return &tokens{
		host: u.Host, secret: secret, client: client, ctx: ctx, cancel: cancel,
		config: clientcredentials.Config{
			ClientID: auth.ClientID, TokenURL: auth.TokenURL, Scopes: auth.Scopes, EndpointParams: params,
			AuthStyle: oauth2.AuthStyleInHeader,
		},
	}, nil
}

// get is the token of now. Those that need a new one at the same time share one request, which goes
// on when one of them leaves. The error is the event's fate: whatever is wrong with the token endpoint,
// no event is to blame, so the subscriber waits and no attempt is spent.
func (t *tokens) get(ctx context.Context) (string, error) {
	if token, ok := t.live(); ok {
		return token, nil
	}
	select {
	case result := <-t.flight.DoChan("", t.fetch):
		if result.Err != nil {
			return "", result.Err
		}
		return result.Val.(string), nil
	case <-ctx.Done():
		return "", workers.Unusable(&workers.Failure{Err: fmt.Errorf("no token from %s in time: %w", t.host, ctx.Err())})
	}
}

// live is the token that is known, unless it ends soon.
func (t *tokens) live() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == "" || !t.useUntil.IsZero() && time.Now().After(t.useUntil) {
		return "", false
	}
	return t.current, true
}

func (t *tokens) fetch() (any, error) {
	// Another fetch may have ended after this one was found to be needed and before it began.
	if token, ok := t.live(); ok {
		return token, nil
	}
	ctx, cancel := context.WithTimeout(context.WithValue(t.ctx, oauth2.HTTPClient, t.client), tokenTimeout)
	defer cancel()
	t.config.ClientSecret = t.secret.get()
	token, err := t.request(ctx)
	if err != nil {
		return nil, t.failure(err)
	}
	if err := checkToken(token.AccessToken); err != nil {
		return nil, workers.Unusable(&workers.Failure{Err: fmt.Errorf("the answer of %s can't be used: %w", t.host, err)})
	}
	t.keep(token)
	return token.AccessToken, nil
}

// request shows who asks by HTTP Basic, which servers must take (RFC 6749, section 2.3.1), and, where
// that is refused, by parameters, which some take alone. What worked once is used from then on.
func (t *tokens) request(ctx context.Context) (*oauth2.Token, error) {
	token, err := t.config.Token(ctx)
	if isRefusal(err) && !t.styled {
		t.config.AuthStyle = oauth2.AuthStyleInParams
		if token, err = t.config.Token(ctx); err != nil {
			t.config.AuthStyle = oauth2.AuthStyleInHeader
		}
	}
	t.styled = t.styled || err == nil
	return token, err
}

func isRefusal(err error) bool {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	return ok && (refused.Response.StatusCode == http.StatusBadRequest || refused.Response.StatusCode == http.StatusUnauthorized)
}

func (t *tokens) keep(token *oauth2.Token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current, t.bought, t.useUntil = token.AccessToken, time.Now(), time.Time{}
	if !token.Expiry.IsZero() {
		t.useUntil = token.Expiry.Add(-min(tokenMargin, time.Until(token.Expiry)/4))
	}
}

// failure makes the event's fate of an error, whose own text may hold the URL or the whole answer.
func (t *tokens) failure(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return t.refusal(refused.Response, time.Now())
	}
	if proxied, ok := errors.AsType[*proxyRefusal](err); ok {
		return workers.Unusable(proxied.fate(t.host))
	}
	reason := "its answer can't be read, or has no access_token"
	if sent, ok := errors.AsType[*url.Error](err); ok {
		reason = sent.Err.Error()
	}
	return workers.Unusable(&workers.Failure{Err: fmt.Errorf("no token from %s: %.300s", t.host, reason)})
}

// refusal waits as long as an endpoint asks that is busy or broken, and says what to look at where the
// configuration is wrong.
func (t *tokens) refusal(answer *http.Response, now time.Time) error {
	status := answer.StatusCode
	failure := &workers.Failure{Err: fmt.Errorf("no token from %s: it answered %d", t.host, status)}
	if status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests {
		wait, _ := waitHint(answer.Header, now)
		return workers.RetryAfter(wait, failure)
	}
	return workers.Unusable(fmt.Errorf("%w: check auth.token_url, client_id, client_secret, scopes and audience", failure))
}

// renew forgets a token that the target refused, unless it is a fresh one. It reports whether the event
// may be tried again at once, with another token: there is one already, or one is bought.
func (t *tokens) renew(refused string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != refused {
		return true
	}
	if time.Since(t.bought) < freshToken {
		return false
	}
	t.current = ""
	return true
}

// close ends a fetch under way and waits for it. get must not be called any more.
func (t *tokens) close() {
	t.cancel()
	_, _, _ = t.flight.Do("", func() (any, error) { return nil, nil })
	t.client.CloseIdleConnections()
}
