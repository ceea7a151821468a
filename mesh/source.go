package mesh

// Source is one way in: a path that a sender posts its events to.
type Source struct {
	// Name identifies the source and is the first token of its events' subjects:
	// [a-z0-9][a-z0-9_-]{0,31}.
	Name string `json:"name"`
	// Path is the HTTP path of the webhook, such as "/webhooks/genesys".
	Path string `json:"path"`
	// Preset names a set of defaults for every field that is left out.
	Preset string `json:"preset,omitempty"`
	// Secret verifies deliveries; Secrets are several that are valid at once, for rotation. One
	// of the two is given, unless the keys come from elsewhere: from the subscription, or from
	// the issuer of tokens.
	Secret  Secret   `json:"secret,omitempty"`
	Secrets []Secret `json:"secrets,omitempty"`
	// KeyOverlap is how long a key stays valid once the subscription, the environment or the
	// file no longer has it. Default 24h, and 0 for an issuer's.
	KeyOverlap *Duration `json:"key_overlap,omitempty"`
	// Verification says how a delivery proves where it comes from.
	Verification Verification `json:"verification,omitzero"`
	// Identity says where in a delivery an event's envelope values are.
	Identity Identity `json:"identity,omitzero"`
	// Sensitive hides the bodies of the source's events, and what may repeat something of them, from
	// those who may only view the console. Subscribers get them all the same; see Redact for those.
	Sensitive bool `json:"sensitive,omitempty"`
	// Organizations, where given, are the only tenants whose events go on their way; those of
	// others are quarantined.
	Organizations []string `json:"organizations,omitempty"`
	// WithoutInteraction says what becomes of an event that names no interaction: "quarantine"
	// (default) or "accept".
	WithoutInteraction WithoutInteraction `json:"without_interaction,omitempty"`
	// EventTypes has what only goes for some event types, by a pattern of the type, in which "*"
	// stands for any text. The type itself wins, then the longest pattern.
	EventTypes map[string]EventType `json:"event_types,omitempty"`
	// Stream is the stream that keeps the events.
	Stream string `json:"stream"`
	// Subject is the template of the events' subjects. Default
	// "{source}.{partition}.{type}.{media}.{interaction}".
	Subject Template `json:"subject,omitempty"`
	// DedupeKey is the template of what names an event in the duplicate window. Default
	// "{interaction}".
	DedupeKey Template `json:"dedupe_key,omitempty"`
	// Repeat says what becomes of a later event with the same key: "keep" (default) stores it
	// if its content differs, "drop" takes it for a duplicate.
	Repeat Repeat `json:"repeat,omitempty"`
	// AcceptedStatus is the HTTP status that the sender is told when its events are stored,
	// quarantined or known already: 200 or 204 for a sender that wants exactly that. Default 202
	// for what is stored or quarantined and 200 for what is known.
	AcceptedStatus int `json:"accepted_status,omitempty"`
	// AnswerWithin bounds the time from the whole body to the answer; what is not stored by then
	// is answered 503. Default 4s, at most 9s.
	AnswerWithin Duration `json:"answer_within,omitempty"`
	// MaxBodyBytes bounds a body. Default 524288; at most 983040, below what NATS carries.
	MaxBodyBytes int `json:"max_body_bytes,omitempty"`
	// MaxInFlight bounds the verified requests under way at once; more are answered 429. Default
	// 4096.
	MaxInFlight int `json:"max_in_flight,omitempty"`
	// RateLimit bounds the verified requests per time, such as "500/s"; more are answered 429.
	// Default: no limit.
	RateLimit Rate `json:"rate_limit,omitzero"`
	// MaxEventAge is how far the time of an event may lie from now, either way, before it is
	// quarantined. Default 0: any age, for a sender's retries make good events old.
	MaxEventAge Duration `json:"max_event_age,omitempty"`
	// API reaches the Genesys Cloud Platform API of the source's organization.
	API *API `json:"api,omitempty"`
	// Subscription is the webhook subscription that Genesys Cloud shall have for the source. With
	// API, its keys verify deliveries.
	Subscription *Subscription `json:"subscription,omitempty"`
	// Notifications are the topics that genmesh serve notifications forwards to the source.
	Notifications *Notifications `json:"notifications,omitempty"`

	addressing *addressing // the compiled templates
}

// Verification says how a delivery proves where it comes from. Which fields count is the method's
// to say.
type Verification struct {
	// Method is "hmac" (default), "standard-webhooks", "http-message-signature", "header", "basic",
	// "bearer" or "jwt".
	Method VerificationMethod `json:"method,omitempty"`
	// Header carries the signature of hmac and the key of header.
	Header string `json:"header,omitempty"`
	// Algorithm of hmac: "sha256" (default), "sha512" or "sha1".
	Algorithm string `json:"algorithm,omitempty"`
	// Encodings of the signature that hmac takes: "hex" (default), "base64", "base64url".
	Encodings []string `json:"encodings,omitempty"`
	// Prefix stands before the signature of hmac, such as "sha1=".
	Prefix string `json:"prefix,omitempty"`
	// Signed is what hmac is over: "{body}" (default), or with the timestamp, such as
	// "{timestamp}.{body}".
	Signed string `json:"signed,omitempty"`
	// TimestampHeader carries the timestamp of Signed: epoch seconds or milliseconds, or RFC 3339.
	TimestampHeader string `json:"timestamp_header,omitempty"`
	// Tolerance is how far a signed time may lie from now, either way. Default 5m.
	Tolerance Duration `json:"tolerance,omitempty"`
	// Components must be covered by an http-message-signature, beside the body.
	Components []string `json:"components,omitempty"`
	// Issuer and Audience are what a jwt must say, where given. JWKSURL has its issuer's keys; with
	// it Audience is needed, for an issuer makes tokens for others, too.
	Issuer   string `json:"issuer,omitempty"`
	Audience string `json:"audience,omitempty"`
	JWKSURL  string `json:"jwks_url,omitempty"`
}

// VerificationMethod is how a delivery proves where it comes from.
type VerificationMethod string

// The values of VerificationMethod.
const (
	VerifyHMAC             VerificationMethod = "hmac"
	VerifyStandardWebhooks VerificationMethod = "standard-webhooks"
	VerifyMessageSignature VerificationMethod = "http-message-signature"
	VerifyHeader           VerificationMethod = "header"
	VerifyBasic            VerificationMethod = "basic"
	VerifyBearer           VerificationMethod = "bearer"
	VerifyJWT              VerificationMethod = "jwt"
)

// Identity says where a delivery's envelope values are. Of several selectors the first that finds
// something counts.
type Identity struct {
	// Events is the path of the list, in a body that brings several events. Each becomes an event
	// of its own, whose body is the delivery's with the list cut to this one.
	Events string `json:"events,omitempty"`
	// Content lists the paths of what an event is about, without its sender's envelope; the first
	// object counts. Default: the whole body. Selectors reach into it by "@".
	Content []string `json:"content,omitempty"`

	Interaction  Selectors `json:"interaction,omitempty"`
	EventID      Selectors `json:"event_id,omitempty"`
	EventType    Selectors `json:"event_type,omitempty"`
	Media        Selectors `json:"media,omitempty"`
	Organization Selectors `json:"organization,omitempty"`
	// Occurred is a time in epoch seconds, epoch milliseconds or RFC 3339.
	Occurred Selectors `json:"occurred,omitempty"`
	// Fingerprint lists the paths whose values tell a later event from a redelivery. Default:
	// the content.
	Fingerprint []string `json:"fingerprint,omitempty"`
	// DeliveryIDHeader and DeliveryTypeHeader are shown but never decide anything: the
	// signature does not cover them.
	DeliveryIDHeader   string `json:"delivery_id_header,omitempty"`
	DeliveryTypeHeader string `json:"delivery_type_header,omitempty"`
}

// EventType is what only goes for some event types of a source.
type EventType struct {
	// Schema is the JSON Schema of the events' content: a file, "builtin:NAME" for one that
	// genmesh has, or "none". What violates it is quarantined.
	Schema string `json:"schema,omitempty"`
	// EventID and DedupeKey, where given, stand in for the source's.
	EventID   Selectors `json:"event_id,omitempty"`
	DedupeKey Template  `json:"dedupe_key,omitempty"`
}

// Repeat says what becomes of a later event with the same key.
type Repeat string

// The values of Repeat.
const (
	RepeatKeep Repeat = "keep"
	RepeatDrop Repeat = "drop"
)

// WithoutInteraction says what becomes of an event that names no interaction.
type WithoutInteraction string

// The values of WithoutInteraction.
const (
	InteractionRequired WithoutInteraction = "quarantine"
	InteractionOptional WithoutInteraction = "accept"
)

// API reaches the Genesys Cloud Platform API.
type API struct {
	// Region is where the organization lives: an AWS region such as "eu-central-1", or a domain
	// such as "mypurecloud.de".
	Region string `json:"region,omitempty"`
	// URL is given instead of Region where the API is elsewhere, as a simulated one is.
	URL string `json:"url,omitempty"`
	// LoginURL is where tokens come from. Default: that of the region, or URL.
	LoginURL     string `json:"login_url,omitempty"`
	ClientID     string `json:"client_id"`
	ClientSecret Secret `json:"client_secret"`
}

// Subscription is a webhook subscription as Genesys Cloud shall have it.
type Subscription struct {
	// Name identifies it in Genesys Cloud. Default: the source's.
	Name        string   `json:"name,omitempty"`
	Description string   `json:"description,omitempty"`
	EventTypes  []string `json:"event_types"`
	// TargetURL is the source's public URL.
	TargetURL   string      `json:"target_url"`
	RetryPolicy RetryPolicy `json:"retry_policy,omitzero"`
	// Active is true by default.
	Active *bool `json:"active,omitempty"`
}

// RetryPolicy is how Genesys Cloud repeats a delivery that was not answered well.
type RetryPolicy struct {
	MaxRetries  int         `json:"max_retries,omitempty"`  // default 5
	BackoffType BackoffType `json:"backoff_type,omitempty"` // default EXPONENTIAL
}

// BackoffType is how the waits of a RetryPolicy grow.
type BackoffType string

// The values of BackoffType.
const (
	BackoffExponential BackoffType = "EXPONENTIAL"
	BackoffFixed       BackoffType = "FIXED"
)

// Notifications are topics of the Genesys Cloud notification service.
type Notifications struct {
	Topics []string `json:"topics"`
}

// FetchesKeys reports whether the source's keys come from its subscription.
func (s *Source) FetchesKeys() bool { return s.API != nil && s.Subscription != nil }

// TypeOf is what goes for an event type, by the pattern that matches it best; "" if none does.
func (s *Source) TypeOf(eventType string) (pattern string, t EventType) {
	if t, ok := s.EventTypes[eventType]; ok {
		return eventType, t
	}
	found := false
	for p, candidate := range s.EventTypes {
		better := !found || len(p) > len(pattern) || len(p) == len(pattern) && p < pattern
		if better && MatchesType(p, eventType) {
			found, pattern, t = true, p, candidate
		}
	}
	return pattern, t
}
