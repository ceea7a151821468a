package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/sync/singleflight"
)

const (
	// tokenMargin is how long before its end a token is no longer used.
	tokenMargin  = time.Minute
	tokenTimeout = 10 * time.Second
)

// tokens has one token for all that need one, until shortly before its end.
type tokens struct {
	config clientcredentials.Config
	http   *http.Client

	flight  singleflight.Group
	mu      sync.Mutex
	current *oauth2.Token
	fetched time.Time
}

// get is the token of now. Those that need a new one at the same time share one request, which goes
// on when one of them leaves.
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
		return "", ctx.Err()
	}
}

// live is the token that is known, unless it ends soon.
func (t *tokens) live() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == nil || !t.current.Expiry.IsZero() && time.Until(t.current.Expiry) <= tokenMargin {
		return "", false
	}
	return t.current.AccessToken, true
}

func (t *tokens) fetch() (any, error) {
	// Another fetch may have ended after this one was found to be needed and before it began.
	if token, ok := t.live(); ok {
		return token, nil
	}
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), oauth2.HTTPClient, t.http), tokenTimeout)
	defer cancel()
	token, err := t.config.Token(ctx)
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		// Its text holds the whole answer.
		return nil, t.refusal(refused.Response.StatusCode)
	}
	if err != nil {
		return nil, fmt.Errorf("genesys cloud: no token from %s: %w", t.config.TokenURL, err)
	}
	t.mu.Lock()
	t.current, t.fetched = token, time.Now()
	t.mu.Unlock()
	return token.AccessToken, nil
}

func (t *tokens) refusal(status int) error {
	if status == http.StatusBadRequest || status == http.StatusUnauthorized {
		return fmt.Errorf("%w at %s (%d): check the region, client_id and client_secret, and that its grant is client credentials",
			ErrUnauthorized, t.config.TokenURL, status)
	}
	return fmt.Errorf("genesys cloud: no token from %s: status %d", t.config.TokenURL, status)
}

// drop forgets a token that was refused, unless there is another by now.
func (t *tokens) drop(refused string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current != nil && t.current.AccessToken == refused {
		t.current = nil
	}
}

// dropOlder forgets a token that was fetched longer ago than that.
func (t *tokens) dropOlder(age time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Since(t.fetched) > age {
		t.current = nil
	}
}

// expiry is when the token of now ends; zero if that is not known.
func (t *tokens) expiry() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == nil {
		return time.Time{}
	}
	return t.current.Expiry
}
