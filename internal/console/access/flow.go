package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-json-experiment/json"
	"golang.org/x/oauth2"
)

const (
	providerPath = "/auth/oidc"
	callbackPath = "/auth/oidc/callback"
	flowLasts    = 10 * time.Minute
)

// flow is one attempt to sign in with the identity provider. The browser keeps it meanwhile, in a cookie that is sealed: so begun attempts take no
// memory, and nobody can end one that another browser began.
type flow struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"` // of PKCE
	Next     string    `json:"next"`
	Expires  time.Time `json:"expires"`
}

// flows seals attempts with a key of this process.
type flows struct {
	now  func() time.Time
	seal cipher.AEAD
}

func newFlows(now func() time.Time) *flows {
	var key [32]byte
	_, _ = rand.Read(key[:])                       // never fails
	block, _ := aes.NewCipher(key[:])              // fails only for a key of another length
	seal, _ := cipher.NewGCMWithRandomNonce(block) // fails only for a cipher that is not AES
	return &flows{now: now, seal: seal}
}

func (f *flows) begin(next string) (begun flow, sealed string) {
	begun = flow{State: newSecret(), Nonce: newSecret(), Verifier: oauth2.GenerateVerifier(), Next: nextPath(next), Expires: f.now().Add(flowLasts)}
	text, _ := json.Marshal(begun) // it always becomes JSON
	return begun, base64.RawURLEncoding.EncodeToString(f.seal.Seal(nil, nil, text, []byte(flowCookie)))
}

func (f *flows) open(sealed string) (begun flow, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return flow{}, false
	}
	text, err := f.seal.Open(nil, nil, raw, []byte(flowCookie))
	if err != nil || json.Unmarshal(text, &begun) != nil || f.now().After(begun.Expires) {
		return flow{}, false
	}
	return begun, true
}

// toProvider sends a browser to the identity provider.
func (g *Guard) toProvider(w http.ResponseWriter, r *http.Request, s *settings) {
	d, err := s.provider.discover(r.Context())
	if err != nil {
		g.refuseProvider(w, r, s, err)
		return
	}
	begun, sealed := g.flows.begin(r.URL.Query().Get("next"))
	g.cookies.set(w, flowCookie, sealed, flowLasts)
	redirect(w, s.provider.oauth(d).AuthCodeURL(begun.State, oidc.Nonce(begun.Nonce), oauth2.S256ChallengeOption(begun.Verifier)))
}

// fromProvider signs in whom the identity provider sent back.
func (g *Guard) fromProvider(w http.ResponseWriter, r *http.Request, s *settings) {
	sealed, _ := g.cookies.get(r, flowCookie)
	g.cookies.clear(w, flowCookie) // it is good for one attempt
	answer := r.URL.Query()
	begun, ok := g.flows.open(sealed)
	if !ok || subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(begun.State)) != 1 {
		g.showRefused(w, r, s, &refusal{
			status: http.StatusBadRequest, result: resultProvider, cause: errors.New("the state is of no attempt of this browser"),
			detail: "This sign-in was begun elsewhere, or too long ago. Try again.",
		})
		return
	}
	if issuer := answer.Get("iss"); issuer != "" && issuer != s.provider.settings.Issuer { // RFC 9207
		g.refuseProvider(w, r, s, errors.New("the answer is another issuer's"))
		return
	}
	if code := answer.Get("error"); code != "" {
		g.refuseProvider(w, r, s, fmt.Errorf("it answers %q", cut(code)))
		return
	}
	granted, refused := g.redeem(r, s, answer.Get("code"), begun)
	if refused != nil {
		g.showRefused(w, r, s, refused)
		return
	}
	g.beginSession(w, r, s, granted)
	redirect(w, begun.Next)
}

// redeem asks the provider who it is. Made-up codes from one address are slowed down, for each is a request to the provider.
func (g *Guard) redeem(r *http.Request, s *settings, code string, begun flow) (grant, *refusal) {
	attempt, wait := g.throttle.begin(addressOf(r), "")
	if wait > 0 {
		return grant{}, &refusal{
			status: http.StatusTooManyRequests, result: resultThrottled, after: wait,
			detail: "There were too many failed attempts. Wait a moment and try again.",
		}
	}
	c, err := s.provider.redeem(r.Context(), code, begun)
	if err != nil {
		return grant{}, providerRefusal(err)
	}
	attempt.succeeded()
	return s.provider.grant(c)
}

func (g *Guard) refuseProvider(w http.ResponseWriter, r *http.Request, s *settings, err error) {
	g.showRefused(w, r, s, providerRefusal(err))
}

// providerRefusal says no more to the browser than what it can do; the log says why.
func providerRefusal(err error) *refusal {
	if errors.Is(err, errUnreachable) {
		return &refusal{
			status: http.StatusServiceUnavailable, result: resultProvider, cause: err, after: rediscoverAfter,
			detail: "The identity provider can't be reached at the moment. Try again soon.",
		}
	}
	return &refusal{status: http.StatusForbidden, result: resultProvider, cause: err, detail: "The identity provider did not sign you in. Try again."}
}
