package app

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/genesys/keyring"
	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

// keyrings are the keys of all sources. A source whose keys come from where they came from before keeps
// its keyring over a reload, and with it the previous keys.
type keyrings struct {
	lookup  func(string) (string, bool)
	agent   string
	log     logrus.FieldLogger
	metrics *keyring.Metrics

	mu      sync.Mutex
	rings   map[string]*ring // by source
	running context.Context  // nil while Run does not
	ended   sync.WaitGroup
}

// ring is the keyring of one source and what it was made of.
type ring struct {
	*keyring.Keyring
	source mesh.Source
	stop   context.CancelFunc // nil if it does not run
}

// Run keeps the keys up to date until ctx ends.
func (k *keyrings) Run(ctx context.Context) error {
	k.mu.Lock()
	k.running = ctx
	for _, r := range k.rings {
		k.start(r)
	}
	k.mu.Unlock()
	<-ctx.Done()
	k.mu.Lock()
	k.running = nil
	k.mu.Unlock()
	k.ended.Wait()
	return nil
}

// start runs a keyring; the caller holds the lock.
func (k *keyrings) start(r *ring) {
	ctx, cancel := context.WithCancel(k.running)
	r.stop = cancel
	k.ended.Go(func() { _ = r.Keyring.Run(ctx) }) // it has no error of its own
}

// Update makes the keyrings what the sources say; if it fails, nothing changed.
func (k *keyrings) Update(sources []mesh.Source) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := make(map[string]*ring, len(sources))
	for _, s := range sources {
		before := k.rings[s.Name]
		if before != nil && before.serves(s) {
			before.Refresh()
			next[s.Name] = before
			continue
		}
		options, err := k.options(s)
		if err != nil {
			return fmt.Errorf("source %s: %w", s.Name, err)
		}
		one := &ring{source: s}
		if one.Keyring, err = keyring.New(options); err != nil {
			return fmt.Errorf("source %s: %w", s.Name, err)
		}
		if before != nil {
			one.TakeOver(before.Keyring, sameSecrets(before.source, s), sameService(before.source, s))
		}
		next[s.Name] = one
	}
	for name, r := range k.rings {
		if next[name] != r && r.stop != nil {
			r.stop()
		}
		if next[name] == nil {
			k.metrics.Forget(name)
		}
	}
	for name, r := range next {
		if k.rings[name] != r && k.running != nil {
			k.start(r)
		}
	}
	k.rings = next
	return nil
}

// serves reports whether the keyring can go on as it is for a source as it is now.
func (r *ring) serves(now mesh.Source) bool {
	return sameSecrets(r.source, now) && sameService(r.source, now) && *r.source.KeyOverlap == *now.KeyOverlap &&
		reflect.DeepEqual(r.source.Verification, now.Verification)
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
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := k.rings[s.Name]; r != nil {
		return r, nil
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
