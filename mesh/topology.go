package mesh

import (
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Topology is a streams.json: where events come from, where they are kept and who is served.
// ParseTopology makes one that is complete and consistent; it is not changed afterwards.
type Topology struct {
	// Schema names the JSON Schema for editors; genmesh ignores it.
	Schema      string       `json:"$schema,omitempty"`
	Sources     []Source     `json:"sources"`
	Streams     []Stream     `json:"streams"`
	Subscribers []Subscriber `json:"subscribers"`
}

// Stream is a JetStream stream, in the official field names of NATS.
type Stream struct {
	jetstream.StreamConfig
}

// Subscriber is one domain that is served: a durable push consumer and where its events go.
// The fields from FilterSubjects to Metadata are JetStream's own, by their official names.
type Subscriber struct {
	// Name is the durable's name and the deliver group: [a-z0-9][a-z0-9_-]{0,31}.
	Name string `json:"name"`
	// Stream is the stream that the subscriber reads.
	Stream      string `json:"stream"`
	Description string `json:"description,omitempty"`

	FilterSubject   string                  `json:"filter_subject,omitempty"`
	FilterSubjects  []string                `json:"filter_subjects,omitempty"`
	DeliverPolicy   jetstream.DeliverPolicy `json:"deliver_policy,omitempty"`
	OptStartSeq     uint64                  `json:"opt_start_seq,omitempty"`
	OptStartTime    *time.Time              `json:"opt_start_time,omitempty"`
	ReplayPolicy    jetstream.ReplayPolicy  `json:"replay_policy,omitempty"`
	AckWait         Duration                `json:"ack_wait,omitempty"`        // default 10s
	MaxDeliver      int                     `json:"max_deliver,omitempty"`     // default MaxAttempts + 50
	MaxAckPending   int                     `json:"max_ack_pending,omitempty"` // default 256
	RateLimitBPS    uint64                  `json:"rate_limit_bps,omitempty"`
	SampleFrequency string                  `json:"sample_freq,omitempty"`
	Replicas        int                     `json:"num_replicas,omitempty"`
	MemoryStorage   bool                    `json:"mem_storage,omitempty"`
	PauseUntil      *time.Time              `json:"pause_until,omitempty"`
	Metadata        map[string]string       `json:"metadata,omitempty"`

	// Start is where a new subscriber begins, in one word or time: short for DeliverPolicy and
	// OptStartTime, which ParseTopology fills in.
	Start Start `json:"start,omitempty"`
	// Order says what is kept in order. Default OrderInteraction.
	Order Order `json:"order,omitempty"`
	// Partitions is how many consumers the subscriber's events are divided among, each served by
	// one process at a time: so many processes can share the work. 1 (default) to Partitions.
	Partitions int `json:"partitions,omitempty"`

	// MaxAttempts is how often the target is tried before an event becomes a dead letter.
	// Default 6: the first attempt and five retries.
	MaxAttempts int `json:"max_attempts,omitempty"`
	// MaxInFlight bounds the calls to the target at once, in one process. Default 32.
	MaxInFlight int `json:"max_in_flight,omitempty"`
	// RateLimit bounds the attempts per time over all processes, such as "50/s". Default: no limit.
	RateLimit Rate `json:"rate_limit,omitzero"`
	// Burst is how many attempts may come at once after a pause. Default: those of one second, at
	// least 1.
	Burst int `json:"burst,omitempty"`
	// Backoff is the wait between attempts.
	Backoff Backoff `json:"backoff,omitzero"`
	// Breaker spares a target that has failed for a while.
	Breaker Breaker `json:"breaker,omitzero"`

	// When chooses the events that the subscriber gets: a condition over the event, in the
	// language of expr-lang.org. "" is all. An event for which it is not true is passed by.
	When string `json:"when,omitempty"`
	// Redact hides values of the body. It comes after When and before Transform.
	Redact []Redaction `json:"redact,omitempty"`
	// RedactKey is the key of the hashes that Redact makes.
	RedactKey Secret `json:"redact_key,omitempty"`
	// Transform is a jq program that makes the body that the target gets. "" leaves it as it is.
	Transform string `json:"transform,omitempty"`
	// Target is where events go; nil if a handler registered in code serves the subscriber.
	Target *Target `json:"target,omitempty"`
}

// Backoff is the wait before attempt n+1: Base × Factor^(n-1), at most Max.
type Backoff struct {
	Base   Duration `json:"base,omitempty"`   // default 1s
	Factor float64  `json:"factor,omitempty"` // default 2
	Max    Duration `json:"max,omitempty"`    // default 60s
	// Jitter is "none" (default) or "full": a random wait up to the computed one.
	Jitter string `json:"jitter,omitempty"`
}

// Start is where a new subscriber begins: StartAll, StartNow, or an RFC 3339 time.
type Start string

// The starts that are no time.
const (
	// StartAll begins with the oldest event that is stored.
	StartAll Start = "all"
	// StartNow begins with the first event that is stored after the subscriber was made.
	StartNow Start = "now"
)

// Order is what a subscriber's events are kept in order by.
type Order string

// The orders.
const (
	// OrderInteraction hands the events of an interaction on one after another, in stored order,
	// in however many processes.
	OrderInteraction Order = "interaction"
	// OrderNone hands each event on as soon as it can: all processes share one consumer.
	OrderNone Order = "none"
)

// Breaker opens after a target has failed again and again for a while: then one event at a time
// tries, after the waits of the subscriber's backoff, until one is taken. What waits meanwhile spends no attempt.
type Breaker struct {
	// Failures in a row, and for at least For, open it. Defaults 10 and 10s.
	Failures int      `json:"failures,omitempty"`
	For      Duration `json:"for,omitempty"`
	// Disabled keeps it closed.
	Disabled bool `json:"disabled,omitempty"`
}

// Redaction hides one value of a body. In streams.json it may be the path alone, which masks.
type Redaction struct {
	// Path is where the value is, in the body: names and numbers with dots between them, "*" for
	// every element of a list or member of an object. A path that leads nowhere hides nothing.
	Path string `json:"path"`
	// With says what stands in its place. Default RedactMask.
	With RedactWith `json:"with,omitempty"`
}

// RedactWith is what stands in the place of a redacted value.
type RedactWith string

// What a redacted value becomes.
const (
	// RedactMask: "***" for whatever it was.
	RedactMask RedactWith = "mask"
	// RedactHash: a keyed hash, the same for the same value, so that it can still be counted and joined.
	RedactHash RedactWith = "hash"
	// RedactDrop: nothing; an element of a list becomes null.
	RedactDrop RedactWith = "drop"
)

// Target is where a subscriber's events go.
type Target struct {
	// URL's scheme chooses the kind of target.
	URL string `json:"url"`
	// Timeout bounds one attempt, from dialling to the end of the answer. Default 10s.
	Timeout Duration `json:"timeout,omitempty"`
	// RotateBytes is the size at which a file target starts a new file. Default 104857600.
	RotateBytes int64 `json:"rotate_bytes,omitempty"`

	// The fields up to AllowNetworks are for http and https; TLS is for kafka and rabbit, too.

	// Headers are sent with every request, SecretHeaders too.
	Headers       map[string]string `json:"headers,omitempty"`
	SecretHeaders map[string]Secret `json:"secret_headers,omitempty"`
	// Auth is how genmesh shows who it is; nil shows nothing but what the URL says.
	Auth *TargetAuth `json:"auth,omitempty"`
	// SigningSecrets sign each request by the Standard Webhooks specification, each of them, so
	// that a receiver may know either while they rotate.
	SigningSecrets []Secret `json:"signing_secrets,omitempty"`
	// TLS are the certificates; nil is the system's authorities and none of our own.
	TLS *TargetTLS `json:"tls,omitempty"`
	// Proxy is the URL of an egress proxy, http or https. Default: none, whatever the environment says.
	Proxy string `json:"proxy,omitempty"`
	// AllowNetworks are networks that the target may live in although they are not public, such as
	// "10.0.0.0/8".
	AllowNetworks []string `json:"allow_networks,omitempty"`

	// FlushEvery and FlushEvents bound how long and how many events an archive gathers for one
	// object. Defaults 10s and 10000.
	FlushEvery  Duration `json:"flush_every,omitempty"`
	FlushEvents int      `json:"flush_events,omitempty"`

	written string // the URL before its references were expanded
	// writtenProxy and writtenHeaders are the same of the others that may hold a secret.
	writtenProxy   string
	writtenHeaders map[string]string
}

// TargetAuth is how genmesh shows a target who it is.
type TargetAuth struct {
	Method AuthMethod `json:"method"`
	// Username and Password are for AuthBasic.
	Username string `json:"username,omitempty"`
	Password Secret `json:"password,omitempty"`
	// Token is for AuthBearer.
	Token Secret `json:"token,omitempty"`
	// The others are for AuthOAuth2, the client credentials grant.
	TokenURL     string   `json:"token_url,omitempty"`
	ClientID     string   `json:"client_id,omitempty"`
	ClientSecret Secret   `json:"client_secret,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`
	// Audience is sent as the parameter "audience", which some authorities ask for.
	Audience string `json:"audience,omitempty"`
}

// AuthMethod is a way to show who one is.
type AuthMethod string

// The methods.
const (
	AuthBasic  AuthMethod = "basic"
	AuthBearer AuthMethod = "bearer"
	AuthOAuth2 AuthMethod = "oauth2"
)

// TargetTLS names PEM files.
type TargetTLS struct {
	// CertFile and KeyFile are what genmesh shows the target. They are read again when they change.
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`
	// CAFile are the authorities that the target's certificate is verified by, in the place of the
	// system's.
	CAFile string `json:"ca_file,omitempty"`
	// ServerName is the name in the target's certificate, where it is not the URL's host.
	ServerName string `json:"server_name,omitempty"`
}

// Duration is a time span, written "24h" or in nanoseconds as NATS does.
type Duration time.Duration

// Secret is a reference to a secret, never the secret: "${ENV_NAME}", "${ENV_NAME:-}" or
// "file:/run/secrets/name".
type Secret string

// Template is a text with {placeholders} for envelope values.
type Template string

// Rate is a number of events per time. The zero Rate is no limit.
type Rate struct {
	Events int
	Per    time.Duration
}

// ParseOptions is what ParseTopology needs to know of the process around it.
type ParseOptions struct {
	// Name is what mistakes call the file; "" is streams.json.
	Name string
	// Presets are the sources' defaults by preset name, each a JSON object with the fields of
	// a source.
	Presets map[string]json.RawMessage
	// TargetSchemes are the schemes of target URLs that the process can serve.
	TargetSchemes []string
	// UnbuiltTarget says what to do for a scheme that the process can't serve though others can; "" for
	// what nobody serves. It may be nil.
	UnbuiltTarget func(scheme string) string
	// CheckSource and CheckSubscriber find what is wrong with a part of the topology that only those know
	// who make use of it. The FieldErrors of what they return, alone or in what errors.Join makes of them,
	// are reported where the field stands; another error at the part as a whole. Where something is known to
	// be wrong already, nothing more is said. A part, and the rest of t, may lack what could not be read.
	// They may be nil.
	CheckSource     func(t *Topology, s Source) error
	CheckSubscriber func(t *Topology, s Subscriber) error
	// LookupEnv reads the environment; nil means os.LookupEnv.
	LookupEnv func(string) (string, bool)
}
