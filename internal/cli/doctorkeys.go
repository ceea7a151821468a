package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/mesh"
)

// keyProbes look at where the keys of a source come from. No finding holds a key.
func (p *program) keyProbes(s mesh.Source, f *clusterFlags) []probe {
	var probes []probe
	if s.Secret != "" || len(s.Secrets) > 0 {
		probes = append(probes, p.secretProbe(s, f))
	}
	switch {
	case s.FetchesKeys():
		probes = append(probes, p.subscriptionProbe(s))
	case s.API != nil:
		probes = append(probes, p.apiProbe(s))
	}
	if s.Verification.JWKSURL != "" {
		probes = append(probes, issuerProbe(s))
	}
	return probes
}

// secretProbe looks at the secrets of a source itself. One that genmesh dev stands in for is missed by genmesh serve alone, so it matters
// which of both this mesh is.
func (p *program) secretProbe(s mesh.Source, f *clusterFlags) probe {
	return func(context.Context) []finding {
		switch lacks := lacksDevSecret(s, p.LookupEnv); {
		case lacks && p.isMeshOfDev(f):
			return []finding{doubtful("secret "+s.Name, secretVariable+" is not set; genmesh dev uses its built-in secret, which everybody knows",
				"nothing to do for genmesh dev; production needs its own, such as from openssl rand -hex 32")}
		case lacks:
			_, err := s.ResolveSecrets(p.LookupEnv)
			return []finding{broken("secret "+s.Name, err,
				"set it: without it genmesh serve can verify no event (if you only run genmesh dev, this is fine: it uses its built-in secret)")}
		}
		return []finding{secretFinding(s, p.LookupEnv)}
	}
}

// lacksDevSecret reports whether the secret that genmesh dev stands in for is all that a source lacks.
func lacksDevSecret(s mesh.Source, lookup func(string) (string, bool)) bool {
	if _, err := s.ResolveSecrets(lookup); err == nil {
		return false
	}
	withDev, _ := withDevSecret(lookup)
	_, err := s.ResolveSecrets(withDev)
	return err == nil
}

// embeddedName is what the nats-server in genmesh dev calls itself.
const embeddedName = "genmesh"

// isMeshOfDev reports whether the NATS that answers is the one in genmesh dev.
func (p *program) isMeshOfDev(f *clusterFlags) bool {
	nc, _, err := p.connect(f)
	if err != nil { // which the probe of the cluster tells of
		return false
	}
	defer nc.Close()
	return nc.ConnectedServerName() == embeddedName
}

// minSecretBytes is below what a secret can be found by trying.
const minSecretBytes = 16

func secretFinding(s mesh.Source, lookup func(string) (string, bool)) finding {
	check := "secret " + s.Name
	secrets, err := s.ResolveSecrets(lookup)
	if err != nil {
		return broken(check, err, "set it: without it no event can be verified")
	}
	weak := 0
	for _, secret := range secrets {
		if secret == devSecret {
			return trapped(check, "it is the secret of genmesh dev, which everybody knows", "use another one, such as from openssl rand -hex 32")
		}
		if len(secret) < minSecretBytes {
			weak++
		}
	}
	if weak > 0 {
		return trapped(check, fmt.Sprintf("%d of %s is shorter than %d bytes", weak, plural(len(secrets), "secret"), minSecretBytes),
			"use a longer one, such as from openssl rand -hex 32")
	}
	return good(check, "%s set%s", plural(len(secrets), "secret"), secretsAge(s))
}

// secretsAge tells when the files that hold secrets were changed last.
func secretsAge(s mesh.Source) string {
	var newest time.Time
	for _, secret := range append([]mesh.Secret{s.Secret}, s.Secrets...) {
		path, isFile := strings.CutPrefix(string(secret), "file:")
		if !isFile {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return changedAgo(newest)
}

// changedAgo is ", changed 3 days ago"; "" where that is not known.
func changedAgo(at time.Time) string {
	const day = 24 * time.Hour
	if at.IsZero() {
		return ""
	}
	if ago := time.Since(at); ago >= day {
		return fmt.Sprintf(", changed %s ago", plural(int(ago/day), "day"))
	}
	return ", changed today"
}

// apiProbe looks whether the OAuth client of a source is accepted.
func (p *program) apiProbe(s mesh.Source) probe {
	return func(ctx context.Context) []finding {
		check := "api " + s.Name
		client, err := p.cloudClient(s)
		if err != nil {
			return []finding{broken(check, err, "correct the source's api block, or set its client_secret")}
		}
		if err := client.Authenticate(ctx); err != nil {
			return []finding{broken(check, err, subscriptionRemedy(err))}
		}
		return []finding{good(check, "the OAuth client is accepted")}
	}
}

// subscriptionProbe looks at the subscription that a source's keys come from.
func (p *program) subscriptionProbe(s mesh.Source) probe {
	return func(ctx context.Context) []finding {
		check := "subscription " + s.Name
		client, err := p.cloudClient(s)
		if err != nil {
			return []finding{broken(check, err, "correct the source's api block, or set its client_secret")}
		}
		have, err := client.FindSubscription(ctx, s.Subscription.Name)
		if err != nil {
			return []finding{broken(check, err, subscriptionRemedy(err))}
		}
		return []finding{judgeSubscription(check, have, *s.Subscription)}
	}
}

func subscriptionRemedy(err error) string {
	switch {
	case errors.Is(err, cloud.ErrNotFound):
		return "make it with genmesh genesys subscriptions sync"
	case errors.Is(err, cloud.ErrUnauthorized):
		return "check the region, and the id and secret of the OAuth client"
	case errors.Is(err, cloud.ErrForbidden):
		return "give the role of the OAuth client what is missing"
	}
	return "look at the network and the status page of Genesys Cloud; known keys stay valid meanwhile"
}

func judgeSubscription(check string, have cloud.Subscription, want mesh.Subscription) finding {
	changes := subscriptionChanges(&have, wantedSubscription(want))
	switch {
	case len(have.Keys()) == 0:
		return broken(check, errors.New("it comes without a key"), "verify with a secret of the source's own")
	case len(changes) > 0:
		return doubtful(check, "differs from streams.json: "+strings.Join(changes, "; "), "run genmesh genesys subscriptions sync")
	case !have.Active:
		return doubtful(check, "is not active, as streams.json wants it", "set active to get events")
	}
	return good(check, "active, with %s%s", plural(len(have.Keys()), "key"), changedAgo(have.DateModified))
}

// issuerProbe looks whether the issuer of tokens can be reached.
func issuerProbe(s mesh.Source) probe {
	return func(ctx context.Context) []finding {
		check := "issuer " + s.Name
		u, err := url.Parse(s.Verification.JWKSURL)
		if err != nil {
			return []finding{broken(check, errors.New("jwks_url is not a URL"), "correct it in streams.json")}
		}
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		if u.Scheme == "http" { // on this machine only
			return []finding{dialled(ctx, check, u.Host, hostPort(u, "80"))}
		}
		return []finding{dialledTLS(ctx, check, u.Host, hostPort(u, "443"), tlsTo(u))}
	}
}
