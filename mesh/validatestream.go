package mesh

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	maxStreamNameBytes = 255
	maxSubjects        = 64
	maxReplicas        = 5
	// leastWindow is the smallest duplicate window that NATS takes.
	leastWindow = 100 * time.Millisecond
)

func (c *checker) stream(at string, s *Stream) {
	c.streamName(at+".name", s.Name)
	c.metadata(at+".metadata", s.Metadata)
	c.between(at+".num_replicas", s.Replicas, 1, maxReplicas)
	c.subjects(at+".subjects", s)
	c.window(at, s)
	if s.Template != "" {
		c.wrong(at+".template_owner", "remove it", "NATS has no stream templates any more")
	}
	if s.Mirror != nil && len(s.Subjects) > 0 {
		c.wrong(at+".subjects", "remove the subjects or the mirror", "a mirror has no subjects of its own")
	}
	if r, ok := s.roleOf(); ok && r.subject != advisorySubjects {
		c.keepsEvents(at, s)
	}
}

func (c *checker) streamName(at, name string) {
	odd := func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(`.*>/\`, r)
	}
	switch {
	case name == "":
		c.wrong(at, `add "name"`, "missing")
	case len(name) > maxStreamNameBytes || strings.ContainsFunc(name, odd):
		c.wrong(at, `use letters, digits, _ and -`, "%q is no name for a stream", name)
	}
}

func (c *checker) subjects(at string, s *Stream) {
	if len(s.Subjects) == 0 && s.Mirror == nil && len(s.Sources) == 0 {
		c.wrong(at, `add such as "subjects": ["genesys.>"]`, "missing: the subjects that the stream takes")
	}
	if len(s.Subjects) > maxSubjects {
		c.wrong(at, "", "%d subjects; at most %d are allowed", len(s.Subjects), maxSubjects)
		return
	}
	for i, subject := range s.Subjects {
		place := index(at, i)
		if !c.subject(place, subject) {
			continue
		}
		c.notReserved(place, subject)
		if other := overlapping(subject, s.Subjects[:i]); other != "" {
			c.wrong(place, "remove one", "%q overlaps %q of the same stream", subject, other)
		}
	}
}

// notReserved keeps genmesh's and the server's own subjects out of streams.
func (c *checker) notReserved(at, subject string) {
	for _, reserved := range []string{"replay.>", "_mesh.>", "_INBOX.>"} {
		if SubjectsOverlap(subject, reserved) {
			c.wrong(at, `begin it with a source's name, such as "genesys.>"`, "%q takes %q, which genmesh uses itself", subject, reserved)
			return
		}
	}
	if strings.HasPrefix(subject, "$") && !strings.HasPrefix(subject, "$JS.EVENT.ADVISORY.") {
		c.wrong(at, "only $JS.EVENT.ADVISORY. subjects may be stored", "%q is the server's own", subject)
	}
}

func (c *checker) window(at string, s *Stream) {
	if s.MaxAge < 0 || s.MaxAge > 0 && s.MaxAge < leastWindow {
		c.wrong(at+".max_age", `write 0 for no limit, or at least "100ms"`, "%s is out of range", Duration(s.MaxAge))
	}
	switch {
	case s.Duplicates < 0 || s.Duplicates > 0 && s.Duplicates < leastWindow:
		c.wrong(at+".duplicate_window", `write at least "100ms"`, "%s is out of range", Duration(s.Duplicates))
	case s.MaxAge > 0 && s.Duplicates > s.MaxAge:
		c.wrong(at+".duplicate_window", fmt.Sprintf("write at most %q", Duration(s.MaxAge).String()),
			"%s is longer than max_age, and an event that is gone can't be compared with its duplicate", Duration(s.Duplicates))
	}
}

// keepsEvents checks that a stream loses nothing that it acknowledged, but by its age.
func (c *checker) keepsEvents(at string, s *Stream) {
	if s.Retention != jetstream.LimitsPolicy {
		c.wrong(at+".retention", `write "limits"`, "only limits retention keeps the ids of duplicates over a restart, and events for a later replay")
	}
	if s.NoAck {
		c.wrong(at+".no_ack", "remove it", "without the server's acknowledgement nobody knows what is stored")
	}
	if s.PersistMode == jetstream.AsyncPersistMode {
		c.wrong(at+".persist_mode", "remove it", "async acknowledges before it writes: a crash loses events")
	}
	if s.Discard == jetstream.DiscardOld && (s.MaxMsgs > 0 || s.MaxBytes > 0) {
		c.wrong(at+".discard", `write "discard": "new": a full stream then answers 503, and the sender tries again`,
			"old deletes the oldest events when the stream is full, delivered or not")
	}
	if s.MaxMsgsPerSubject > 0 {
		c.wrong(at+".max_msgs_per_subject", "remove it; bound the stream with max_age and max_bytes",
			"it deletes the older events of an interaction, delivered or not")
	}
	if s.Sealed {
		c.wrong(at+".sealed", "remove it", "a sealed stream takes no events")
	}
}

// takesAsPublished checks that a stream which sources feed stores their events, and theirs
// alone, as they come.
func (c *checker) takesAsPublished(at string, s *Stream) {
	refuse := func(set bool, field, problem string) {
		if set {
			c.wrong(join(at, field), "remove it, or let another stream do it", "%s", problem)
		}
	}
	refuse(s.Mirror != nil, "mirror", "a mirror can't be published to, and sources feed this stream")
	refuse(len(s.Sources) > 0, "sources", "copies from other streams aren't checked for duplicates, and sources feed this stream")
	refuse(s.SubjectTransform != nil, "subject_transform", "events are found by the subjects that they were published on")
	refuse(s.AllowMsgCounter, "allow_msg_counter", "a counter stream takes numbers, not events")
}
