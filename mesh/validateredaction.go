package mesh

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// redactedEnvelope refuses a redaction that hides what the event's envelope carries as well: redact changes the body alone, and the
// interaction, the event's id and their like travel beside it, in headers, subjects, keys and columns. Who redacts such a value would
// believe that the target never sees it.
func (c *checker) redactedEnvelope(at string, s *Subscriber) {
	read := c.t.sourcesReadBy(s)
	for i, r := range s.Redact {
		for _, source := range read {
			v, ok := source.redactedFromEnvelope(r)
			if !ok {
				continue
			}
			c.wrong(index(at+".redact", i), "redact the values beside it; to keep it out of the body alone, use transform",
				"%q hides %s, where the source %s finds the %s, which travels in the envelope, too: it is a header, a key or a column at the target",
				r.Path, v.path, source.Name, v.name)
			break // one source is enough
		}
	}
}

// redactedFromEnvelope is the first value of the envelope that a redaction hides in the body.
func (s *Source) redactedFromEnvelope(r Redaction) (envelopePath, bool) {
	for _, v := range s.envelopePaths() {
		if redactionCovers(r.Path, v.path) {
			return v, true
		}
	}
	return envelopePath{}, false
}

// sourcesReadBy are the sources whose events the subscriber may get: those that feed its stream and that its filters take, and those of the
// streams that its stream copies.
func (t *Topology) sourcesReadBy(s *Subscriber) []*Source {
	from := t.copiedBy(s.Stream)
	filters := s.FilterSubjects
	if s.FilterSubject != "" {
		filters = []string{s.FilterSubject}
	}
	var read []*Source
	for i := range t.Sources {
		source := &t.Sources[i]
		taken := len(filters) == 0 || overlapping(source.pattern(), filters) != ""
		if source.Stream == s.Stream && taken || slices.Contains(from, source.Stream) {
			read = append(read, source)
		}
	}
	return read
}

// copiedBy are the streams whose messages a stream has as well, through copies of copies, too.
func (t *Topology) copiedBy(stream string) []string {
	copied := []string{stream}
	for i := 0; i < len(copied); i++ {
		s, _ := t.stream(copied[i])
		for _, origin := range s.Sources {
			if !slices.Contains(copied, origin.Name) {
				copied = append(copied, origin.Name)
			}
		}
	}
	return copied[1:]
}

// envelopePath is a value of the envelope and where in the body a source finds it.
type envelopePath struct{ name, path string }

// envelopePaths are all places that a source may take values of the envelope from; those outside of the body are left out.
func (s *Source) envelopePaths() []envelopePath {
	type field struct {
		name string
		from Selectors
	}
	i := s.Identity
	fields := []field{
		{"interaction", i.Interaction}, {"event id", i.EventID}, {"event type", i.EventType}, {"media type", i.Media},
		{"organization", i.Organization}, {"time", i.Occurred},
	}
	for _, pattern := range slices.Sorted(maps.Keys(s.EventTypes)) {
		fields = append(fields, field{"event id", s.EventTypes[pattern].EventID})
	}
	var paths []envelopePath
	for _, f := range fields {
		for _, selector := range f.from {
			for _, path := range i.bodyPaths(selector) {
				paths = append(paths, envelopePath{f.name, path})
			}
		}
	}
	return paths
}

// bodyPaths are the places in the body that a selector reads. The content may be at any of its paths, or be the whole body.
func (i Identity) bodyPaths(selector Selector) []string {
	parts, _ := selector.Parse() // one that can't be read is reported with its source
	var paths []string
	for _, part := range parts {
		if part.IsLiteral() || part.Header != "" || part.Form == FormNonce {
			continue
		}
		within := []string{""}
		if part.InContent {
			within = append(within, i.Content...)
		}
		for _, content := range within {
			if path := strings.Trim(content+"."+part.Path, "."); path != "" {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// redactionCovers reports whether a redaction hides the value at a path, or something that the value lies in.
func redactionCovers(redaction, path string) bool {
	hidden, parts := strings.Split(redaction, "."), strings.Split(path, ".")
	if len(hidden) > len(parts) {
		return false
	}
	for i, part := range hidden {
		if part != "*" && part != parts[i] && !sameIndex(part, parts[i]) {
			return false
		}
	}
	return true
}

// sameIndex reports whether both are the same number: an index may be written as "0" and as "00".
func sameIndex(a, b string) bool {
	m, err := strconv.Atoi(a)
	n, other := strconv.Atoi(b)
	return err == nil && other == nil && m == n
}
