package notification

import "encoding/json"

// kind is what a frame is for.
type kind int

const (
	// event is whatever is not known to be something else: it goes to the source, which knows what
	// can't be read.
	event kind = iota
	// alive is a heartbeat, or the answer to a ping.
	alive
	// closing announces that the service ends the socket, in about a minute.
	closing
)

// Topics of the service itself. They come without being asked for.
const (
	topicMetadata = "channel.metadata"
	topicClosing  = "v2.system.socket_closing"
)

// ping asks for an answer of the kind alive.
const ping = `{"message":"ping"}`

// classify finds out what a frame is for, and which thing it is about: the frames of one conversation
// are told in order.
func classify(frame []byte) (kind, string) {
	var f struct {
		TopicName string
		EventBody struct{ ID string }
	}
	if err := json.Unmarshal(frame, &f); err != nil && f.TopicName == "" {
		return event, ""
	}
	switch f.TopicName {
	case topicMetadata:
		return alive, ""
	case topicClosing:
		return closing, ""
	}
	if f.EventBody.ID != "" {
		return event, f.EventBody.ID
	}
	return event, f.TopicName
}
