package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The bounds of a topology.
const (
	maxSources     = 64
	maxStreams     = 64
	maxSubscribers = 256
)

// checker checks a decoded topology as a whole.
type checker struct {
	*report
	t      *Topology
	opts   ParseOptions
	places map[string]int64
	// references are the decoder's.
	references map[string]string
	// unread are the mistakes of decoding: what could not be read is not judged again.
	unread []located
	// files are the subscribers that write a file, by its path.
	files map[string]string
}

// wrong notes a mistake. The path may name a field that is missing.
func (c *checker) wrong(path, hint, problem string, args ...any) {
	for _, m := range c.unread {
		if within(m.Path, path) || within(path, m.Path) {
			return
		}
	}
	text := fmt.Sprintf(problem, args...)
	again := func(m located) bool { return m.Path == path && m.Problem == text }
	if !slices.ContainsFunc(c.mistakes, again) { // two sources may find the same of their stream
		c.add(c.place(path), path, text, hint)
	}
}

// place is where path stands, or what it should stand in.
func (c *checker) place(path string) int64 {
	for {
		if at, ok := c.places[path]; ok || path == "" {
			return at
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

func (c *checker) topology() {
	c.unread = slices.Clone(c.mistakes)
	c.count("sources", len(c.t.Sources), maxSources)
	c.count("streams", len(c.t.Streams), maxStreams)
	c.count("subscribers", len(c.t.Subscribers), maxSubscribers)
	if len(c.t.Sources) > maxSources || len(c.t.Streams) > maxStreams || len(c.t.Subscribers) > maxSubscribers {
		return
	}
	for i := range c.t.Streams {
		c.stream(index("streams", i), &c.t.Streams[i])
	}
	for i := range c.t.Sources {
		c.source(index("sources", i), &c.t.Sources[i])
	}
	for i := range c.t.Subscribers {
		c.subscriber(index("subscribers", i), &c.t.Subscribers[i])
	}
	c.unique()
	c.sharedStreams()
	c.overlappingStreams()
	c.roles()
	c.replayable()
	c.users()
}

// users asks those who make use of the topology. They come last, for what is known to be wrong is not
// judged again.
func (c *checker) users() {
	known := slices.Clone(c.mistakes)
	if check := c.opts.CheckSource; check != nil {
		for i, s := range c.t.Sources {
			c.found(known, index("sources", i), check(c.t, s))
		}
	}
	if check := c.opts.CheckSubscriber; check != nil {
		for i, s := range c.t.Subscribers {
			c.found(known, index("subscribers", i), check(c.t, s))
		}
	}
}

// found notes what somebody found wrong in the part at a path.
func (c *checker) found(known []located, at string, err error) {
	for _, e := range fieldErrors(err) {
		path := inside(at, e.Field)
		again := func(m located) bool { return within(m.Path, path) || within(path, m.Path) }
		if !slices.ContainsFunc(known, again) {
			c.wrong(path, c.unexpanded(at, e.Hint), "%s", c.unexpanded(at, e.Problem))
		}
	}
}

// leastHidden is the length of what may be a secret. To hide what is shorter would garble a text.
const leastHidden = 4

var reference = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)`)

// unexpanded is a text on the part at a path with the references of that part in the place of what they
// stand for, which may be a secret.
func (c *checker) unexpanded(at, text string) string {
	hidden := map[string]string{}
	for path, written := range c.references {
		for _, match := range reference.FindAllStringSubmatch(written, -1) {
			if value, _ := c.opts.LookupEnv(match[1]); within(at, path) && len(value) >= leastHidden {
				hidden[value] = "${" + match[1] + "}"
			}
		}
	}
	longestFirst := func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }
	for _, value := range slices.SortedFunc(maps.Keys(hidden), longestFirst) {
		text = strings.ReplaceAll(text, value, hidden[value])
	}
	return text
}

// replayable checks that the dead-letter stream can have a consumer for each subscriber's replays.
func (c *checker) replayable() {
	i := slices.IndexFunc(c.t.Streams, func(s Stream) bool { return slices.Contains(s.Subjects, deadSubjects) })
	if i < 0 {
		return
	}
	dead, at := c.t.Streams[i], index("streams", i)
	if limit := dead.MaxConsumers; limit > 0 && limit < len(c.t.Subscribers) {
		c.wrong(at+".max_consumers", "raise it", "%d is too few: each of the %d subscribers has a consumer here for its replays",
			limit, len(c.t.Subscribers))
	}
	if dead.ConsumerLimits.InactiveThreshold > 0 {
		c.wrong(at+".consumer_limits.inactive_threshold", "remove it", "it deletes the consumers for replays")
	}
}

func (c *checker) count(path string, n, limit int) {
	if n > limit {
		c.wrong(path, "run a second mesh for the rest", "%d entries; at most %d are allowed", n, limit)
	}
}

// unique finds names and paths that are given twice.
func (c *checker) unique() {
	names, paths, streams, subscribers := c.once(), c.once(), c.once(), c.once()
	for i, s := range c.t.Sources {
		names(index("sources", i)+".name", s.Name)
		paths(index("sources", i)+".path", s.Path)
	}
	for i, s := range c.t.Streams {
		streams(index("streams", i)+".name", s.Name)
	}
	for i, s := range c.t.Subscribers {
		subscribers(index("subscribers", i)+".name", s.Name)
	}
}

// once returns a function that takes values and reports those that came before.
func (c *checker) once() func(path, value string) {
	seen := map[string]string{}
	return func(path, value string) {
		if first, twice := seen[value]; twice && value != "" {
			c.wrong(path, "choose another", "%q is taken by %s", value, first)
			return
		}
		seen[value] = path
	}
}

// sharedStreams checks that two sources of one stream can't take each other's events for
// duplicates. One of them may do without its name in the key, if it keeps what differs: should its key
// ever be another's, their contents tell them apart.
func (c *checker) sharedStreams() {
	nameless := map[string][]int{} // sources by stream
	for i, s := range c.t.Sources {
		if !s.namesItself() {
			nameless[s.Stream] = append(nameless[s.Stream], i)
		}
	}
	for stream, sources := range nameless {
		feeders := 0
		for _, s := range c.t.Sources {
			if s.Stream == stream {
				feeders++
			}
		}
		if feeders < 2 || len(sources) == 1 && c.t.Sources[sources[0]].Repeat != RepeatDrop {
			continue
		}
		for _, i := range sources {
			c.nameSource(index("sources", i), &c.t.Sources[i])
		}
	}
}

// namesItself reports whether all keys of a source tell that they are its.
func (s *Source) namesItself() bool {
	for _, t := range s.EventTypes {
		if t.DedupeKey != "" && !t.DedupeKey.namesSource() {
			return false
		}
	}
	return s.DedupeKey.namesSource()
}

func (t Template) namesSource() bool { return strings.Contains(string(t), "{source}") }

func (c *checker) nameSource(at string, s *Source) {
	wrong := func(at string, key Template) {
		if !key.namesSource() {
			c.wrong(at+".dedupe_key", fmt.Sprintf("write %q", "{source}:"+key),
				"several sources feed the stream %s, and without {source} in the key one could drop another's events as duplicates", s.Stream)
		}
	}
	wrong(at, s.DedupeKey)
	for _, pattern := range slices.Sorted(maps.Keys(s.EventTypes)) {
		if key := s.EventTypes[pattern].DedupeKey; key != "" {
			wrong(join(at+".event_types", pattern), key)
		}
	}
}

func (c *checker) overlappingStreams() {
	for i, a := range c.t.Streams {
		for j, b := range c.t.Streams[:i] {
			for k, subject := range a.Subjects {
				if other := overlapping(subject, b.Subjects); other != "" {
					c.wrong(fmt.Sprintf("streams[%d].subjects[%d]", i, k), "a subject belongs to one stream",
						"%q overlaps %q of streams[%d]", subject, other, j)
				}
			}
		}
	}
}

// overlapping is the first of subjects that overlaps one subject, or "".
func overlapping(subject string, subjects []string) string {
	i := slices.IndexFunc(subjects, func(s string) bool { return SubjectsOverlap(s, subject) })
	if i < 0 {
		return ""
	}
	return subjects[i]
}

// role is what a mesh needs a stream of its own for.
type role struct{ subject, holds, name, example string }

func roles() []role {
	return []role{
		{deadSubjects, "dead letters", "DEAD_LETTERS",
			`{"name": "DEAD_LETTERS", "subjects": ["dead.>"], "discard": "new", "max_age": "720h", "max_bytes": 1073741824, "duplicate_window": "24h", "allow_direct": true}`},
		{quarantineSubjects, "what came in signed but unreadable", "QUARANTINE",
			`{"name": "QUARANTINE", "subjects": ["quarantine.>"], "discard": "new", "max_age": "720h", "max_bytes": 1073741824, "duplicate_window": "2h", "allow_direct": true}`},
		{advisorySubjects, "the server's word on messages that it gave up", "ADVISORIES",
			`{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"], "max_age": "168h", "max_bytes": 268435456}`},
	}
}

func (c *checker) roles() {
	for _, r := range roles() {
		if _, ok := c.t.roleStream(r.subject); !ok {
			c.wrong("streams", "add "+r.example, "no stream takes %q: it keeps %s", r.subject, r.holds)
		}
	}
}

// roleStream is the stream that takes all of a role's subjects.
func (t *Topology) roleStream(subject string) (Stream, bool) {
	for _, s := range t.Streams {
		if slices.ContainsFunc(s.Subjects, func(own string) bool { return SubjectCovers(own, subject) }) {
			return s, true
		}
	}
	return Stream{}, false
}

// roleOf says what role a stream has, if any.
func (s Stream) roleOf() (role, bool) {
	for _, r := range roles() {
		if overlapping(r.subject, s.Subjects) != "" {
			return r, true
		}
	}
	return role{}, false
}

// name checks the name of a source or subscriber.
func (c *checker) name(path, name string) {
	ok := len(name) >= 1 && len(name) <= 32 && name[0] != '-' && name[0] != '_'
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	}
	switch {
	case name == "":
		c.wrong(path, `add "name"`, "missing")
	case !ok:
		c.wrong(path, "use 1 to 32 of a-z, 0-9, _ and -, a letter or digit first", "%q is no name", name)
	}
}

// knownStream checks a reference to a stream.
func (c *checker) knownStream(path, name string) (*Stream, bool) {
	var names []string
	for i := range c.t.Streams {
		if c.t.Streams[i].Name == name && name != "" {
			return &c.t.Streams[i], true
		}
		names = append(names, c.t.Streams[i].Name)
	}
	if name == "" {
		c.wrong(path, didYouMean(name, names), "missing: the name of one of the streams")
	} else {
		c.wrong(path, didYouMean(name, names), "there is no stream %q", name)
	}
	return nil, false
}

func (c *checker) between(path string, value, least, most int) {
	if value < least || value > most {
		c.wrong(path, "", "%d is out of range: %d to %d", value, least, most)
	}
}

func (c *checker) oneOf(path string, value int, allowed ...int) {
	if !slices.Contains(allowed, value) {
		c.wrong(path, "", "%d is none of %v", value, allowed[1:])
	}
}

func (c *checker) lasting(path string, value, least, most time.Duration) {
	if value < least || value > most {
		c.wrong(path, "", "%s is out of range: %s to %s", Duration(value), Duration(least), Duration(most))
	}
}

// subject checks that a subject or pattern is one that NATS takes.
func (c *checker) subject(path, subject string) bool {
	tokens := strings.Split(subject, ".")
	for i, token := range tokens {
		wildcard := token == "*" || token == ">" && i == len(tokens)-1
		if !wildcard && (token == "" || strings.ContainsAny(token, "*> \t\r\n\x00")) {
			c.wrong(path, `write parts with "." between them; "*" stands for one whole part, ">" at the end for the rest`,
				"%q is not a NATS subject", subject)
			return false
		}
	}
	return true
}

// metadata keeps genmesh's marks for genmesh.
func (c *checker) metadata(path string, metadata map[string]string) {
	for key := range metadata {
		if strings.HasPrefix(key, "genmesh.") {
			c.wrong(join(path, key), "remove it", `keys that begin with "genmesh." are set by genmesh`)
		}
	}
}
