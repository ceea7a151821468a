package mesh

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	maxBodyBytes       = 960 << 10 // leaves room for the envelope in NATS's 1 MiB
	maxRequestsAtOnce  = 100_000
	maxSecrets         = 8
	maxIdentityDepth   = 16
	maxIdentityBytes   = 256
	maxFingerprintPart = 32
	maxSelectors       = 8
	maxEventTypes      = 64
	maxTopics          = 1000
	// maxAnswerWithin is below what Genesys Cloud waits for an answer.
	maxAnswerWithin = 9 * time.Second
	maxKeyOverlap   = 31 * 24 * time.Hour
)

// reservedSources are first tokens of subjects that mean something else.
func reservedSources() []string { return []string{"dead", "quarantine", "replay", "_mesh", "_inbox"} }

func (c *checker) source(at string, s *Source) {
	c.name(at+".name", s.Name)
	if slices.Contains(reservedSources(), s.Name) {
		c.wrong(at+".name", "choose another", "%q is reserved: genmesh's own subjects begin with it", s.Name)
	}
	c.path(at+".path", s.Path)
	c.secrets(at, s)
	if !c.missed(at + ".preset") {
		c.identity(at+".identity", s)
		c.verification(at+".verification", &s.Verification)
	}
	c.eventTypes(at+".event_types", s)
	c.cloud(at, s)
	c.oneOf(at+".accepted_status", s.AcceptedStatus, 0, 200, 202, 204)
	c.lasting(at+".answer_within", time.Duration(s.AnswerWithin), 100*time.Millisecond, maxAnswerWithin)
	c.lasting(at+".key_overlap", time.Duration(*s.KeyOverlap), 0, maxKeyOverlap)
	c.between(at+".max_body_bytes", s.MaxBodyBytes, 1, maxBodyBytes)
	c.between(at+".max_in_flight", s.MaxInFlight, 1, maxRequestsAtOnce)
	c.lasting(at+".max_event_age", time.Duration(s.MaxEventAge), 0, maxDays*24*time.Hour)
	c.templates(at, s)
	if stream, ok := c.knownStream(at+".stream", s.Stream); ok {
		c.feeds(at, s, stream)
	}
}

func (c *checker) path(at, p string) {
	switch {
	case p == "":
		c.wrong(at, `add "path", such as "/webhooks/genesys"`, "missing")
	case !strings.HasPrefix(p, "/") || path.Clean(p) != p || p == "/":
		c.wrong(at, `write one such as "/webhooks/genesys"`, "%q is not a clean absolute path", p)
	case strings.Trim(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._~-") != "" ||
		strings.ContainsAny(p, ":*?#% "):
		c.wrong(at, "use letters, digits, /, ., _, ~ and -", "%q has characters that mean something else in a route", p)
	case slices.Contains([]string{"/healthz", "/readyz", "/metrics", "/api"}, p) || strings.HasPrefix(p, "/api/"):
		c.wrong(at, `write one such as "/webhooks/genesys"`, "%q is genmesh's own", p)
	}
}

func (c *checker) secrets(at string, s *Source) {
	hasSecrets, ofIssuer := s.Secret != "" || len(s.Secrets) > 0, s.Verification.JWKSURL != ""
	switch {
	case ofIssuer && (hasSecrets || s.FetchesKeys()):
		c.wrong(at+".verification.jwks_url", "remove it, or the secret and the subscription", "tokens are verified by their issuer's keys or by a secret, not both")
	case s.Secret != "" && len(s.Secrets) > 0:
		c.wrong(at+".secret", "move it into secrets", "there are both a secret and secrets")
	case !hasSecrets:
		if s.FetchesKeys() || ofIssuer {
			return
		}
		if !c.missed(at+".secret") && !c.missed(at+".secrets") {
			c.wrong(at+".secret", `add "secret": "${ENV_NAME}"`, "missing: without a secret nothing can be verified")
		}
	case len(s.Secrets) > maxSecrets:
		c.wrong(at+".secrets", "", "%d secrets; at most %d are allowed", len(s.Secrets), maxSecrets)
	}
}

// missed reports whether decoding failed at path.
func (c *checker) missed(path string) bool {
	return slices.ContainsFunc(c.unread, func(m located) bool { return within(path, m.Path) })
}

func (c *checker) identity(at string, s *Source) {
	id := s.Identity
	if len(id.Interaction) == 0 && s.WithoutInteraction == InteractionRequired {
		c.wrong(at+".interaction", "add it, or name a preset", "missing: where a delivery's interaction id is")
	}
	for _, v := range []struct {
		name      string
		selectors Selectors
	}{
		{"interaction", id.Interaction}, {"event_id", id.EventID}, {"event_type", id.EventType},
		{"media", id.Media}, {"organization", id.Organization}, {"occurred", id.Occurred},
	} {
		c.selectors(join(at, v.name), v.selectors)
	}
	if id.Events != "" {
		c.plainPath(at+".events", id.Events)
	}
	c.plainPaths(at+".content", id.Content, maxSelectors)
	c.plainPaths(at+".fingerprint", id.Fingerprint, maxFingerprintPart)
	for _, h := range []struct{ name, header string }{
		{"delivery_id_header", id.DeliveryIDHeader}, {"delivery_type_header", id.DeliveryTypeHeader},
	} {
		if h.header != "" {
			c.header(join(at, h.name), h.header)
		}
	}
}

func (c *checker) selectors(at string, selectors Selectors) {
	if len(selectors) > maxSelectors {
		c.wrong(at, "", "%d selectors; at most %d are allowed", len(selectors), maxSelectors)
		return
	}
	for i, selector := range selectors {
		place := at
		if len(selectors) > 1 {
			place = index(at, i)
		}
		if _, err := selector.Parse(); err != nil {
			c.wrong(place, `write a path such as "data.id"`, "%v", err)
		}
	}
}

func (c *checker) plainPaths(at string, paths []string, limit int) {
	if len(paths) > limit {
		c.wrong(at, "", "%d paths; at most %d are allowed", len(paths), limit)
	}
	for i, p := range paths {
		c.plainPath(index(at, i), p)
	}
}

func (c *checker) plainPath(at, p string) {
	if !isPlainPath(p) {
		c.wrong(at, fmt.Sprintf(`write names of letters, digits, - and _ with "." between them, such as "data.id", at most %d deep`, maxIdentityDepth),
			"%q is not a plain path into the body", p)
	}
}

func (c *checker) header(at, name string) {
	if !isHeaderName(name) {
		c.wrong(at, "", "%q is not the name of an HTTP header", name)
	}
}

// eventTypes checks what goes for some event types only.
func (c *checker) eventTypes(at string, s *Source) {
	if len(s.EventTypes) > maxEventTypes {
		c.wrong(at, "", "%d patterns; at most %d are allowed", len(s.EventTypes), maxEventTypes)
		return
	}
	for pattern, t := range s.EventTypes {
		place := join(at, pattern)
		if len(pattern) > MaxValueBytes || pattern == "" {
			c.wrong(place, `write an event type such as "interaction"; "*" stands for any text`, "a pattern has 1 to %d bytes", MaxValueBytes)
		}
		c.selectors(place+".event_id", t.EventID)
		if t.DedupeKey == "" {
			continue
		}
		if _, err := t.DedupeKey.compileKey(); err != nil {
			c.wrong(place+".dedupe_key", fmt.Sprintf("the default is %q", DefaultDedupeKey), "%v", err)
		}
	}
}

func (c *checker) templates(at string, s *Source) {
	if _, err := s.Subject.compileSubject(); err != nil {
		c.wrong(at+".subject", fmt.Sprintf("the default is %q", DefaultSubject), "%v", err)
	}
	if _, err := s.DedupeKey.compileKey(); err != nil {
		c.wrong(at+".dedupe_key", fmt.Sprintf("the default is %q", DefaultDedupeKey), "%v", err)
	}
	s.addressing, _ = s.compile() // what is wrong is noted; such a source is not used
}

// feeds checks that the stream takes the source's events and loses none.
func (c *checker) feeds(at string, s *Source, stream *Stream) {
	i := slices.IndexFunc(c.t.Streams, func(t Stream) bool { return t.Name == s.Stream })
	place := index("streams", i)
	if r, ok := stream.roleOf(); ok {
		c.wrong(at+".stream", "give the source a stream of its own", "%s keeps %s", stream.Name, r.holds)
		return
	}
	pattern := s.pattern()
	covers := func(subject string) bool { return SubjectCovers(subject, pattern) }
	if _, err := s.Subject.compileSubject(); err == nil && !slices.ContainsFunc(stream.Subjects, covers) {
		c.wrong(at+".stream", fmt.Sprintf("add %q to the subjects of %s", Token(s.Name)+".>", s.Stream),
			"%s does not take %q, the subjects of the source's events", s.Stream, pattern)
	}
	if room := int64(s.MaxBodyBytes) + envelopeBytes; stream.MaxMsgSize > 0 && int64(stream.MaxMsgSize) < room {
		c.wrong(place+".max_msg_size", fmt.Sprintf("write at least %d, or a smaller max_body_bytes", room),
			"%d is too small for the bodies of source %s and their envelope", stream.MaxMsgSize, s.Name)
	}
	c.keepsEvents(place, stream)
	c.takesAsPublished(place, stream)
}

// envelopeBytes is room for the headers of an event.
const envelopeBytes = 16 << 10
