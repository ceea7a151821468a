package simulator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"time"
)

const (
	agentCount = 60 // as interactions have them
	queueCount = 6
)

// topic is one that somebody listens to. Conversations are all that the simulator tells of: those of
// a user or a queue, of all media or of one. A topic of anything else is taken and stays quiet.
type topic struct {
	name         string
	agent, queue string // whose conversations; at most one is given
	media        string // "" for all
}

// parseTopic reads a topic. An id that is none of the simulator's own stands for one of them, so that
// the topics of a real organization bring something, too.
func parseTopic(name string) topic {
	t := topic{name: name}
	rest, users := strings.CutPrefix(name, "v2.users.")
	queues := false
	if !users {
		rest, queues = strings.CutPrefix(name, "v2.routing.queues.")
	}
	id, what, _ := strings.Cut(rest, ".")
	kind, media, _ := strings.Cut(what, ".")
	if kind != "conversations" {
		return t
	}
	t.media = strings.TrimSuffix(media, "s")
	switch {
	case users:
		t.agent = known(id, "a-%03d", agentCount)
	case queues:
		t.queue = known(id, "q-%02d", queueCount)
	}
	return t
}

// known is id if it is one of count ids of that form, or else the one that it stands for.
func known(id, form string, count uint32) string {
	for n := range count {
		if own := fmt.Sprintf(form, n+1); own == id {
			return own
		}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // a hash never fails
	return fmt.Sprintf(form, h.Sum32()%count+1)
}

// concerns reports whether the topic's listeners are told of a conversation.
func (t topic) concerns(c *conversation) bool {
	if t.media != "" && t.media != c.media {
		return false
	}
	return t.queue != "" && t.queue == c.queue || t.agent != "" && t.agent == c.agent
}

// frame is what listeners are sent.
func (t topic) frame(body json.RawMessage, correlation string) []byte {
	return encode(map[string]any{
		"topicName": t.name, "version": "2", "eventBody": body, "metadata": map[string]string{"CorrelationId": correlation},
	})
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("simulator: encoding a notification: " + err.Error()) // plain values never fail
	}
	return text
}

// conversations follow interactions as the notification service tells of them: by all that is known of
// them so far, after each change. They are not safe for concurrent use.
type conversations map[string]*conversation

// conversation is one interaction.
type conversation struct {
	id, media    string
	queue, agent string // who is concerned now
	step         int
	participants []*participant
}

// participant is one who takes part, with one leg.
type participant struct {
	ID            string            `json:"id"`
	Purpose       string            `json:"purpose"`
	Name          string            `json:"name,omitempty"`
	UserID        string            `json:"userId,omitempty"`
	QueueID       string            `json:"queueId,omitempty"`
	ConnectedTime string            `json:"connectedTime,omitempty"`
	EndTime       string            `json:"endTime,omitempty"`
	Attributes    map[string]string `json:"attributes,omitempty"`
	Wrapup        *wrapup           `json:"wrapup,omitempty"`
	leg           leg
}

type leg struct {
	ID             string `json:"id"`
	State          string `json:"state"`
	Direction      string `json:"direction"`
	Held           bool   `json:"held"`
	DisconnectType string `json:"disconnectType,omitempty"`
}

type wrapup struct {
	Code            string `json:"code"`
	DurationSeconds int64  `json:"durationSeconds"`
}

// content is what an event says, as far as it still has that shape.
type content struct {
	Timestamp int64
	Data      struct {
		Type, State, WrapUpCode string
		WrapUpDurationMs        int64
		Queue, Agent            party
	}
}

// follow takes an event in and returns its conversation as it is then.
func (all conversations) follow(e Event) *conversation {
	var said content
	_ = json.Unmarshal(e.Body, &said) // a field that has changed its type is left out
	c := all[e.Interaction]
	if c == nil {
		c = &conversation{id: e.Interaction, media: "call"}
		if said.Data.Type != "" {
			c.media = said.Data.Type
		}
		all[e.Interaction] = c
	}
	c.change(said, e.Sequence)
	if e.Last {
		delete(all, e.Interaction)
	}
	return c
}

func (c *conversation) change(said content, step int) {
	now := time.Unix(said.Timestamp, 0).UTC().Format("2006-01-02T15:04:05.000Z")
	c.step = step
	if len(c.participants) == 0 {
		c.join("customer", now).Name = "Customer"
	}
	if said.Data.Queue.ID != "" && c.queue == "" {
		c.queue = said.Data.Queue.ID
		acd := c.join("acd", now)
		acd.QueueID, acd.Name = c.queue, said.Data.Queue.Name
	}
	switch said.Data.State {
	case "alerting":
		c.agent = said.Data.Agent.ID
		agent := c.join("agent", now)
		agent.UserID, agent.QueueID, agent.Name = c.agent, c.queue, said.Data.Agent.Name
		agent.ConnectedTime, agent.leg.State = "", "alerting"
	case "connected":
		c.newest().ConnectedTime, c.newest().leg.State = now, "connected"
	case "hold", "retrieved":
		c.newest().leg.Held = said.Data.State == "hold"
	case "transferred":
		c.newest().leave(now, "transfer")
	case "disconnected":
		for _, p := range c.participants {
			p.leave(now, "client")
		}
	case "wrapup":
		c.newest().Wrapup = &wrapup{said.Data.WrapUpCode, said.Data.WrapUpDurationMs / 1000}
	}
	c.participants[0].Attributes = map[string]string{"state": said.Data.State, "sequence": fmt.Sprint(step)}
}

func (c *conversation) join(purpose, now string) *participant {
	id := fmt.Sprintf("%s/%s/%d", c.id, purpose, len(c.participants))
	p := &participant{
		ID: uuidOf(id), Purpose: purpose, ConnectedTime: now, leg: leg{ID: uuidOf(id + "/leg"), State: "connected", Direction: "inbound"},
	}
	c.participants = append(c.participants, p)
	return p
}

func (c *conversation) newest() *participant { return c.participants[len(c.participants)-1] }

func (p *participant) leave(now, how string) {
	if p.EndTime == "" {
		p.EndTime, p.leg.State, p.leg.DisconnectType = now, "disconnected", how
	}
}

// snapshot is the conversation as it is now, with a leg of its media under each participant.
func (c *conversation) snapshot() json.RawMessage {
	all := make([]map[string]any, len(c.participants))
	for i, p := range c.participants {
		_ = json.Unmarshal(encode(p), &all[i]) // it was just encoded
		all[i][c.media+"s"] = []leg{p.leg}
	}
	return encode(map[string]any{"id": c.id, "participants": all})
}

// correlation is the same for all who are told of a change.
func (c *conversation) correlation() string { return uuidOf(fmt.Sprintf("%s/%d", c.id, c.step)) }

// uuidOf has the look of a UUID and follows from a text.
func uuidOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	h := hex.EncodeToString(sum[:16])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}
