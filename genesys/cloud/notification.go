package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Channel is a channel of the notification service: a list of topics and one WebSocket that their
// events come through. The service keeps nothing for a channel whose socket is away. An organization's
// user and OAuth client together have at most 20 channels; another one replaces the one that was used
// least lately, those without a socket first.
type Channel struct {
	ID string `json:"id"`
	// ConnectURI is where the WebSocket is. Whoever knows it gets the events, so it is never logged. A
	// second socket ends the first.
	ConnectURI string `json:"connectUri"`
	// Expires is when the channel ends: 24 hours after it was made, or with the token that made it.
	Expires time.Time `json:"expires"`
}

// Format writes the channel without its address, whatever the verb.
func (c Channel) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "channel until %s", c.Expires) }

// MaxChannelTopics is how many topics a channel takes.
const MaxChannelTopics = 1000

const (
	channelsPath = "/api/v2/notifications/channels"

	// The calls themselves need no permission.
	permissionTopics = "access to what the topics are about: users, queues, conversations"

	// channelTokenAge is how old the token that makes a channel may be. A channel ends with it, so an
	// old one would make a short channel.
	channelTokenAge = 5 * time.Minute
)

// CreateChannel makes a channel, with a token that is new enough to let it live.
func (c *Client) CreateChannel(ctx context.Context) (Channel, error) {
	c.tokens.dropOlder(channelTokenAge)
	var made Channel
	if err := c.do(ctx, call{method: http.MethodPost, path: channelsPath, out: &made, permission: permissionTopics}); err != nil {
		return Channel{}, err
	}
	if made.ID == "" {
		return Channel{}, errors.New("genesys cloud: the answer has no id of the channel")
	}
	if err := checkSocket(made.ConnectURI); err != nil {
		return Channel{}, err
	}
	if end := c.tokens.expiry(); !end.IsZero() && (made.Expires.IsZero() || end.Before(made.Expires)) {
		made.Expires = end
	}
	return made, nil
}

// checkSocket wants wss, but on this machine. Its errors don't show the address.
func checkSocket(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "wss" && u.Scheme != "ws":
		return errors.New("genesys cloud: the connectUri of the channel is no wss URL")
	case u.Scheme == "ws" && !isLoopback(u.Hostname()):
		return errors.New("genesys cloud: the connectUri of the channel is not wss: anybody on the way could read the events")
	}
	return nil
}

// topic is a topic as the API writes it.
type topic struct {
	ID string `json:"id"`
}

// SetTopics replaces the topics of a channel, at most MaxChannelTopics, and returns those that it has
// now. It fails as a whole if the OAuth client may not see one of them.
func (c *Client) SetTopics(ctx context.Context, channelID string, topics []string) ([]string, error) {
	wanted := make([]topic, len(topics))
	for i, id := range topics {
		wanted[i] = topic{id}
	}
	return c.topics(ctx, channelID, call{method: http.MethodPut, in: wanted})
}

// Topics lists the topics of a channel. It fails with ErrNotFound if the channel has ended.
func (c *Client) Topics(ctx context.Context, channelID string) ([]string, error) {
	return c.topics(ctx, channelID, call{method: http.MethodGet})
}

func (c *Client) topics(ctx context.Context, channelID string, call call) ([]string, error) {
	var answer struct {
		Entities []topic `json:"entities"`
	}
	call.path, call.out, call.permission = channelsPath+"/"+url.PathEscape(channelID)+"/subscriptions", &answer, permissionTopics
	call.secret = channelID // it is all that the channel's address keeps secret
	if err := c.do(ctx, call); err != nil {
		return nil, err
	}
	ids := make([]string, len(answer.Entities))
	for i, t := range answer.Entities {
		ids[i] = t.ID
	}
	return ids, nil
}
