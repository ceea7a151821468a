package app

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/genesys/keyring"
	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

// keyrings are the keys of all sources. Keys that come from where they came from before go on over a
// reload, previous ones among them.
type keyrings struct {
	perSource[*keyring.Keyring]
	lookup  func(string) (string, bool)
	agent   string
	log     logrus.FieldLogger
	metrics *keyring.Metrics
}

// Update makes the keyrings what the sources say; if it fails, nothing changed.
func (k *keyrings) Update(sources []mesh.Source) error {
	return k.update(sources, k.keyring, k.metrics.Forget)
}

func (k *keyrings) keyring(s mesh.Source, before *sourcePart[*keyring.Keyring]) (*keyring.Keyring, error) {
	if before != nil && sameKeys(before.source, s) {
		before.part.Refresh()
		return before.part, nil
	}
	options, err := k.options(s)
	if err != nil {
		return nil, err
	}
	made, err := keyring.New(options)
	if err != nil {
		return nil, err
	}
	if before != nil {
		made.TakeOver(before.part, sameSecrets(before.source, s), sameService(before.source, s))
	}
	return made, nil
}

// sameKeys reports whether a keyring can go on as it is.
func sameKeys(before, now mesh.Source) bool {
	return sameSecrets(before, now) && sameService(before, now) && *before.KeyOverlap == *now.KeyOverlap &&
		reflect.DeepEqual(before.Verification, now.Verification)
}

// sameSecrets and sameService report whether the keys of a source come from the same places as before.
func sameSecrets(before, now mesh.Source) bool {
	return before.Secret == now.Secret && reflect.DeepEqual(before.Secrets, now.Secrets)
}

func sameService(before, now mesh.Source) bool {
	return before.Verification.JWKSURL == now.Verification.JWKSURL && before.FetchesKeys() == now.FetchesKeys() &&
		(!now.FetchesKeys() || reflect.DeepEqual(before.API, now.API) && before.Subscription.Name == now.Subscription.Name)
}

func (k *keyrings) options(s mesh.Source) (keyring.Options, error) {
	o := keyring.Options{
		Source: s.Name, Overlap: time.Duration(*s.KeyOverlap), Logger: k.log, Metrics: k.metrics,
		Verifier: func(keys []string) (*genesys.Verifier, error) { return ingress.NewVerifier(s, keys) },
	}
	if s.Secret != "" || len(s.Secrets) > 0 {
		o.Local = func() ([]string, error) { return s.ResolveSecrets(k.lookup) }
	}
	switch {
	case s.Verification.JWKSURL != "":
		o.Fetch = func(ctx context.Context) ([]string, error) {
			return genesys.FetchIssuerKeys(ctx, s.Verification.JWKSURL)
		}
		return o, nil
	case !s.FetchesKeys():
		return o, nil
	}
	client, err := CloudClient(*s.API, k.lookup, k.agent)
	if err != nil {
		return o, err
	}
	o.Fetch = func(ctx context.Context) ([]string, error) {
		subscription, err := client.FindSubscription(ctx, s.Subscription.Name)
		return subscription.Keys(), err
	}
	return o, nil
}

// verifier has the verifier of a source that Update was told of.
func (k *keyrings) verifier(s mesh.Source) (ingress.Verifier, error) {
	if one, ok := k.of(s.Name); ok {
		return one, nil
	}
	return nil, fmt.Errorf("source %s has no keys yet", s.Name)
}

// CloudClient makes the client that a source's api block asks for.
func CloudClient(a mesh.API, lookup func(string) (string, bool), agent string) (*cloud.Client, error) {
	secret, err := a.ClientSecret.Resolve(lookup)
	if err != nil {
		return nil, err
	}
	return cloud.New(cloud.Options{
		Region: a.Region, URL: a.URL, LoginURL: a.LoginURL, ClientID: a.ClientID, ClientSecret: secret, UserAgent: agent,
	})
}
