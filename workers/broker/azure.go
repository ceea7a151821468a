//go:build azure

package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/azuresb"
)

func azureMakers() map[string]maker { return map[string]maker{azuresb.Scheme: newAzure} }

func newAzure(p place) (opener, error) {
	return newCloud(p, cloud{
		prefix:  "cloudEvents_",
		open:    func(ctx context.Context, u *url.URL) (*pubsub.Topic, error) { return pubsub.OpenTopic(ctx, u.String()) },
		address: setSession,
	})
}

// maxSessionBytes is Service Bus's bound on a session id.
const maxSessionBytes = 128

// setSession keeps the order of an interaction where the entity has sessions, and lets one that looks for duplicates drop them.
func setSession(m message, as func(any) bool) {
	var sent *azservicebus.Message
	if !as(&sent) {
		return
	}
	session, kind := validText(m.interaction), contentType
	if len(session) > maxSessionBytes {
		sum := sha256.Sum256([]byte(session))
		session = hex.EncodeToString(sum[:])
	}
	sent.MessageID, sent.ContentType = &m.key, &kind
	if session != "" {
		sent.SessionID = &session
	}
}
