package mesh

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// startNote says that where a subscriber shall begin differs from where it began, which apply does not change: it would skip
// or repeat events. It is "" if nothing differs, or nobody can tell: consumers that went on where others were don't say where
// the first of them began.
func startNote(wanted Reader, current map[string]*jetstream.ConsumerInfo) string {
	if wanted.replays {
		return ""
	}
	for _, info := range current {
		served, ok := ServedBy(info.Config)
		if !ok || served.Subscriber != wanted.Name || served.Replay != nil || len(served.Skip) > 0 || sameStart(wanted.Subscriber, info.Config) {
			continue
		}
		return fmt.Sprintf("%s: it counts for a new subscriber, and %s began by %s; it goes on where it is%s",
			writtenStart(wanted.Subscriber), wanted.Name, startText(info.Config), whatItMissed(wanted.Subscriber))
	}
	return ""
}

func sameStart(s Subscriber, began jetstream.ConsumerConfig) bool {
	return s.DeliverPolicy == began.DeliverPolicy && s.OptStartSeq == began.OptStartSeq && sameTime("", s.OptStartTime, began.OptStartTime)
}

// writtenStart is the start by the name under which streams.json most likely has it.
func writtenStart(s Subscriber) string {
	if s.Start != "" {
		return fmt.Sprintf("start %q", s.Start)
	}
	return startText(jetstream.ConsumerConfig{DeliverPolicy: s.DeliverPolicy, OptStartSeq: s.OptStartSeq, OptStartTime: s.OptStartTime})
}

// startText is where a consumer begins, in NATS' own words.
func startText(c jetstream.ConsumerConfig) string {
	text := "deliver_policy " + c.DeliverPolicy.String()
	switch {
	case c.OptStartTime != nil:
		text += " " + c.OptStartTime.UTC().Format(time.RFC3339)
	case c.OptStartSeq > 0:
		text += fmt.Sprintf(" %d", c.OptStartSeq)
	}
	return text
}

// whatItMissed says how a subscriber gets what lies before its beginning, if that may be what is wanted.
func whatItMissed(s Subscriber) string {
	switch s.DeliverPolicy {
	case jetstream.DeliverAllPolicy:
		return fmt.Sprintf("; genmesh replay %s --all (or --since TIME) gives it what it missed", s.Name)
	case jetstream.DeliverByStartTimePolicy:
		return fmt.Sprintf("; genmesh replay %s --since %s gives it what it missed", s.Name, s.OptStartTime.UTC().Format(time.RFC3339))
	case jetstream.DeliverByStartSequencePolicy:
		return fmt.Sprintf("; genmesh replay %s --since TIME gives it what it missed", s.Name)
	}
	return ""
}
