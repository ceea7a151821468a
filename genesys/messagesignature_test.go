package genesys_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
)

const messageKey = "a key of the mesh and the sender"

// message is a delivery to be signed by hand, line by line as RFC 9421 has it, so that what is signed is
// not what genmesh would make of it.
type message struct {
	*genesys.Delivery
	digest string
}

func newMessage() message {
	body := []byte(`{"id":"1"}`)
	m := message{digest: "sha-256=:" + b64sum(body) + ":", Delivery: &genesys.Delivery{
		Method: http.MethodPost, Host: "mesh.example.com", URI: "/webhooks/x%2Fy?y=1&z", Body: body, Received: now,
		Header: http.Header{"Content-Type": {"application/json"}},
	}}
	m.Header.Set("Content-Digest", m.digest)
	return m
}

func b64sum(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// covered is the line of the digest, which each signature must cover.
func (m message) covered() string { return `"content-digest": ` + m.digest }

// signature is what Signature-Input and Signature have of a signature: of lines `"component": value`.
func signature(key, params string, lines ...string) (input, value string) {
	var names []string
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ": ")
		names = append(names, name)
	}
	input = "(" + strings.Join(names, " ") + ")" + params
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(strings.Join(append(lines, `"@signature-params": `+input), "\n")))
	return input, ":" + base64.StdEncoding.EncodeToString(mac.Sum(nil)) + ":"
}

func messageVerifier(t *testing.T) *genesys.Verifier {
	t.Helper()
	v, err := genesys.NewVerifier(genesys.Verification{Method: genesys.MethodMessageSignature},
		[]string{base64.StdEncoding.EncodeToString([]byte(messageKey))})
	require.NoError(t, err)
	return v
}

// createdNow is when all signatures of these tests are made, but where it matters.
var createdNow = fmt.Sprintf(";created=%d", now.Unix())

// TestMessageSignatureThatIsRightInItself: each is made with the key, and nothing of it was changed.
func TestMessageSignatureThatIsRightInItself(t *testing.T) {
	at := func(name string, d time.Duration) string { return fmt.Sprintf(";%s=%d", name, now.Add(d).Unix()) }
	lines := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf(`"x-%d": %d`, i, i))
		}
		return all
	}
	v := messageVerifier(t)
	for name, c := range map[string]struct {
		params string
		lines  []string // beside the digest's
		change func(*genesys.Delivery)
		want   error
	}{
		"good": {params: createdNow},

		"made four minutes ago":           {params: at("created", -4*time.Minute)},
		"made six minutes ago":            {params: at("created", -6*time.Minute), want: genesys.ErrSignatureExpired},
		"made in six minutes":             {params: at("created", 6*time.Minute), want: genesys.ErrSignatureExpired},
		"nobody knows when it was made":   {params: `;keyid="k"`, want: genesys.ErrSignatureUncovered},
		"made at a time in quotes":        {params: fmt.Sprintf(`;created="%d"`, now.Unix()), want: genesys.ErrSignatureMalformed},
		"made at half a second":           {params: createdNow + ".5", want: genesys.ErrSignatureMalformed},
		"it ends in a minute":             {params: createdNow + at("expires", time.Minute)},
		"it ended a second ago":           {params: createdNow + at("expires", -time.Second), want: genesys.ErrSignatureExpired},
		"it ended, and says so in quotes": {params: createdNow + `;expires="1"`, want: genesys.ErrSignatureMalformed},
		"it ends in quotes, in a minute":  {params: createdNow + fmt.Sprintf(`;expires="%d"`, now.Unix()+60), want: genesys.ErrSignatureMalformed},

		"it says which algorithm":          {params: createdNow + `;alg="hmac-sha256"`},
		"it says it is of another":         {params: createdNow + `;alg="ed25519"`, want: genesys.ErrSignatureMalformed},
		"it says so without quotes":        {params: createdNow + `;alg=hmac-sha256`, want: genesys.ErrSignatureMalformed},
		"a component stands twice":         {params: createdNow, lines: []string{`"@method": POST`, `"@method": POST`}, want: genesys.ErrSignatureMalformed},
		"a component with a parameter":     {params: createdNow, lines: []string{`"content-type";sf: application/json`}, want: genesys.ErrSignatureMalformed},
		"the request's component, of two":  {params: createdNow, lines: []string{`"@method";req: POST`}, want: genesys.ErrSignatureMalformed},
		"a component in capitals":          {params: createdNow, lines: []string{`"Content-Type": application/json`}, want: genesys.ErrSignatureMalformed},
		"a component without quotes":       {params: createdNow, lines: []string{`content-type: application/json`}, want: genesys.ErrSignatureMalformed},
		"a component that nobody can tell": {params: createdNow, lines: []string{`"@target-uri": https://mesh.example.com/`}, want: genesys.ErrSignatureMalformed},
		"a header that does not come":      {params: createdNow, lines: []string{`"x-tenant": a`}, want: genesys.ErrSignatureMissing},

		"the method":         {params: createdNow, lines: []string{`"@method": POST`}},
		"the path":           {params: createdNow, lines: []string{`"@path": /webhooks/x%2Fy`}},
		"the request target": {params: createdNow, lines: []string{`"@request-target": /webhooks/x%2Fy?y=1&z`}},
		"the query":          {params: createdNow, lines: []string{`"@query": ?y=1&z`}},
		"no query": {params: createdNow, lines: []string{`"@query": ?`},
			change: func(d *genesys.Delivery) { d.URI = "/webhooks" }},
		"the query without its mark": {params: createdNow, lines: []string{`"@query": y=1&z`}, want: genesys.ErrSignatureMismatch},
		"the authority in capitals, with a port that goes without saying": {params: createdNow, lines: []string{`"@authority": mesh.example.com`},
			change: func(d *genesys.Delivery) { d.Host = "MESH.example.com:80" }},
		"the authority with another port": {params: createdNow, lines: []string{`"@authority": mesh.example.com:8443`},
			change: func(d *genesys.Delivery) { d.Host = "mesh.example.com:8443" }},
		"the host": {params: createdNow, lines: []string{`"host": mesh.example.com`}},
		"the host, at another host": {params: createdNow, lines: []string{`"host": mesh.example.com`}, want: genesys.ErrSignatureMismatch,
			change: func(d *genesys.Delivery) { d.Host = "evil.example.com" }},
		"a header of two lines": {params: createdNow, lines: []string{`"x-tenant": a, b`},
			change: func(d *genesys.Delivery) { d.Header["X-Tenant"] = []string{" a", "b "} }},

		"as many components as may be": {params: createdNow, lines: lines(31), change: setLines(31)},
		"too many components":          {params: createdNow, lines: lines(32), change: setLines(32), want: genesys.ErrSignatureMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMessage()
			if c.change != nil {
				c.change(m.Delivery)
			}
			input, value := signature(messageKey, c.params, append(c.lines, m.covered())...)
			m.Header.Set("Signature-Input", "sig1="+input)
			m.Header.Set("Signature", "sig1="+value)
			assert.ErrorIs(t, v.Verify(t.Context(), m.Delivery), c.want)
		})
	}
}

func setLines(n int) func(*genesys.Delivery) {
	return func(d *genesys.Delivery) {
		for i := range n {
			d.Header.Set(fmt.Sprintf("X-%d", i), fmt.Sprint(i))
		}
	}
}

// TestMessageWithSeveralSignatures: a proxy may add its own, which we have no key of.
func TestMessageWithSeveralSignatures(t *testing.T) {
	m := newMessage()
	goodInput, good := signature(messageKey, createdNow, m.covered())
	proxyInput, proxys := signature("a key of the proxy", createdNow, `"@method": POST`, m.covered())
	methodInput, methodOnly := signature(messageKey, createdNow, `"@method": POST`)
	proxies := func(n int) (inputs, signatures []string) {
		for i := range n {
			inputs = append(inputs, fmt.Sprintf("p%d=%s", i, proxyInput))
			signatures = append(signatures, fmt.Sprintf("p%d=%s", i, proxys))
		}
		return inputs, signatures
	}
	sevenInputs, seven := proxies(7)
	eightInputs, eight := proxies(8)
	v := messageVerifier(t)
	for name, c := range map[string]struct {
		inputs, signatures []string
		want               error
	}{
		"the good one alone":                 {[]string{"sig1=" + goodInput}, []string{"sig1=" + good}, nil},
		"the proxy's after it":               {[]string{"sig1=" + goodInput, "proxy=" + proxyInput}, []string{"sig1=" + good, "proxy=" + proxys}, nil},
		"the proxy's before it":              {[]string{"proxy=" + proxyInput, "sig1=" + goodInput}, []string{"proxy=" + proxys, "sig1=" + good}, nil},
		"in another order":                   {[]string{"proxy=" + proxyInput, "sig1=" + goodInput}, []string{"sig1=" + good, "proxy=" + proxys}, nil},
		"a malformed one beside":             {[]string{"proxy=1", "sig1=" + goodInput}, []string{"proxy=2", "sig1=" + good}, nil},
		"the good one is of eight, the last": {append(sevenInputs, "sig1="+goodInput), append(seven, "sig1="+good), nil},
		"the good one is of nine, the last":  {append(eightInputs, "sig1="+goodInput), append(eight, "sig1="+good), genesys.ErrSignatureMalformed},
		"the good one is of nine, the first": {append([]string{"sig1=" + goodInput}, eightInputs...), append([]string{"sig1=" + good}, eight...), genesys.ErrSignatureMalformed},
		"none is good":                       {eightInputs, eight, genesys.ErrSignatureMismatch},
		"none at all":                        {nil, nil, genesys.ErrSignatureMalformed},
		"under another label":                {[]string{"sig1=" + goodInput}, []string{"sig2=" + good}, genesys.ErrSignatureMalformed},
		"under the proxy's label":            {[]string{"sig1=" + goodInput, "proxy=" + proxyInput}, []string{"sig1=" + proxys, "proxy=" + good}, genesys.ErrSignatureMismatch},
		"the good one leaves the body out, beside one that is not good": {
			[]string{"sig1=" + methodInput, "proxy=" + proxyInput}, []string{"sig1=" + methodOnly, "proxy=" + proxys}, genesys.ErrSignatureUncovered},
		"a list where the signature should be":   {[]string{"sig1=" + goodInput}, []string{"sig1=(" + good + ")"}, genesys.ErrSignatureMalformed},
		"a text where the signature should be":   {[]string{"sig1=" + goodInput}, []string{`sig1="` + strings.Trim(good, ":") + `"`}, genesys.ErrSignatureMalformed},
		"no list where the components should be": {[]string{`sig1="content-digest"` + createdNow}, []string{"sig1=" + good}, genesys.ErrSignatureMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMessage()
			m.Header.Set("Signature-Input", strings.Join(c.inputs, ", "))
			m.Header.Set("Signature", strings.Join(c.signatures, ", "))
			assert.ErrorIs(t, v.Verify(t.Context(), m.Delivery), c.want)
		})
	}
}

// TestMessageWithSeveralDigests: each that we understand must be the body's, or another receiver could
// take another body for genuine.
func TestMessageWithSeveralDigests(t *testing.T) {
	m := newMessage()
	sum := sha512.Sum512(m.Body)
	long := "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	v := messageVerifier(t)
	for name, c := range map[string]struct {
		digest string
		want   error
	}{
		"SHA-512":                   {long, nil},
		"both":                      {m.digest + ", " + long, nil},
		"one of another kind":       {"md5=:AAAA:, " + m.digest, nil},
		"none that is understood":   {"md5=:AAAA:", genesys.ErrSignatureUncovered},
		"the second of other bytes": {m.digest + ", sha-512=:AAAA:", genesys.ErrSignatureMismatch},
		"the first of other bytes":  {"sha-256=:AAAA:, " + long, genesys.ErrSignatureMismatch},
		"in quotes":                 {`sha-256="` + b64sum(m.Body) + `"`, genesys.ErrSignatureMismatch},
		"no dictionary":             {"sha-256=:", genesys.ErrSignatureMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMessage()
			m.Header.Set("Content-Digest", c.digest)
			input, value := signature(messageKey, createdNow, `"content-digest": `+c.digest)
			m.Header.Set("Signature-Input", "sig1="+input)
			m.Header.Set("Signature", "sig1="+value)
			assert.ErrorIs(t, v.Verify(t.Context(), m.Delivery), c.want)
		})
	}
}

func TestNonceOfAMessageSignature(t *testing.T) {
	for name, c := range map[string]struct{ input, want string }{
		"one":                       {`sig1=("@method");nonce="n-1"`, "n-1"},
		"none":                      {`sig1=("@method")`, ""},
		"without quotes":            {`sig1=("@method");nonce=1`, ""},
		"longer than anybody needs": {`sig1=("@method");nonce="` + strings.Repeat("n", 257) + `"`, ""},
		"no list":                   {`sig1="@method";nonce="n-1"`, ""},
		"nobody knows whose it is":  {`proxy=("@method");nonce="n-1", sig1=("@method")`, ""},
	} {
		assert.Equal(t, c.want, genesys.MessageSignatureNonce(http.Header{"Signature-Input": {c.input}}), name)
	}
}
