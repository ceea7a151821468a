package genesys

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"
)

// The headers of a message signature.
const (
	signatureInput  = "Signature-Input"
	signatureHeader = "Signature"
	contentDigest   = "Content-Digest"
	digestComponent = "content-digest"

	messageSignatureAlg    = "hmac-sha256"
	maxMessageSignatures   = 8
	maxSignatureComponents = 32
	maxNonceBytes          = 256
)

// messageSignature is MethodMessageSignature: RFC 9421 by hmac-sha256. It must cover the body's digest
// (RFC 9530) where there is a body, or it would say nothing about the event, and it must say when it was
// made. Of several signatures, as where a proxy adds its own, one must be good.
type messageSignature struct {
	keys       [][]byte
	tolerance  time.Duration
	components []string
}

func newMessageSignature(v Verification, keys []string) (*messageSignature, error) {
	s := &messageSignature{tolerance: v.Tolerance, components: v.Components}
	var err error
	s.keys, err = decodeKeys(keys, "")
	return s, err
}

func (s *messageSignature) verify(_ context.Context, d *Delivery) error {
	inputs, err := dictionary(d.Header, signatureInput)
	if err != nil {
		return err
	}
	signatures, err := dictionary(d.Header, signatureHeader)
	if err != nil {
		return err
	}
	labels := inputs.Names()
	if len(labels) == 0 || len(labels) > maxMessageSignatures {
		return ErrSignatureMalformed
	}
	var first error
	for _, label := range labels {
		err := s.verifyOne(d, label, inputs, signatures)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// verifyOne verifies the signature of a label.
func (s *messageSignature) verifyOne(d *Delivery, label string, inputs, signatures *httpsfv.Dictionary) error {
	input, signature, err := readMessageSignature(label, inputs, signatures)
	if err != nil {
		return err
	}
	covered, err := coveredComponents(input)
	if err != nil {
		return err
	}
	if err := s.coversEnough(d, covered); err != nil {
		return err
	}
	base, err := signatureBase(d, input, covered)
	if err != nil {
		return err
	}
	matched := false
	for _, key := range s.keys {
		if hmac.Equal(messageMAC(key, base), signature) {
			matched = true
		}
	}
	if !matched {
		return ErrSignatureMismatch
	}
	return s.isTimely(d, input)
}

// readMessageSignature reads a signature and what it covers.
func readMessageSignature(label string, inputs, signatures *httpsfv.Dictionary) (httpsfv.InnerList, []byte, error) {
	member, _ := inputs.Get(label)
	input, isList := member.(httpsfv.InnerList)
	value, _ := signatures.Get(label)
	item, isItem := value.(httpsfv.Item)
	signature, isBytes := item.Value.([]byte)
	if !isList || !isItem || !isBytes || len(input.Items) > maxSignatureComponents {
		return httpsfv.InnerList{}, nil, ErrSignatureMalformed
	}
	if alg, given := input.Params.Get("alg"); given && alg != messageSignatureAlg {
		return httpsfv.InnerList{}, nil, ErrSignatureMalformed
	}
	return input, signature, nil
}

func dictionary(h http.Header, name string) (*httpsfv.Dictionary, error) {
	value, err := only(h, name)
	if err != nil {
		return nil, err
	}
	parsed, err := httpsfv.UnmarshalDictionary([]string{value})
	if err != nil {
		return nil, ErrSignatureMalformed
	}
	return parsed, nil
}

// coveredComponents are the names of what is signed. Components with parameters are not understood,
// and one that stands twice is an error (RFC 9421, 2.5).
func coveredComponents(input httpsfv.InnerList) ([]string, error) {
	var names []string
	for _, item := range input.Items {
		name, isText := item.Value.(string)
		if !isText || len(item.Params.Names()) > 0 || slices.Contains(names, name) {
			return nil, ErrSignatureMalformed
		}
		names = append(names, name)
	}
	return names, nil
}

func (s *messageSignature) coversEnough(d *Delivery, covered []string) error {
	for _, component := range s.components {
		if !slices.Contains(covered, component) {
			return ErrSignatureUncovered
		}
	}
	if len(d.Body) == 0 {
		return nil
	}
	if !slices.Contains(covered, digestComponent) {
		return ErrSignatureUncovered
	}
	return checkDigest(d)
}

// checkDigest compares the body with every digest that is understood; one must be.
func checkDigest(d *Delivery) error {
	digests, err := dictionary(d.Header, contentDigest)
	if err != nil {
		return err
	}
	understood := 0
	for _, name := range digests.Names() {
		var want []byte
		switch name {
		case "sha-256":
			sum := sha256.Sum256(d.Body)
			want = sum[:]
		case "sha-512":
			sum := sha512.Sum512(d.Body)
			want = sum[:]
		default:
			continue
		}
		member, _ := digests.Get(name)
		item, _ := member.(httpsfv.Item)
		got, _ := item.Value.([]byte)
		if !bytes.Equal(got, want) {
			return ErrSignatureMismatch
		}
		understood++
	}
	if understood == 0 {
		return ErrSignatureUncovered
	}
	return nil
}

// signatureBase is the text that is signed (RFC 9421, 2.5).
func signatureBase(d *Delivery, input httpsfv.InnerList, covered []string) (string, error) {
	var b strings.Builder
	for _, name := range covered {
		value, err := component(d, name)
		if err != nil {
			return "", err
		}
		b.WriteString(`"` + name + `": ` + value + "\n")
	}
	params, err := httpsfv.Marshal(input)
	if err != nil {
		return "", ErrSignatureMalformed
	}
	b.WriteString(`"@signature-params": ` + params)
	return b.String(), nil
}

// component is the value of a component of the request (RFC 9421, 2.1 and 2.2). @target-uri and
// @scheme are not understood: behind a proxy nobody can tell them.
func component(d *Delivery, name string) (string, error) {
	uri, err := url.ParseRequestURI(d.URI)
	if err != nil {
		return "", ErrSignatureMalformed
	}
	switch name {
	case "@method":
		return d.Method, nil
	case "@authority":
		host := strings.ToLower(d.Host)
		return strings.TrimSuffix(strings.TrimSuffix(host, ":443"), ":80"), nil
	case "@path":
		return uri.EscapedPath(), nil
	case "@query":
		return "?" + uri.RawQuery, nil
	case "@request-target":
		return d.URI, nil
	case "host": // net/http keeps it apart
		return d.Host, nil
	}
	if strings.HasPrefix(name, "@") || name != strings.ToLower(name) {
		return "", ErrSignatureMalformed
	}
	lines := d.Header.Values(name)
	if len(lines) == 0 {
		return "", ErrSignatureMissing
	}
	values := make([]string, len(lines))
	for i, line := range lines {
		values[i] = strings.TrimSpace(line)
	}
	return strings.Join(values, ", "), nil
}

// isTimely checks when the signature was made and when it ends.
func (s *messageSignature) isTimely(d *Delivery, input httpsfv.InnerList) error {
	created, err := signatureTime(input, "created")
	switch {
	case err != nil:
		return err
	case created.IsZero():
		return ErrSignatureUncovered
	case !isFresh(created, d.Received, s.tolerance):
		return ErrSignatureExpired
	}
	expires, err := signatureTime(input, "expires")
	switch {
	case err != nil:
		return err
	case !expires.IsZero() && d.Received.After(expires):
		return ErrSignatureExpired
	}
	return nil
}

// signatureTime is a time among the parameters of a signature; the zero time if it is not there.
func signatureTime(input httpsfv.InnerList, name string) (time.Time, error) {
	value, given := input.Params.Get(name)
	if !given {
		return time.Time{}, nil
	}
	seconds, ok := value.(int64)
	if !ok {
		return time.Time{}, ErrSignatureMalformed
	}
	return time.Unix(seconds, 0), nil
}

func messageMAC(key []byte, base string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(base)) // a hash never fails
	return mac.Sum(nil)
}

// sign covers the method, the authority, the path, the body's digest and whatever is required. The
// nonce is made of the body, so that the same body sent again has the same.
func (s *messageSignature) sign(d *Delivery) error {
	sum := sha256.Sum256(d.Body)
	d.Header.Set(contentDigest, "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
	input := httpsfv.InnerList{Params: httpsfv.NewParams()}
	covered := []string{"@method", "@authority", "@path", digestComponent}
	for _, name := range s.components {
		if !slices.Contains(covered, name) {
			covered = append(covered, name)
		}
	}
	for _, name := range covered {
		input.Items = append(input.Items, httpsfv.NewItem(name))
	}
	input.Params.Add("created", d.Received.Unix())
	input.Params.Add("nonce", base64.StdEncoding.EncodeToString(sum[:16]))
	input.Params.Add("alg", messageSignatureAlg)
	base, err := signatureBase(d, input, covered)
	if err != nil {
		return err
	}
	params, err := httpsfv.Marshal(input)
	if err != nil {
		return err
	}
	d.Header.Set(signatureInput, "sig1="+params)
	d.Header.Set(signatureHeader, "sig1=:"+base64.StdEncoding.EncodeToString(messageMAC(s.keys[0], base))+":")
	return nil
}

// MessageSignatureNonce is the nonce of a request's message signature; "" if it has none. It is to be
// trusted only once the signature is verified.
func MessageSignatureNonce(h http.Header) string {
	inputs, err := dictionary(h, signatureInput)
	if err != nil || len(inputs.Names()) != 1 {
		return ""
	}
	member, _ := inputs.Get(inputs.Names()[0])
	input, isList := member.(httpsfv.InnerList)
	if !isList {
		return ""
	}
	nonce, _ := input.Params.Get("nonce")
	text, _ := nonce.(string)
	if len(text) > maxNonceBytes {
		return ""
	}
	return text
}
