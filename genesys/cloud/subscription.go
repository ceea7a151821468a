package cloud

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Subscription is a webhook subscription: which events Genesys Cloud posts where. Its resource is
// /api/v2/eventstreams/subscriptions.
type Subscription struct {
	ID          string      `json:"id,omitempty"` // set by Genesys Cloud
	Name        string      `json:"name"`
	Description string      `json:"description,omitempty"`
	EventTypes  []string    `json:"eventTypes"`
	TargetURL   string      `json:"targetUrl"`
	HTTPMethod  string      `json:"httpMethod"` // "POST"
	RetryPolicy RetryPolicy `json:"retryPolicy"`
	Active      bool        `json:"active"`
	// PublicKey is the key that deliveries are signed with, and Secret the same by another name. The
	// signature is an HMAC, so both are shared secrets whatever they are called; they are only in
	// the answer to a GET of one subscription and are never logged.
	PublicKey string `json:"publicKey,omitempty"`
	Secret    string `json:"secret,omitempty"`
	// Version is the revision of the resource; an update must name the one that it changes.
	Version      int       `json:"version,omitempty"`
	DateModified time.Time `json:"dateModified,omitzero"`
}

// RetryPolicy is what Genesys Cloud does when a delivery is not answered well.
type RetryPolicy struct {
	MaxRetries  int    `json:"maxRetries"`
	BackoffType string `json:"backoffType"` // "EXPONENTIAL" or "FIXED"
}

// Keys are those that deliveries are signed with, each once.
func (s Subscription) Keys() []string {
	var keys []string
	for _, key := range []string{s.Secret, s.PublicKey} {
		if strings.TrimSpace(key) != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Format writes the subscription without its keys, whatever the verb.
func (s Subscription) Format(f fmt.State, _ rune) {
	keys := "no key"
	if len(s.Keys()) > 0 {
		keys = "a key"
	}
	_, _ = fmt.Fprintf(f, "subscription %q (%s, %s)", s.Name, s.ID, keys)
}

const (
	subscriptionsPath = "/api/v2/eventstreams/subscriptions"

	// What the OAuth client needs.
	permissionRead = "read access to eventstreams"
	permissionEdit = "the permission integrations:webhooks:edit"

	pageSize = 100
	maxPages = 100
)

// Subscriptions lists all subscriptions, without their keys. It stops at the first error.
func (c *Client) Subscriptions(ctx context.Context) iter.Seq2[Subscription, error] {
	return func(yield func(Subscription, error) bool) {
		for page := 1; page <= maxPages; page++ {
			var answer struct {
				Entities  []Subscription `json:"entities"`
				PageCount int            `json:"pageCount"`
				NextURI   string         `json:"nextUri"`
			}
			query := url.Values{"pageSize": {strconv.Itoa(pageSize)}, "pageNumber": {strconv.Itoa(page)}}
			err := c.do(ctx, call{method: http.MethodGet, path: subscriptionsPath, query: query, out: &answer, permission: permissionRead})
			if err != nil {
				yield(Subscription{}, err)
				return
			}
			if answer.Entities == nil { // not even an empty list: whoever took that for none would make another
				yield(Subscription{}, errors.New("genesys cloud: the answer is no list of subscriptions"))
				return
			}
			for _, s := range answer.Entities {
				if !yield(s, nil) {
					return
				}
			}
			// Either tells the end; an empty page does so anyway.
			if len(answer.Entities) == 0 || answer.NextURI == "" && page >= answer.PageCount {
				return
			}
		}
		yield(Subscription{}, fmt.Errorf("genesys cloud: there are more than %d pages of subscriptions", maxPages))
	}
}

// Subscription reads one, with its keys. It fails with ErrNotFound if there is none.
func (c *Client) Subscription(ctx context.Context, id string) (Subscription, error) {
	var s Subscription
	err := c.do(ctx, call{method: http.MethodGet, path: subscriptionsPath + "/" + url.PathEscape(id), out: &s, permission: permissionRead})
	return s, err
}

// FindSubscription reads the one of that name, with its keys. It fails with ErrNotFound if there is
// none, and if there are several.
func (c *Client) FindSubscription(ctx context.Context, name string) (Subscription, error) {
	id := ""
	for s, err := range c.Subscriptions(ctx) {
		switch {
		case err != nil:
			return Subscription{}, err
		case s.Name == name && id != "":
			return Subscription{}, fmt.Errorf("genesys cloud has several subscriptions named %q; delete or rename one", name)
		case s.Name == name:
			id = s.ID
		}
	}
	if id == "" {
		return Subscription{}, &missing{fmt.Sprintf("genesys cloud has no subscription named %q", name)}
	}
	return c.Subscription(ctx, id)
}

// CreateSubscription makes one; its ID, Version and keys are Genesys Cloud's to set.
func (c *Client) CreateSubscription(ctx context.Context, s Subscription) (Subscription, error) {
	var made Subscription
	err := c.do(ctx, call{method: http.MethodPost, path: subscriptionsPath, in: s.sendable(), out: &made, permission: permissionEdit})
	return made, err
}

// UpdateSubscription changes the one with the ID of s, if it still has the version of s; else it fails
// with ErrConflict.
func (c *Client) UpdateSubscription(ctx context.Context, s Subscription) (Subscription, error) {
	var changed Subscription
	err := c.do(ctx, call{
		method: http.MethodPut, path: subscriptionsPath + "/" + url.PathEscape(s.ID),
		in: s.sendable(), out: &changed, permission: permissionEdit,
	})
	return changed, err
}

// DeleteSubscription deletes one. It fails with ErrNotFound if it is gone already.
func (c *Client) DeleteSubscription(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: subscriptionsPath + "/" + url.PathEscape(id), permission: permissionEdit})
}

// sendable leaves out what only Genesys Cloud sets.
func (s Subscription) sendable() Subscription {
	s.PublicKey, s.Secret, s.DateModified = "", "", time.Time{}
	return s
}
