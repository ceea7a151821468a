package genesys

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Delivery is an HTTP request that brought events, as a verification sees it.
type Delivery struct {
	// Method, Host and URI are those of the request: "POST", "mesh.example.com", "/webhooks/x?y=1".
	Method, Host, URI string
	Header            http.Header
	// Body is as it was received, byte for byte.
	Body []byte
	// Received is the time that tolerances count from, and that Sign signs.
	Received time.Time
}

// Method is how a delivery proves where it comes from.
type Method string

// The methods of a Verification.
const (
	// MethodHMAC: a keyed hash over the body in a header.
	MethodHMAC Method = "hmac"
	// MethodStandardWebhooks: the Standard Webhooks specification, symmetric ("v1") signatures.
	// A key is "whsec_" and base64, or base64 alone.
	MethodStandardWebhooks Method = "standard-webhooks"
	// MethodMessageSignature: HTTP Message Signatures, RFC 9421, by hmac-sha256. A key is base64.
	MethodMessageSignature Method = "http-message-signature"
	// MethodHeader: a header holds one of the keys.
	MethodHeader Method = "header"
	// MethodBasic: HTTP Basic authentication, RFC 7617; a key is "user:password".
	MethodBasic Method = "basic"
	// MethodBearer: "Authorization: Bearer", RFC 6750, with one of the keys.
	MethodBearer Method = "bearer"
	// MethodJWT: "Authorization: Bearer" with a JSON Web Token, RFC 7519: signed with one of the
	// keys (HS256), or by the issuer whose keys are at JWKSURL.
	MethodJWT Method = "jwt"
)

// Verification says how the deliveries of a source are verified. The zero value of a field is
// its default.
type Verification struct {
	// Method is MethodHMAC by default.
	Method Method
	// Header carries the signature of MethodHMAC, and the key of MethodHeader.
	Header string
	// Algorithm is "sha256" (default), "sha512" or "sha1"; for MethodHMAC.
	Algorithm string
	// Encodings of the signature that are taken: "hex" (default; either case), "base64" and
	// "base64url" (padded or not); for MethodHMAC. Sign writes the first.
	Encodings []string
	// Prefix stands before the signature, such as "sha1="; for MethodHMAC. Without one, and in hex,
	// "sha256=" may stand there.
	Prefix string
	// Signed is the template of what is signed: "{body}" (default), "{timestamp}.{body}" ...; for MethodHMAC.
	Signed string
	// TimestampHeader carries {timestamp}: epoch seconds or milliseconds, or RFC 3339. It is
	// signed as it is written.
	TimestampHeader string
	// Tolerance is how far a signed time may lie from now, either way. Default 5 minutes.
	Tolerance time.Duration
	// Components must be covered by a message signature, beside the body's digest.
	Components []string
	// Issuer and Audience of a token are required where set; JWKSURL has the issuer's keys.
	Issuer, Audience, JWKSURL string
}

// maxHeaderBytes bounds what is looked at of a header; no method needs more.
const maxHeaderBytes = 8 << 10

const (
	defaultTolerance = 5 * time.Minute
	authorization    = "Authorization"
)

// Verifier verifies the deliveries of one source. It is safe for concurrent use.
type Verifier struct{ scheme scheme }

// scheme is a method with its keys.
type scheme interface {
	verify(ctx context.Context, d *Delivery) error
	// sign sets the headers of a delivery by the first key.
	sign(d *Delivery) error
}

// NewVerifier makes a verifier that takes what was signed with any of the keys: several are live
// at once while they are rotated. It refuses to make one without keys or with a blank one, which
// anybody could sign with. Those of MethodJWT with a JWKSURL are JSON Web Keys; see FetchIssuerKeys.
func NewVerifier(v Verification, keys []string) (*Verifier, error) {
	s, err := v.scheme(keys)
	if err != nil {
		return nil, err
	}
	return &Verifier{s}, nil
}

// Verify checks that the delivery comes from whom it should. Its error is a SignatureError.
func (v *Verifier) Verify(ctx context.Context, d *Delivery) error { return v.scheme.verify(ctx, d) }

// Sign sets the headers that a sender with the key would set.
func (v Verification) Sign(d *Delivery, key string) error {
	s, err := v.scheme([]string{key})
	if err != nil {
		return err
	}
	return s.sign(d)
}

func (v Verification) scheme(keys []string) (scheme, error) {
	if v.Tolerance == 0 {
		v.Tolerance = defaultTolerance
	}
	v.Header = http.CanonicalHeaderKey(v.Header)
	if err := checkKeys(keys); err != nil {
		return nil, err
	}
	switch v.Method {
	case MethodHMAC, "":
		return newHMAC(v, keys)
	case MethodStandardWebhooks:
		return newStandardWebhooks(v, keys)
	case MethodMessageSignature:
		return newMessageSignature(v, keys)
	case MethodHeader, MethodBasic, MethodBearer:
		return newStaticKey(v, keys)
	case MethodJWT:
		return newJWT(v, keys)
	}
	return nil, fmt.Errorf("there is no method %q to verify by", v.Method)
}

func checkKeys(keys []string) error {
	if len(keys) == 0 {
		return errors.New("no secret to verify with")
	}
	for i, key := range keys {
		if strings.TrimSpace(key) == "" {
			return fmt.Errorf("secret %d of %d is blank: anybody could sign with it", i+1, len(keys))
		}
	}
	return nil
}

// only is the one line of a header.
func only(h http.Header, name string) (string, error) {
	switch lines := h[name]; {
	case len(lines) == 0:
		return "", ErrSignatureMissing
	case len(lines) > 1:
		return "", ErrSignatureSeveral
	case len(lines[0]) > maxHeaderBytes:
		return "", ErrSignatureMalformed
	default:
		return lines[0], nil
	}
}
