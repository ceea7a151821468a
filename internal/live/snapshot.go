// Package live watches what flows through a mesh now: rates, lag and latencies of sources, streams and subscribers over all
// processes. It keeps the last minutes of them in memory and stores nothing.
package live

import (
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// Snapshot is how the mesh flows at a moment. Rates are events per second since the sample before. Its JSON names are stable. It is
// shared by all who ask: nobody may change its maps and slices.
type Snapshot struct {
	At time.Time `json:"at"`
	// Every is how far apart the values of each series are. The newest is last; a series has at most MaxSeries values.
	Every time.Duration `json:"-"`
	// Problem is why the numbers are older than they should be; "" if they are not.
	Problem     string                    `json:"problem,omitempty"`
	Sources     map[string]SourceFlow     `json:"sources"`
	Streams     map[string]StreamFlow     `json:"streams"`
	Subscribers map[string]SubscriberFlow `json:"subscribers"`
	// DeadLetters are how many there are by subscriber, Quarantined how many by source; those without any are left out. They
	// are nil until they are counted, and may be some seconds older than the rest.
	DeadLetters map[string]uint64 `json:"dead_letters"`
	Quarantined map[string]uint64 `json:"quarantined"`
	// Processes is how many answered.
	Processes int `json:"processes"`
}

// MaxSeries bounds the values of a series.
const MaxSeries = 120

// SourceFlow is what comes in by one source.
type SourceFlow struct {
	Accepted    float64 `json:"accepted_per_second"`
	Duplicate   float64 `json:"duplicate_per_second"`
	Quarantined float64 `json:"quarantined_per_second"`
	Rejected    float64 `json:"rejected_per_second"`
	// Latency is that of the requests of the last minute.
	Latency Latency `json:"latency"`
	// Totals count requests by outcome since the processes that answer now were started.
	Totals map[string]uint64 `json:"totals,omitempty"`
	// LastMinute counts requests by outcome, as well as the samples can tell.
	LastMinute map[string]uint64 `json:"last_minute,omitempty"`
	// SignatureFailures count refused signatures by reason, likewise.
	SignatureFailures map[string]uint64 `json:"signature_failures,omitempty"`
	AcceptedSeries    []float64         `json:"accepted_series,omitempty"`
}

// StreamFlow is what is stored in one stream.
type StreamFlow struct {
	Stored       float64   `json:"stored_per_second"`
	StoredSeries []float64 `json:"stored_series,omitempty"`
	// Applied is false if the server has no such stream; then nothing below is known.
	Applied  bool   `json:"applied"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	// MaxBytes is -1 where there is no bound. Fill is how much of the nearest of its bounds on bytes and messages is used, 0 to 1.
	MaxBytes int64   `json:"max_bytes"`
	Fill     float64 `json:"fill"`
	// LastStored is zero if nothing ever was.
	LastStored time.Time `json:"last_stored,omitzero"`

	read  time.Time // when the server was asked
	rolls bool      // when it is full it lets go of its oldest
}

// SubscriberFlow is what flows to one subscriber.
type SubscriberFlow struct {
	// Applied is false if the server has no consumer of its; then nothing up to Paused is known. Waiting and InHand are those of
	// mesh.SubscriberState.
	Applied bool   `json:"applied"`
	Waiting uint64 `json:"waiting"`
	InHand  uint64 `json:"in_hand"`
	// Oldest is the event that was not settled for the longest time; nil if none waits. If that came since the sample before, it is
	// told as well as the samples can tell.
	Oldest *mesh.OldestWaiting `json:"oldest_waiting,omitempty"`
	// Served is true if a worker process is bound to each of its consumers. Paused is true if the server hands nothing out to any of them.
	Served bool `json:"served"`
	Paused bool `json:"paused"`
	// In is what becomes due to it: what is stored that its filters take, before its condition. Out is what its target took, replays included.
	// Retried are the attempts that came to nothing and are not the last.
	In      float64 `json:"in_per_second"`
	Out     float64 `json:"out_per_second"`
	Retried float64 `json:"retried_per_second"`
	Dead    float64 `json:"dead_per_second"`
	// Latency is that of the attempts of the last minute.
	Latency Latency `json:"latency"`
	// Attempts count attempts by outcome since the processes that answer now were started.
	Attempts map[string]uint64 `json:"attempts,omitempty"`
	// LastMinute counts attempts by outcome, as well as the samples can tell.
	LastMinute map[string]uint64 `json:"last_minute,omitempty"`
	// Buckets is the histogram of the attempts of the last minute.
	Buckets []Bucket `json:"buckets,omitempty"`
	// Errors are the latest different ones, the newest first.
	Errors    []Error   `json:"errors,omitempty"`
	OutSeries []float64 `json:"out_series,omitempty"`
	LagSeries []float64 `json:"lag_series,omitempty"`
	// P50Series and P99Series are in seconds.
	P50Series []float64 `json:"p50_series,omitempty"`
	P99Series []float64 `json:"p99_series,omitempty"`

	read time.Time // when the server was asked
}

// Latency is in seconds; both are 0 where nothing happened.
type Latency struct {
	P50 float64 `json:"p50_seconds"`
	P99 float64 `json:"p99_seconds"`
}

// Bucket is one bar of a histogram: how many took at most so many seconds, and more than the bucket before; 0 is without bound.
type Bucket struct {
	Seconds float64 `json:"le_seconds"`
	Count   uint64  `json:"count"`
}

// Error is what a target said, or what went wrong on the way to it. Its text is the target's own, cut and on one line.
type Error struct {
	// Class is one of the closed set of the workers' outcomes and kinds of failure.
	Class  string    `json:"class"`
	Status int       `json:"status,omitempty"`
	Text   string    `json:"text"`
	Count  uint64    `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	// Stream and Sequence are the place of the event that met it last.
	Stream   string `json:"stream,omitempty"`
	Sequence uint64 `json:"sequence,omitempty"`
}
