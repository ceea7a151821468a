package admin

import (
	"encoding/json"
	"strings"

	"github.com/genmesh/genmesh/mesh"
)

// eventOf is a stored event without its body.
func eventOf(e mesh.Event) Event {
	return Event{
		Stream: e.Stream, Sequence: e.Sequence, Subject: e.Subject, Stored: e.Stored, Source: e.Source, Organization: e.Organization,
		Interaction: e.Interaction, Type: e.Type, Media: e.Media, EventID: e.ID, Fingerprint: e.Fingerprint,
		Occurred: e.Occurred, Received: e.Received, Bytes: len(e.Body),
	}
}

func bodyOf(raw []byte) Body {
	body := Body{Raw: raw}
	if json.Valid(raw) {
		body.JSON = raw
	}
	return body
}

// headersOf are the headers that carry the event's envelope, as it is stored.
func headersOf(e mesh.Event) map[string]string {
	headers := map[string]string{}
	for name, values := range e.Msg("").Header {
		headers[name] = strings.Join(values, ", ")
	}
	return headers
}
