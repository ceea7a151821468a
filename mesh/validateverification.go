package mesh

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

const maxTolerance = 24 * time.Hour

// verification checks that a method has what it needs and nothing that it would ignore: a limit
// that somebody wrote and nobody enforces is worse than none.
func (c *checker) verification(at string, v *Verification) {
	for _, f := range []struct {
		name    string
		given   bool
		methods []VerificationMethod
	}{
		{"header", v.Header != "", []VerificationMethod{VerifyHMAC, VerifyHeader}},
		{"algorithm", v.Algorithm != "", []VerificationMethod{VerifyHMAC}},
		{"encodings", len(v.Encodings) > 0, []VerificationMethod{VerifyHMAC}},
		{"prefix", v.Prefix != "", []VerificationMethod{VerifyHMAC}},
		{"signed", v.Signed != "", []VerificationMethod{VerifyHMAC}},
		{"timestamp_header", v.TimestampHeader != "", []VerificationMethod{VerifyHMAC}},
		{"tolerance", v.Tolerance != 0, []VerificationMethod{VerifyHMAC, VerifyStandardWebhooks, VerifyMessageSignature}},
		{"components", len(v.Components) > 0, []VerificationMethod{VerifyMessageSignature}},
		{"issuer", v.Issuer != "", []VerificationMethod{VerifyJWT}},
		{"audience", v.Audience != "", []VerificationMethod{VerifyJWT}},
		{"jwks_url", v.JWKSURL != "", []VerificationMethod{VerifyJWT}},
	} {
		if f.given && !slices.Contains(f.methods, v.Method) {
			c.wrong(join(at, f.name), "remove it", "the method %q does not use it", v.Method)
		}
	}
	c.lasting(at+".tolerance", time.Duration(v.Tolerance), 0, maxTolerance)
	switch v.Method {
	case VerifyHMAC:
		c.signatureHeader(at, v)
		c.hmac(at, v)
	case VerifyHeader:
		c.signatureHeader(at, v)
	case VerifyJWT:
		if v.JWKSURL != "" {
			c.secureURL(at+".jwks_url", v.JWKSURL)
			if v.Audience == "" {
				c.wrong(at+".audience", "add what the issuer writes into tokens that are for genmesh", "missing: an issuer makes tokens for others, too")
			}
		}
	}
}

func (c *checker) signatureHeader(at string, v *Verification) {
	if v.Header == "" {
		c.wrong(at+".header", "add it, or name a preset", "missing: the header that proves where a delivery comes from")
		return
	}
	c.header(at+".header", v.Header)
}

func (c *checker) hmac(at string, v *Verification) {
	if v.Algorithm != "" {
		c.among(at+".algorithm", v.Algorithm, "sha256", "sha512", "sha1")
	}
	for i, encoding := range v.Encodings {
		c.among(index(at+".encodings", i), encoding, "hex", "base64", "base64url")
	}
	if v.TimestampHeader != "" {
		c.header(at+".timestamp_header", v.TimestampHeader)
	}
	timed := strings.Contains(v.Signed, "{timestamp}")
	switch {
	case !timed && v.Tolerance != 0:
		c.wrong(at+".tolerance", `remove it, or sign a time with "signed" and "timestamp_header"`, "no time is signed, so there is nothing to tolerate")
	case v.Signed != "" && !strings.Contains(v.Signed, "{body}"):
		c.wrong(at+".signed", `write "{body}", or "{timestamp}.{body}"`, "%q leaves the body unsigned", v.Signed)
	case timed && v.TimestampHeader == "":
		c.wrong(at+".timestamp_header", "add it", "missing: the header that carries {timestamp}")
	case !timed && v.TimestampHeader != "":
		c.wrong(at+".timestamp_header", `write "signed": "{timestamp}.{body}" or as the sender does`,
			"the timestamp is not signed, so it proves nothing")
	}
}

func (c *checker) among(at, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.wrong(at, hintNearest(value, allowed), "%q is none of %s", value, strings.Join(allowed, ", "))
	}
}

// cloud checks what concerns the Genesys Cloud Platform API.
func (c *checker) cloud(at string, s *Source) {
	if s.API != nil {
		c.api(at+".api", s.API)
	}
	if s.Subscription != nil {
		c.subscription(at+".subscription", s.Subscription)
	}
	if s.Notifications != nil {
		c.notifications(at, s)
	}
}

func (c *checker) notifications(at string, s *Source) {
	topics := s.Notifications.Topics
	if len(topics) == 0 || len(topics) > maxTopics {
		c.wrong(at+".notifications.topics", "", "%d topics; 1 to %d are allowed", len(topics), maxTopics)
	}
	for i, topic := range topics {
		if topic == "" || len(topic) > MaxValueBytes || strings.ContainsAny(topic, " \t\r\n\x00") {
			c.wrong(index(at+".notifications.topics", i), `write one such as "v2.users.ID.conversations"`, "%q is no topic", topic)
		}
		if first := slices.Index(topics, topic); first < i {
			c.wrong(index(at+".notifications.topics", i), "remove it", "%q is there twice", topic)
		}
	}
	if s.API == nil {
		c.wrong(at+".api", "add it", "missing: notifications come from the Genesys Cloud API")
	}
	c.signable(at, s)
}

// signable checks that genmesh can sign as the source's senders do: it posts to it like one of them.
func (c *checker) signable(at string, s *Source) {
	missing := s.Secret == "" && len(s.Secrets) == 0
	switch {
	case s.Verification.JWKSURL != "":
		c.wrong(at+".verification.jwks_url", "use a method with a secret, such as header",
			"genmesh forwards notifications and can't sign for an issuer whose keys it does not have")
	case missing && s.FetchesKeys():
		c.wrong(at+".secret", `add "secret": "${ENV_NAME}", or give notifications a source of their own`,
			"missing: notifications are signed with it")
	}
}

func (c *checker) api(at string, a *API) {
	switch {
	case a.Region == "" && a.URL == "":
		c.wrong(at+".region", `write one such as "eu-central-1"`, "missing: where the organization lives")
	case a.Region != "" && a.URL != "":
		c.wrong(at+".url", "remove one", "there are both a region and a url")
	}
	if a.URL != "" {
		c.secureURL(at+".url", a.URL)
	}
	if a.LoginURL != "" {
		c.secureURL(at+".login_url", a.LoginURL)
	}
	if a.ClientID == "" {
		c.wrong(at+".client_id", "add the id of an OAuth client with client credentials", "missing")
	}
	if a.ClientSecret == "" && !c.missed(at+".client_secret") {
		c.wrong(at+".client_secret", `add "client_secret": "${ENV_NAME}"`, "missing")
	}
}

func (c *checker) subscription(at string, s *Subscription) {
	if len(s.EventTypes) == 0 {
		c.wrong(at+".event_types", `write ["interaction"]`, "missing: which events Genesys Cloud shall send")
	}
	if s.TargetURL == "" {
		c.wrong(at+".target_url", "add the public URL of the source", "missing")
	} else {
		c.secureURL(at+".target_url", s.TargetURL)
	}
	c.between(at+".retry_policy.max_retries", s.RetryPolicy.MaxRetries, 1, maxRetries)
}

// maxRetries is what the guide to the platform asks for at most.
const maxRetries = 10

// secureURL wants https, but on this machine.
func (c *checker) secureURL(at, text string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		c.wrong(at, `write one such as "https://mesh.example.com"`, "it is no http or https URL")
	case u.User != nil:
		c.wrong(at, "remove it", "a URL in this file has no user or password")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		c.wrong(at, "write https", "http is only for this machine: anybody on the way could read the keys")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
