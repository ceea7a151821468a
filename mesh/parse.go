package mesh

import (
	"cmp"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// MaxTopologyBytes bounds a streams.json.
const MaxTopologyBytes = 1 << 20

// ParseTopology reads a streams.json: strictly, with presets, ${references} and defaults filled
// in, and checked as a whole. The error, if any, is a Mistakes with everything that is wrong.
func ParseTopology(data []byte, opts ParseOptions) (*Topology, error) {
	r := &report{file: cmp.Or(opts.Name, "streams.json"), data: data}
	if len(data) > MaxTopologyBytes {
		r.data = nil
		r.add(0, "", fmt.Sprintf("the file is too large: it may have at most %d bytes", MaxTopologyBytes), "")
		return nil, r.err()
	}
	root := parseTree(data, r)
	if root == nil {
		return nil, r.err()
	}
	if opts.LookupEnv == nil {
		opts.LookupEnv = os.LookupEnv
	}
	t := new(Topology)
	d := decoder{report: r, lookup: opts.LookupEnv, places: map[string]int64{}, references: map[string]string{}}
	d.applyPresets(root, opts)
	d.decode(root, reflect.ValueOf(t).Elem(), "")
	if root.kind == kindObject {
		t.fillDefaults()
		c := checker{report: r, t: t, opts: opts, places: d.places, references: d.references, files: map[string]string{}}
		c.topology()
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// applyPresets gives each source the fields of its preset that it lacks.
func (d *decoder) applyPresets(root *node, opts ParseOptions) {
	sources := root.member("sources")
	if sources == nil {
		return
	}
	for i, source := range sources.elements {
		preset := source.member("preset")
		if preset == nil || preset.kind != kindString {
			continue
		}
		name, _, err := expand(preset.text, opts.LookupEnv)
		if err != nil {
			continue // reported when the field is decoded
		}
		d.applyPreset(source, name, preset.at, join(index("sources", i), "preset"), opts)
	}
}

func (d *decoder) applyPreset(source *node, name string, at int64, path string, opts ParseOptions) {
	raw, known := opts.Presets[name]
	if !known {
		names := make([]string, 0, len(opts.Presets))
		for n := range opts.Presets {
			names = append(names, n)
		}
		slices.Sort(names)
		d.add(at, path, fmt.Sprintf("there is no preset %q", name), didYouMean(name, names))
		return
	}
	broken := &report{data: raw}
	defaults := parseTree(raw, broken)
	if err := broken.err(); err != nil || defaults.kind != kindObject {
		d.add(at, path, fmt.Sprintf("the preset %q is no JSON object", name), "")
		return
	}
	if method := source.verificationMethod(); method != "" && method != defaults.verificationMethod() {
		defaults.remove("verification") // what one method needs, another does not know
	}
	source.merge(defaults, at)
}

// verificationMethod is that of a source as it is written; "" if it names none.
func (n *node) verificationMethod() string {
	if method := n.member("verification").member("method"); method != nil {
		return method.text
	}
	return ""
}

// The defaults of sources and subscribers; topology.go says what they are for.
const (
	defaultMaxBodyBytes          = 512 << 10
	defaultMaxInFlight           = 4096
	defaultAnswerWithin          = Duration(4 * time.Second)
	defaultKeyOverlap            = Duration(24 * time.Hour)
	defaultMaxRetries            = 5
	defaultAckWait               = Duration(10 * time.Second)
	defaultMaxAttempts           = 6
	defaultSpareDeliveries       = 50
	defaultMaxAckPending         = 256
	defaultTargetsInFlight       = 32
	defaultBackoffBase           = Duration(time.Second)
	defaultBackoffFactor         = 2
	defaultBackoffMax            = Duration(time.Minute)
	defaultBreakerFailures       = 10
	defaultBreakerFor            = Duration(10 * time.Second)
	defaultTimeout               = Duration(10 * time.Second)
	defaultRotateBytes     int64 = 100 << 20
)

// fillDefaults sets what was left out. A stream's own defaults are left to the server.
func (t *Topology) fillDefaults() {
	for i := range t.Sources {
		t.Sources[i].fillDefaults()
	}
	for i := range t.Streams {
		setDefault(&t.Streams[i].Replicas, 1)
		dropWritten(t.Streams[i].Metadata)
		t.Streams[i].Subjects = dropReplays(t.Streams[i].Subjects)
	}
	for i := range t.Subscribers {
		t.Subscribers[i].fillDefaults()
	}
}

func (s *Source) fillDefaults() {
	setDefault(&s.Subject, DefaultSubject)
	setDefault(&s.DedupeKey, DefaultDedupeKey)
	setDefault(&s.Repeat, RepeatKeep)
	setDefault(&s.MaxBodyBytes, defaultMaxBodyBytes)
	setDefault(&s.MaxInFlight, defaultMaxInFlight)
	setDefault(&s.WithoutInteraction, InteractionRequired)
	setDefault(&s.Verification.Method, VerifyHMAC)
	setDefault(&s.AnswerWithin, defaultAnswerWithin)
	if s.KeyOverlap == nil {
		overlap := defaultKeyOverlap
		if s.Verification.JWKSURL != "" {
			overlap = 0 // an issuer keeps a key for as long as its tokens live, and takes it back to end them
		}
		s.KeyOverlap = &overlap
	}
	// A "${NAME:-}" that is unset pins nothing.
	s.Organizations = slices.DeleteFunc(s.Organizations, func(o string) bool { return o == "" })
	if s.Subscription != nil {
		s.Subscription.fillDefaults(s.Name)
	}
}

func (s *Subscription) fillDefaults(source string) {
	setDefault(&s.Name, source)
	setDefault(&s.RetryPolicy.MaxRetries, defaultMaxRetries)
	setDefault(&s.RetryPolicy.BackoffType, BackoffExponential)
	if s.Active == nil {
		active := true
		s.Active = &active
	}
}

func (s *Subscriber) fillDefaults() {
	setDefault(&s.AckWait, defaultAckWait)
	setDefault(&s.MaxAttempts, defaultMaxAttempts)
	setDefault(&s.MaxDeliver, s.MaxAttempts+defaultSpareDeliveries)
	inFlight := defaultTargetsInFlight
	if s.Target != nil && s.Target.gathers() {
		setDefault(&s.MaxAckPending, maxAckPending)
		inFlight = s.MaxAckPending // what an object gathers is under way until it is stored
	}
	setDefault(&s.MaxAckPending, defaultMaxAckPending)
	setDefault(&s.MaxInFlight, min(inFlight, max(s.MaxAckPending, 1)))
	setDefault(&s.Backoff.Base, defaultBackoffBase)
	setDefault(&s.Backoff.Factor, defaultBackoffFactor)
	setDefault(&s.Backoff.Max, max(defaultBackoffMax, s.Backoff.Base))
	setDefault(&s.Backoff.Jitter, "none")
	s.begin()
	setDefault(&s.Order, OrderInteraction)
	setDefault(&s.Partitions, 1)
	setDefault(&s.Breaker.Failures, defaultBreakerFailures)
	setDefault(&s.Breaker.For, defaultBreakerFor)
	if s.RateLimit.Events > 0 {
		setDefault(&s.Burst, max(int(s.RateLimit.PerSecond()), 1))
	}
	for i := range s.Redact {
		setDefault(&s.Redact[i].With, RedactMask)
	}
	dropWritten(s.Metadata)
	if s.Target != nil {
		setDefault(&s.Target.Timeout, defaultTimeout)
		if s.Target.scheme() == "file" {
			setDefault(&s.Target.RotateBytes, defaultRotateBytes)
		}
	}
}

// gathers reports whether the target stores many events at once, as an archive does.
func (t *Target) gathers() bool {
	return slices.Contains([]string{"archive+file", "s3", "gs", "azblob"}, t.scheme())
}

// scheme is that of the URL, in lower case (RFC 3986, section 3.1).
func (t *Target) scheme() string {
	scheme, _, _ := strings.Cut(t.URL, ":")
	return strings.ToLower(scheme)
}

// begin fills in what Start is short for.
func (s *Subscriber) begin() {
	policy, at, ok := s.Start.policy()
	if !ok || s.DeliverPolicy != jetstream.DeliverAllPolicy || s.OptStartTime != nil || s.OptStartSeq > 0 {
		return // reported by the checker
	}
	s.DeliverPolicy, s.OptStartTime = policy, at
}

// policy is the start in NATS' own terms; false means that it is none.
func (s Start) policy() (jetstream.DeliverPolicy, *time.Time, bool) {
	switch s {
	case "", StartAll:
		return jetstream.DeliverAllPolicy, nil, true
	case StartNow:
		return jetstream.DeliverNewPolicy, nil, true
	}
	at, err := time.Parse(time.RFC3339Nano, string(s))
	if err != nil {
		return jetstream.DeliverAllPolicy, nil, false
	}
	at = at.UTC()
	return jetstream.DeliverByStartTimePolicy, &at, true
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// dropWritten drops the metadata keys that the server and genmesh write themselves: they come in
// with what "nats stream info" prints.
func dropWritten(metadata map[string]string) {
	for key := range metadata {
		known := []string{MetadataManaged, MetadataSubscriber, MetadataPartition, MetadataSkip, MetadataReplay, metadataFields}
		own := slices.Contains(known, key) || strings.HasPrefix(key, metadataResume) || strings.HasPrefix(key, metadataSetting)
		if own || strings.HasPrefix(key, "_nats.") {
			delete(metadata, key)
		}
	}
}

// dropReplays drops the subject that genmesh adds to the dead-letter stream, likewise.
func dropReplays(subjects []string) []string {
	if !slices.Contains(subjects, deadSubjects) {
		return subjects
	}
	return slices.DeleteFunc(subjects, func(s string) bool { return s == replayPrefix+">" })
}
