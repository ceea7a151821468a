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
	MaxDeliver      int                     `json:"max_deliver,omitempty"`     // default MaxAttempts + 3
	MaxAckPending   int                     `json:"max_ack_pending,omitempty"` // default 256
	RateLimit       uint64                  `json:"rate_limit_bps,omitempty"`
	SampleFrequency string                  `json:"sample_freq,omitempty"`
	Replicas        int                     `json:"num_replicas,omitempty"`
	MemoryStorage   bool                    `json:"mem_storage,omitempty"`
	PauseUntil      *time.Time              `json:"pause_until,omitempty"`
	Metadata        map[string]string       `json:"metadata,omitempty"`

	// MaxAttempts is how often the target is tried before an event becomes a dead letter.
	// Default 6: the first attempt and five retries.
	MaxAttempts int `json:"max_attempts,omitempty"`
	// MaxInFlight bounds the calls to the target at once, in one process. Default 32.
	MaxInFlight int `json:"max_in_flight,omitempty"`
	// Backoff is the wait between attempts.
	Backoff Backoff `json:"backoff,omitzero"`
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

// Target is where a subscriber's events go.
type Target struct {
	// URL's scheme chooses the kind of target.
	URL string `json:"url"`
	// Timeout bounds one attempt, from dialling to the end of the answer. Default 10s.
	Timeout Duration `json:"timeout,omitempty"`
	// RotateBytes is the size at which a file target starts a new file. Default 104857600.
	RotateBytes int64 `json:"rotate_bytes,omitempty"`

	written string // the URL before its references were expanded
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
	// Presets are the sources' defaults by preset name, each a JSON object with the fields of
	// a source.
	Presets map[string]json.RawMessage
	// TargetSchemes are the schemes of target URLs that the process can serve.
	TargetSchemes []string
	// LookupEnv reads the environment; nil means os.LookupEnv.
	LookupEnv func(string) (string, bool)
}
