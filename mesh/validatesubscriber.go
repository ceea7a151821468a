package mesh

import (
	"cmp"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	maxAttempts     = 1000
	maxAckPending   = 10_000
	leastAckWait    = time.Second
	mostAckWait     = 24 * time.Hour
	mostBackoff     = 24 * time.Hour
	leastBackoff    = 10 * time.Millisecond
	leastTimeout    = 10 * time.Millisecond
	mostTimeout     = 10 * time.Minute
	leastRotate     = 4 << 10
	mostRotate      = 1 << 40
	maxBackoffTimes = 10
)

func (c *checker) subscriber(at string, s *Subscriber) {
	c.name(at+".name", s.Name)
	c.metadata(at+".metadata", s.Metadata)
	c.deliveries(at, s)
	c.start(at, s)
	c.backoff(at+".backoff", s.Backoff)
	c.pace(at, s)
	c.redactedEnvelope(at, s)
	if s.Target != nil {
		c.target(at+".target", s.Target)
	}
	if stream, ok := c.knownStream(at+".stream", s.Stream); ok {
		c.readable(at, s, stream)
		c.filters(at, s, stream)
		c.partitions(at, s)
		c.loops(at, s, stream)
	}
}

// deliveries checks how often, how long and how many at once.
func (c *checker) deliveries(at string, s *Subscriber) {
	c.lasting(at+".ack_wait", time.Duration(s.AckWait), leastAckWait, mostAckWait)
	c.between(at+".max_attempts", s.MaxAttempts, 1, maxAttempts)
	c.between(at+".max_ack_pending", s.MaxAckPending, 1, maxAckPending)
	c.between(at+".max_in_flight", s.MaxInFlight, 1, maxAckPending)
	if s.MaxInFlight > s.MaxAckPending {
		c.wrong(at+".max_in_flight", "lower it, or raise max_ack_pending",
			"%d calls at once can't be had with max_ack_pending %d: the server sends no more than that", s.MaxInFlight, s.MaxAckPending)
	}
	if s.MaxDeliver <= s.MaxAttempts {
		c.wrong(at+".max_deliver", fmt.Sprintf("leave it out, or write %d", s.MaxAttempts+defaultSpareDeliveries),
			"%d is not above max_attempts %d: deliveries that a crash loses would end an event before its last attempt", s.MaxDeliver, s.MaxAttempts)
	}
	if s.MaxDeliver > 2*maxAttempts {
		c.wrong(at+".max_deliver", "", "%d is out of range: at most %d", s.MaxDeliver, 2*maxAttempts)
	}
	c.sampling(at+".sample_freq", s.SampleFrequency)
}

func (c *checker) sampling(at, text string) {
	percent, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
	if text != "" && (err != nil || percent < 0 || percent > 100) {
		c.wrong(at, `write such as "10%"`, "%q is not a percentage", text)
	}
}

// start checks where a new subscriber begins to read.
func (c *checker) start(at string, s *Subscriber) {
	bySequence := s.DeliverPolicy == jetstream.DeliverByStartSequencePolicy
	byTime := s.DeliverPolicy == jetstream.DeliverByStartTimePolicy
	if bySequence != (s.OptStartSeq > 0) {
		c.wrong(at+".opt_start_seq", `give both or neither`, `it goes with "deliver_policy": "by_start_sequence"`)
	}
	if byTime != (s.OptStartTime != nil) {
		c.wrong(at+".opt_start_time", `give both or neither`, `it goes with "deliver_policy": "by_start_time"`)
	}
	policy, from, ok := s.Start.policy()
	switch {
	case !ok:
		c.wrong(at+".start", `write "now", "all" or such as "2026-11-01T00:00:00Z"`, "%q is no start", s.Start)
	case s.Start == "":
	case policy != s.DeliverPolicy || from != nil && s.OptStartTime != nil && !from.Equal(*s.OptStartTime):
		c.wrong(at+".start", "remove one of them", "deliver_policy says something else")
	}
}

// pace checks what bounds the attempts.
func (c *checker) pace(at string, s *Subscriber) {
	if s.Burst != 0 && s.RateLimit.Events == 0 {
		c.wrong(at+".burst", `add such as "rate_limit": "50/s"`, "it goes with a rate_limit")
	}
	c.between(at+".burst", s.Burst, 0, maxRateEvents)
	c.between(at+".breaker.failures", s.Breaker.Failures, 1, maxAckPending)
	c.lasting(at+".breaker.for", time.Duration(s.Breaker.For), 0, mostBackoff)
}

// partitions checks how the subscriber's events are divided.
func (c *checker) partitions(at string, s *Subscriber) {
	c.between(at+".partitions", s.Partitions, 1, Partitions)
	if s.Partitions <= 1 {
		return
	}
	if s.Order == OrderNone {
		c.wrong(at+".partitions", "remove one of them", `with "order": "none" all processes share one consumer`)
	}
	for i, filter := range slices.Concat(s.FilterSubjects, []string{s.FilterSubject}) {
		parts := strings.Split(filter, ".")
		if filter == "" || parts[0] == ">" || len(parts) > 1 && (parts[1] == "*" || parts[1] == ">") {
			continue
		}
		where := at + ".filter_subject"
		if i < len(s.FilterSubjects) {
			where = index(at+".filter_subjects", i)
		}
		c.wrong(where, `write "*" there, or remove "partitions"`, "%q chooses a partition by its second part", filter)
	}
	for i := range c.t.Sources {
		source := &c.t.Sources[i]
		if source.Stream != s.Stream {
			continue
		}
		if parts := source.subjectTemplate().parts(); len(parts) < 2 || parts[1] != "{partition}" {
			c.wrong(at+".partitions", fmt.Sprintf("write {partition} there, as in the default %q", DefaultSubject),
				"sources[%d].subject has no {partition} as its second part, so its events can't be divided", i)
		}
	}
}

func (c *checker) backoff(at string, b Backoff) {
	c.lasting(at+".base", time.Duration(b.Base), leastBackoff, mostBackoff)
	c.lasting(at+".max", time.Duration(b.Max), leastBackoff, mostBackoff)
	if b.Max < b.Base {
		c.wrong(at+".max", "", "%s is below the base, %s", b.Max, b.Base)
	}
	if b.Factor < 1 || b.Factor > maxBackoffTimes {
		c.wrong(at+".factor", "", "%v is out of range: 1 to %d", b.Factor, maxBackoffTimes)
	}
	if values := []string{"none", "full"}; !slices.Contains(values, b.Jitter) {
		c.wrong(at+".jitter", didYouMean(b.Jitter, values), "%q is none of none, full", b.Jitter)
	}
}

// readable checks that the stream is one that a subscriber can read.
func (c *checker) readable(at string, s *Subscriber, stream *Stream) {
	if r, ok := stream.roleOf(); ok {
		c.wrong(at+".stream", "name a stream of events", "%s keeps %s, not events to deliver", s.Stream, r.holds)
	}
	if stream.Mirror != nil {
		c.wrong(at+".stream", "read the mirrored stream itself", "%s is a mirror, which takes no replayed events", s.Stream)
	}
	if limit := stream.ConsumerLimits.MaxAckPending; limit > 0 && s.MaxAckPending > limit {
		c.wrong(at+".max_ack_pending", "lower it, or raise the stream's", "%d is above the consumer_limits of %s: %d", s.MaxAckPending, s.Stream, limit)
	}
	if stream.ConsumerLimits.InactiveThreshold > 0 {
		c.wrong(at+".stream", "remove inactive_threshold from the stream's consumer_limits",
			"%s deletes consumers that are away for long, and with them what their subscriber has not read", s.Stream)
	}
	if s.Replicas < 0 || s.Replicas > stream.Replicas {
		c.wrong(at+".num_replicas", "leave it out for the stream's", "%d is out of range: at most %d as the stream has", s.Replicas, stream.Replicas)
	}
}

func (c *checker) filters(at string, s *Subscriber, stream *Stream) {
	switch {
	case s.FilterSubject != "" && len(s.FilterSubjects) > 0:
		c.wrong(at+".filter_subject", "move it into filter_subjects", "there are both filter_subject and filter_subjects")
	case len(s.FilterSubjects) > maxSubjects:
		c.wrong(at+".filter_subjects", "", "%d filters; at most %d are allowed", len(s.FilterSubjects), maxSubjects)
	case s.FilterSubject != "":
		c.filter(at+".filter_subject", s.FilterSubject, nil, stream)
	default:
		for i, filter := range s.FilterSubjects {
			c.filter(index(at+".filter_subjects", i), filter, s.FilterSubjects[:i], stream)
		}
	}
}

func (c *checker) filter(at, filter string, before []string, stream *Stream) {
	if !c.subject(at, filter) {
		return
	}
	if other := overlapping(filter, before); other != "" {
		c.wrong(at, "remove one", "%q overlaps %q, and the server refuses that", filter, other)
	}
	ownSubjects := len(stream.Sources) == 0 && len(stream.Subjects) > 0 && stream.SubjectTransform == nil
	if ownSubjects && overlapping(filter, stream.Subjects) == "" {
		c.wrong(at, fmt.Sprintf("%s takes %s", stream.Name, strings.Join(stream.Subjects, ", ")),
			"%q matches nothing that the stream takes", filter)
	}
}

func (c *checker) target(at string, t *Target) {
	c.lasting(at+".timeout", time.Duration(t.Timeout), leastTimeout, mostTimeout)
	if t.RotateBytes != 0 && (t.RotateBytes < leastRotate || t.RotateBytes > mostRotate) {
		c.wrong(at+".rotate_bytes", "", "%d is out of range: %d to %d", t.RotateBytes, leastRotate, int64(mostRotate))
	}
	c.archive(at, t)
	c.calls(at, t)
	at += ".url"
	if t.URL == "" {
		c.wrong(at, `add such as "https://crm.example.com/events"`, "missing or empty")
		return
	}
	u, err := url.Parse(t.URL)
	if err != nil { // the error would show the URL, which may hold a password
		c.wrong(at, `write such as "https://crm.example.com/events"`, "not a URL")
		return
	}
	if !slices.Contains(c.opts.TargetSchemes, u.Scheme) {
		hint := didYouMean(u.Scheme, c.opts.TargetSchemes)
		if c.opts.UnbuiltTarget != nil {
			hint = cmp.Or(c.opts.UnbuiltTarget(u.Scheme), hint)
		}
		c.wrong(at, hint, "no kind of target serves the scheme %q", u.Scheme)
		return
	}
	c.targetParts(at, t, u)
	if u.Scheme == "file" {
		c.ownFile(at, u)
	}
}

// loops finds a subscriber whose events come back to it: a NATS target in its own stream.
func (c *checker) loops(at string, s *Subscriber, stream *Stream) {
	if s.Target == nil {
		return
	}
	_, subject, _ := strings.Cut(s.Target.URL, ":")
	if s.Target.scheme() == "nats" && overlapping(subject, stream.Config().Subjects) != "" && s.Matches(subject) {
		c.wrong(at+".target.url", "publish to another stream's subject, or filter it out",
			"%s takes %s, and the subscriber would get each event again, for ever", s.Stream, subject)
	}
}

const (
	leastFlush   = 100 * time.Millisecond
	maxFlushSize = 1_000_000
	maxNetworks  = 64
	maxKeys      = 8
)

func (c *checker) archive(at string, t *Target) {
	if t.FlushEvery != 0 {
		c.lasting(at+".flush_every", time.Duration(t.FlushEvery), leastFlush, mostTimeout)
	}
	c.between(at+".flush_events", t.FlushEvents, 0, maxFlushSize)
}

// calls checks what is for http and https alone.
func (c *checker) calls(at string, t *Target) {
	scheme := t.scheme()
	isHTTP := scheme == "http" || scheme == "https"
	for field, given := range map[string]bool{
		"headers": len(t.Headers) > 0, "secret_headers": len(t.SecretHeaders) > 0, "auth": t.Auth != nil,
		"signing_secrets": len(t.SigningSecrets) > 0, "tls": t.TLS != nil, "proxy": t.Proxy != "", "allow_networks": len(t.AllowNetworks) > 0,
	} {
		takesTLS := field == "tls" && (scheme == "kafka" || scheme == "rabbit")
		if given && !isHTTP && !takesTLS && t.URL != "" {
			c.wrong(at+"."+field, "remove it", "it is for http and https targets")
		}
	}
	if proxy, err := url.Parse(t.Proxy); err == nil {
		if password, ok := proxy.User.Password(); ok && password != "" && !hidesPassword(t.writtenProxy) {
			c.wrong(at+".proxy", `write "http://user:${PROXY_PASSWORD}@host/"`, "a password is never written in this file, only a reference to it")
		}
	}
	if len(t.SigningSecrets) > maxKeys {
		c.wrong(at+".signing_secrets", "", "%d keys; at most %d are allowed", len(t.SigningSecrets), maxKeys)
	}
	if len(t.AllowNetworks) > maxNetworks {
		c.wrong(at+".allow_networks", "", "%d networks; at most %d are allowed", len(t.AllowNetworks), maxNetworks)
	}
	if t.TLS != nil && (t.TLS.CertFile == "") != (t.TLS.KeyFile == "") {
		c.wrong(at+".tls", "give both or neither", "cert_file and key_file belong together")
	}
}

// ownFile sees to it that a file has one writer.
func (c *checker) ownFile(at string, u *url.URL) {
	path := filepath.Clean(u.Opaque + u.Path)
	if other, taken := c.files[path]; taken {
		c.wrong(at, "give each subscriber a file of its own", "%s writes this file already", other)
		return
	}
	c.files[path] = strings.TrimSuffix(at, ".target.url")
}

func (c *checker) targetParts(at string, t *Target, u *url.URL) {
	if (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() == "" {
		c.wrong(at, `write such as "https://crm.example.com/events"`, "the URL has no host")
	}
	if strings.Contains(t.URL, "#") {
		c.wrong(at, "remove it", "a fragment is never sent")
	}
	if password, ok := u.User.Password(); ok && password != "" && !hidesPassword(t.written) {
		c.wrong(at, fmt.Sprintf(`write "%s://user:${PASSWORD}@host/", or refer to the whole URL with ${TARGET_URL}`, u.Scheme),
			"a password is never written in this file, only a reference to it")
	}
}

// hidesPassword reports whether the password of a URL came from the environment alone, as far as the
// URL that was written tells: its own password is a reference, or it is one as a whole.
func hidesPassword(written string) bool {
	authority := written
	if _, rest, found := strings.Cut(written, "://"); found {
		authority = rest
	}
	login, _, found := cutLast(authority, "@")
	if !found {
		return strings.Contains(written, "${")
	}
	_, password, found := strings.Cut(login, ":")
	if !found {
		return strings.Contains(login, "${")
	}
	_, fallback, _ := strings.Cut(password, ":-")
	return strings.HasPrefix(password, "${") && strings.HasSuffix(password, "}") && (fallback == "" || fallback == "}")
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// Display is the URL for logs: as Shown, and without the path of http and https, for some services have their secret there.
func (t Target) Display() string {
	u, err := url.Parse(t.Shown())
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		u.Path = ""
		return u.String()
	}
	return t.Shown()
}

// Shown is the URL for the terminal of whoever has streams.json: without user, password, query and fragment, and without its path if it
// came from the environment.
func (t Target) Shown() string {
	u, err := url.Parse(t.URL)
	if err != nil {
		return "(not a URL)"
	}
	if u.Host != "" && strings.Contains(t.written, "${") {
		u.Path = ""
	}
	return (&url.URL{Scheme: u.Scheme, Opaque: u.Opaque, Host: u.Host, Path: u.Path}).String()
}
