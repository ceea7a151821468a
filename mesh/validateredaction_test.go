package mesh

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// redacting is a streams.json of which a subscriber of CALLS redacts a path. The events of "calls" have their envelope's values at plain
// places, those of "bus" in a content; ALL copies CALLS.
const redacting = `{
	"sources": [
		{"name": "calls", "path": "/calls", "preset": "genesys", "secret": "${S}", "stream": "CALLS", "dedupe_key": "{source}:{interaction}"},
		{"name": "bus", "path": "/bus", "preset": "genesys", "secret": "${S}", "stream": "CALLS", "dedupe_key": "{source}:{interaction}",
			"identity": {"content": ["detail.eventBody"], "events": "list", "interaction": ["@.conversationId", "{channel.id}:{list.0.to}"],
				"organization": "source ~ cloud/([^/]+)", "event_id": "header:X-Id", "event_type": "=call", "media": "pattern:topic",
				"occurred": "newest:@", "fingerprint": ["detail"]},
			"event_types": {"audit": {"event_id": "@.audit.id"}}}],
	"streams": [{"name": "CALLS", "subjects": ["calls.>", "bus.>"]}, {"name": "ALL", "sources": [{"name": "CALLS"}]},
		{"name": "OTHERS", "subjects": ["others.>"]}, {"name": "DEAD", "subjects": ["dead.>"]}, {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
		{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
	"subscribers": [{"name": "analytics", "stream": "CALLS"}]
}`

// TestWhatTheEnvelopeCarriesCannotBeRedacted: a subscriber that hides the interaction in the body would get it in a header nevertheless.
func TestWhatTheEnvelopeCarriesCannotBeRedacted(t *testing.T) {
	topology, err := ParseTopology([]byte(redacting), parseOptions(nil))
	require.NoError(t, err)
	for _, tc := range []struct{ path, stream, filter, says string }{
		{"data.id", "", "", `"data.id" hides data.id, where the source calls finds the interaction, which travels in the envelope`},
		{"data", "", "", `"data" hides data.id`},
		{"data.*", "", "", `"data.*" hides data.id`},
		{"*", "", "", `"*" hides data.id`},
		{"*.id", "", "", `"*.id" hides data.id`},
		{"id", "", "", `finds the event id`},
		{"eventTypeId", "", "", `finds the event type`},
		{"data.type", "", "", `finds the media type`},
		{"timestamp", "", "", `finds the time`},
		{"conversationId", "", "", `where the source bus finds the interaction`},
		{"detail.eventBody.conversationId", "", "", `where the source bus finds the interaction`},
		{"detail", "", "", `"detail" hides detail.eventBody.conversationId`},
		{"channel.id", "", "", `finds the interaction`},
		{"list.*.to", "", "", `"list.*.to" hides list.0.to`},
		{"list.00", "", "", `"list.00" hides list.0.to`},
		{"source", "", "", `finds the organization`},
		{"topic", "", "", `finds the media type`},
		{"audit.id", "", "", `finds the event id`},
		{"data.id", "ALL", "", `"data.id" hides data.id`},
		{"data.id", "", "calls.>", `"data.id" hides data.id`},

		{"data.ani", "", "", ""},
		{"data.id.more", "", "", ""},
		{"data.participants.*.id", "", "", ""},
		{"data.*.*", "", "", ""},
		{"list.1.to", "", "", ""},
		{"detail.eventBody.participants.*.ani", "", "", ""},
		{"X-Id", "", "", ""},
		{"data.id", "", "bus.>", ""},
		{"conversationId", "", "calls.>", ""},
		{"data.id", "OTHERS", "", ""},
	} {
		s := Subscriber{Name: "analytics", Stream: "CALLS", Redact: []Redaction{{Path: "data.ani"}, {Path: tc.path}}, FilterSubject: tc.filter}
		if tc.stream != "" {
			s.Stream = tc.stream
		}
		c := checker{report: &report{}, t: topology}
		c.redactedEnvelope("subscribers[0]", &s)
		about := fmt.Sprintf("%+v", tc)
		if tc.says == "" {
			require.Empty(t, c.mistakes, about)
			continue
		}
		require.Len(t, c.mistakes, 1, about)
		require.Equal(t, "subscribers[0].redact[1]", c.mistakes[0].Path)
		require.Contains(t, c.mistakes[0].Problem, tc.says, about)
		require.Contains(t, c.mistakes[0].Hint, "use transform")
	}
}

// TestStreamsThatCopyEachOtherAreFollowedOnce: what is wrong with them is said elsewhere, and this ends.
func TestStreamsThatCopyEachOtherAreFollowedOnce(t *testing.T) {
	one, other := Stream{}, Stream{}
	one.Name, other.Name = "ONE", "OTHER"
	one.Sources = []*jetstream.StreamSource{{Name: "OTHER"}, {Name: "ONE"}, {Name: "MISSING"}}
	other.Sources = []*jetstream.StreamSource{{Name: "ONE"}}
	topology := &Topology{Streams: []Stream{one, other}}
	require.Equal(t, []string{"OTHER", "MISSING"}, topology.copiedBy("ONE"))
}
