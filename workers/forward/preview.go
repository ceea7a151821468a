package forward

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// Hidden stands where a value is secret, in what Preview and Send show.
const Hidden = "•••"

// standInKey signs where a signing secret can't be read: the signature has its true form and fits no key.
var standInKey = []byte("stand-in")

// Request is the request that a target would get, as it may be shown: what is secret in it is Hidden.
type Request struct {
	Method string
	// URL has neither user nor query, nor a path that came from the environment.
	URL    string
	Header http.Header
	Body   []byte
	// StandIns name what could not be read here, or only comes from elsewhere, and what stands in its place.
	StandIns []string
}

// Preview makes the request of an event, connects to nothing and sends nothing. Secrets that can't be read
// have stand-ins; those that can are looked at and not shown. It fails as Check does.
func Preview(target mesh.Target, subscriber string, o Options, e mesh.Event) (Request, error) {
	if err := Check(target); err != nil {
		return Request{}, fmt.Errorf("target of subscriber %s: %w", subscriber, err)
	}
	u, err := parseURL(target.URL)
	if err != nil {
		return Request{}, fmt.Errorf("target of subscriber %s: %w", subscriber, err)
	}
	p := preview{target: target, options: o.withDefaults()}
	t := &Target{host: u.Host, subscriber: subscriber, options: p.options, headers: p.headers(), signer: p.signer()}
	header := t.header(context.Background(), e, p.authorization(u.User), time.Now())
	return Request{
		Method: http.MethodPost, URL: target.Shown(), Header: shown(header), Body: e.Body, StandIns: p.standIns,
	}, nil
}

// preview gathers what a request is made of without its secrets.
type preview struct {
	target   mesh.Target
	options  Options
	standIns []string
}

func (p *preview) standIn(format string, args ...any) {
	p.standIns = append(p.standIns, fmt.Sprintf(format, args...))
}

func (p *preview) headers() []ownHeader {
	var headers []ownHeader
	add := func(name, value string) {
		headers = append(headers, ownHeader{http.CanonicalHeaderKey(name), &reloaded[string]{value: value}})
	}
	for name, value := range p.target.Headers {
		add(name, value)
	}
	for _, name := range slices.Sorted(maps.Keys(p.target.SecretHeaders)) {
		value, err := p.target.SecretHeaders[name].Resolve(p.options.LookupEnv)
		if err == nil && value == "" {
			continue // an optional variable that is unset sends no header
		}
		if err != nil {
			p.standIn("the header %s: %v", name, err)
		}
		add(name, Hidden)
	}
	return headers
}

func (p *preview) signer() signer {
	var s signer
	for i, secret := range p.target.SigningSecrets {
		what := fmt.Sprintf("signing_secrets[%d]", i)
		read, err := newSecret(what, secret, p.options, signingKeys)
		if err != nil {
			p.standIn("%s: signed with a stand-in: %v", what, err)
			read = &reloaded[[][]byte]{value: [][]byte{standInKey}}
		}
		if len(read.get()) > 0 {
			s = append(s, read)
		}
	}
	if len(s) == 0 && len(p.target.SigningSecrets) > 0 {
		p.standIn("signing_secrets: none of them is set; signed with a stand-in")
		s = signer{&reloaded[[][]byte]{value: [][]byte{standInKey}}}
	}
	return s
}

func (p *preview) authorization(user *url.Userinfo) string {
	auth := p.target.Auth
	switch {
	case auth == nil && user == nil:
		return ""
	case auth == nil:
		return "Basic " + Hidden
	case auth.Method == mesh.AuthBasic:
		if auth.Password != "" {
			p.secret("auth.password", auth.Password)
		}
		return "Basic " + Hidden
	case auth.Method == mesh.AuthBearer:
		p.secret("auth.token", auth.Token)
	default:
		p.secret("auth.client_secret", auth.ClientSecret)
		p.standIn("auth: the token comes from token_url, which is not asked here")
	}
	return "Bearer " + Hidden
}

// secret notes one that can't be read.
func (p *preview) secret(what string, secret mesh.Secret) {
	if _, err := secret.Resolve(p.options.LookupEnv); err != nil {
		p.standIn("%s: %v", what, err)
	}
}

// shown hides the values of headers whose names say that they open something, for a careless streams.json
// may have them among its plain headers.
func shown(h http.Header) http.Header {
	h = h.Clone()
	for name, values := range h {
		if !isTelling(strings.ToLower(name)) {
			continue
		}
		for i, value := range values {
			if !strings.Contains(value, Hidden) {
				values[i] = Hidden
			}
		}
	}
	return h
}

func isTelling(lower string) bool {
	if lower == "idempotency-key" {
		return false
	}
	return slices.ContainsFunc([]string{"authorization", "cookie", "token", "secret", "password", "key"}, func(part string) bool {
		return strings.Contains(lower, part)
	})
}

// Exchange is one request as it was sent, and what came back.
type Exchange struct {
	// Sent is the header as it went out, but for secret values; nil if nothing did.
	Sent http.Header
	// Status is 0 and Answer nil if there was no answer. Answer is at most workers.MaxAnswerBytes.
	Status int
	Answer []byte
	Took   time.Duration
}

// Send posts the event once, as Handle does, and tells of the exchange. The error is that of Handle; an answer
// that is no success is not an error by itself, for who sends by hand looks at it.
func (t *Target) Send(ctx context.Context, event mesh.Event) (Exchange, error) {
	if !t.calls.TryRLock() {
		return Exchange{}, errClosed
	}
	defer t.calls.RUnlock()
	if t.closed {
		return Exchange{}, errClosed
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	authorization, err := t.authorization.value(ctx)
	if err != nil {
		return Exchange{}, err
	}
	sent := headerTrace{header: http.Header{}}
	began := time.Now()
	resp, answer, err := t.post(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaderField: sent.wrote}), event, authorization)
	x := Exchange{Sent: sent.taken(), Took: time.Since(began)}
	if err != nil {
		return x, err
	}
	x.Status, x.Answer = resp.StatusCode, answer
	return x, nil
}

// headerTrace notes what the transport writes, in whatever goroutine it does.
type headerTrace struct {
	mu     sync.Mutex
	header http.Header
}

func (h *headerTrace) wrote(name string, values []string) {
	if strings.HasPrefix(name, ":") {
		return // a pseudo-header of HTTP/2
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.header[http.CanonicalHeaderKey(name)] = values
}

func (h *headerTrace) taken() http.Header {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.header) == 0 {
		return nil
	}
	return shown(h.header)
}
