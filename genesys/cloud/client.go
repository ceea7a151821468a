package cloud

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Options is what a Client is made of.
type Options struct {
	// Region is an AWS region or a domain of Genesys Cloud; see Regions. URL stands in for it where
	// the API is elsewhere, and LoginURL for where tokens come from then (default: URL).
	Region, URL, LoginURL  string
	ClientID, ClientSecret string
	UserAgent              string
	// HTTPClient defaults to one of its own. Its Timeout and CheckRedirect are not used.
	HTTPClient *http.Client
}

// Client speaks to the API of one organization. It is safe for concurrent use.
type Client struct {
	api       string
	userAgent string
	http      *http.Client
	tokens    *tokens
	pace      pace
}

const (
	attemptTimeout = 15 * time.Second
	maxAttempts    = 4
	maxAnswerBytes = 8 << 20
	retryBase      = 500 * time.Millisecond
)

// New makes a client. It speaks to nobody yet.
func New(o Options) (*Client, error) {
	api, login, err := o.hosts()
	if err != nil {
		return nil, err
	}
	if o.ClientID == "" || o.ClientSecret == "" {
		return nil, errors.New("the Genesys Cloud API needs the id and the secret of an OAuth client")
	}
	client := new(http.Client)
	if o.HTTPClient != nil {
		*client = *o.HTTPClient
	}
	client.Timeout = attemptTimeout
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a token goes where it was meant to, and nowhere else
	}
	return &Client{
		api: api, userAgent: cmp.Or(o.UserAgent, "genmesh"), http: client,
		tokens: &tokens{http: client, config: clientcredentials.Config{
			ClientID: o.ClientID, ClientSecret: o.ClientSecret,
			TokenURL: login + "/oauth/token", AuthStyle: oauth2.AuthStyleInHeader,
		}},
	}, nil
}

// Authenticate finds out whether the OAuth client is accepted. It needs no permission.
func (c *Client) Authenticate(ctx context.Context) error {
	_, err := c.tokens.get(ctx)
	return err
}

// call is one request to the API.
type call struct {
	method, path string
	query        url.Values
	in, out      any // JSON; nil where there is none
	permission   string
	secret       string // a part of the path that errors must not show
}

// do makes a call and repeats it as often as that may help: with a new token after a 401, after the
// asked time after a 429, and, where doing it twice is doing it once, after a 5xx or no answer.
func (c *Client) do(ctx context.Context, call call) error {
	var body []byte
	if call.in != nil {
		var err error
		if body, err = json.Marshal(call.in); err != nil {
			return err
		}
	}
	renewed := false
	for attempt := 1; ; attempt++ {
		if err := c.pace.wait(ctx); err != nil {
			return fmt.Errorf("genesys cloud: %s: %w", call, err)
		}
		token, err := c.tokens.get(ctx)
		if err != nil {
			return err
		}
		err = c.try(ctx, call, body, token)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ErrUnauthorized) && !renewed:
			c.tokens.drop(token)
			renewed = true
			continue
		case attempt == maxAttempts || ctx.Err() != nil || !call.mayRepeat(err):
			return err
		case !errors.Is(err, ErrRateLimited): // for that there is a pace
			if err := sleep(ctx, retryBase<<attempt/2+rand.N(retryBase)); err != nil {
				return err
			}
		}
	}
}

// String names the call in errors.
func (call call) String() string { return call.method + " " + call.hidden(call.path) }

// hide takes the secret out of an error.
func (call call) hide(err error) error {
	if answered, ok := errors.AsType[*Error](err); ok {
		answered.Path, answered.Message = call.hidden(answered.Path), call.hidden(answered.Message)
	}
	if unanswered, ok := errors.AsType[*url.Error](err); ok {
		unanswered.URL = call.hidden(unanswered.URL)
	}
	return err
}

func (call call) hidden(text string) string {
	if call.secret == "" {
		return text
	}
	return strings.NewReplacer(call.secret, "{id}", url.PathEscape(call.secret), "{id}").Replace(text)
}

// mayRepeat reports whether a failed call may be made again.
func (call call) mayRepeat(err error) bool {
	answered, ok := errors.AsType[*Error](err)
	switch {
	case errors.Is(err, ErrRateLimited):
		return true
	case ok && answered.Status < http.StatusInternalServerError:
		return false
	}
	return call.method != http.MethodPost // a POST may have made something
}

func (c *Client) try(ctx context.Context, call call, body []byte, token string) error {
	address := c.api + call.path
	if len(call.query) > 0 {
		address += "?" + call.query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, call.method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("User-Agent", c.userAgent)
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("genesys cloud: %w", call.hide(err))
	}
	defer response.Body.Close() // only read
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err != nil || len(answer) > maxAnswerBytes {
		return fmt.Errorf("genesys cloud: %s: the answer can't be read, or has more than %d bytes", call, maxAnswerBytes)
	}
	c.pace.learn(response)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		answer = bytes.ReplaceAll(answer, []byte(token), []byte("…")) // some echo what they were sent
		return call.hide(newError(response, answer, call.permission))
	}
	if call.out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, call.out); err != nil {
		return fmt.Errorf("genesys cloud: %s: the answer is not what the API is said to answer", call)
	}
	return nil
}
