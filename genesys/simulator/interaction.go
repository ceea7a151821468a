package simulator

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Event is one event of an invented interaction.
type Event struct {
	ID          string
	Interaction string
	// Sequence counts the events of the interaction, from 1.
	Sequence int
	Body     []byte
	Last     bool // of its interaction
}

// script makes up interactions: which events there are, in which order and with which content follows
// from its seed and its start alone. It is not safe for concurrent use.
type script struct {
	rng   *rand.Rand
	clock time.Time // of the simulated contact centre
	next  uint64
	open  []*interaction
	shape shape
}

// openAtOnce is how many interactions are under way.
const openAtOnce = 24

func newScript(seed uint64, start time.Time) *script {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := &script{rng: rng, clock: start, next: 100_000_000_000 + rng.Uint64N(800_000_000_000)}
	for range openAtOnce {
		s.open = append(s.open, s.begin())
	}
	return s
}

// interaction is one contact and what is still to happen to it.
type interaction struct {
	id, contact, media string
	queue, agent       party
	steps              []step
	sequence           int
	connected, held    time.Duration
}

type party struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// step is a state and how long it lasts, until the next event.
type step struct {
	state string
	lasts time.Duration
}

type payload struct {
	ID          string         `json:"id"`
	Timestamp   int64          `json:"timestamp"`
	EventTypeID string         `json:"eventTypeId"`
	Data        map[string]any `json:"data"`
}

// advance makes the next event: of one of the open interactions, somewhat later than the one before.
func (s *script) advance(skew time.Duration) Event {
	i := s.rng.IntN(len(s.open))
	in := s.open[i]
	now := in.steps[0]
	in.steps = in.steps[1:]
	in.sequence++
	s.clock = s.clock.Add(now.lasts / openAtOnce)
	e := Event{ID: s.uuid(), Interaction: in.id, Sequence: in.sequence, Last: len(in.steps) == 0}
	var err error
	e.Body, err = json.Marshal(payload{
		ID: e.ID, Timestamp: s.clock.Add(skew).Unix(), EventTypeID: "interaction", Data: s.shape.apply(in.data(now)),
	})
	if err != nil {
		panic("simulator: encoding an event: " + err.Error()) // a map of plain values never fails
	}
	if e.Last {
		s.open[i] = s.begin()
	}
	return e
}

// data is what the event says about the interaction.
func (in *interaction) data(now step) map[string]any {
	d := map[string]any{
		"id": in.id, "contactId": in.contact, "type": in.media, "state": now.state, "sequence": in.sequence, "direction": "inbound",
	}
	if in.sequence > 1 {
		d["queue"] = in.queue
	}
	switch now.state {
	case "hold", "consult":
		in.held += now.lasts
	case "connected":
		in.connected += now.lasts
	}
	switch now.state {
	case "alerting", "connected", "hold", "retrieved", "consult", "transferred", "wrapup":
		d["agent"] = in.agent
	case "disconnected":
		d["connectedDurationMs"], d["heldDurationMs"] = in.connected.Milliseconds(), in.held.Milliseconds()
	}
	if now.state == "wrapup" {
		d["wrapUpCode"], d["wrapUpDurationMs"] = []string{"resolved", "follow-up", "no-answer"}[in.sequence%3], now.lasts.Milliseconds()
	}
	return d
}

func (s *script) begin() *interaction {
	s.next++
	media := []string{"call", "call", "call", "chat", "chat", "email", "message", "callback"}[s.rng.IntN(8)]
	queue, agent := s.rng.IntN(6)+1, s.rng.IntN(60)+1
	return &interaction{
		id: strconv.FormatUint(s.next, 10), contact: fmt.Sprintf("c-%05d", s.rng.IntN(100_000)), media: media,
		queue: party{fmt.Sprintf("q-%02d", queue), fmt.Sprintf("Queue %d", queue)},
		agent: party{fmt.Sprintf("a-%03d", agent), fmt.Sprintf("Agent %d", agent)},
		steps: s.plan(media),
	}
}

// plan is the life of an interaction. Times are drawn around what is usual for its media.
func (s *script) plan(media string) []step {
	talk := map[string]time.Duration{
		"call": 4 * time.Minute, "chat": 9 * time.Minute, "email": 20 * time.Minute, "message": 15 * time.Minute, "callback": 5 * time.Minute,
	}[media]
	steps := []step{{"started", s.about(2 * time.Second)}}
	if media == "call" {
		steps = append(steps, step{"ivr", s.about(25 * time.Second)})
	}
	if media == "callback" {
		steps = append(steps, step{"scheduled", s.about(10 * time.Minute)})
	}
	steps = append(steps, step{"queued", s.about(45 * time.Second)})
	if s.rng.IntN(12) == 0 {
		return append(steps, step{"abandoned", s.about(time.Second)}, step{"disconnected", 0})
	}
	steps = append(steps, step{"alerting", s.about(6 * time.Second)}, step{"connected", s.about(talk)})
	if media == "call" && s.rng.IntN(2) == 0 {
		steps = append(steps, step{"hold", s.about(40 * time.Second)}, step{"retrieved", s.about(talk / 2)})
	}
	if s.rng.IntN(6) == 0 {
		steps = append(steps, step{"consult", s.about(30 * time.Second)})
	}
	if s.rng.IntN(5) == 0 {
		steps = append(steps, step{"transferred", s.about(5 * time.Second)}, step{"alerting", s.about(6 * time.Second)},
			step{"connected", s.about(talk / 2)})
	}
	return append(steps, step{"disconnected", s.about(2 * time.Second)}, step{"wrapup", s.about(20 * time.Second)})
}

// about draws a time with a long tail.
func (s *script) about(usual time.Duration) time.Duration {
	return time.Duration((0.3 + 0.7*s.rng.ExpFloat64()) * float64(usual)).Round(time.Millisecond)
}

func (s *script) uuid() string {
	high, low := s.rng.Uint64(), s.rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", high>>32, high>>16&0xffff, high&0xfff, 0x8000|low>>48&0x3fff, low&0xffffffffffff)
}

// shape is how the fields of data were changed by a schema change; its zero value changes nothing.
type shape struct {
	Add    []string `json:"add"`    // fields that appear, each a string
	Remove []string `json:"remove"` // fields that vanish
	Retype []string `json:"retype"` // fields that become objects
}

func (s shape) apply(data map[string]any) map[string]any {
	for _, name := range s.Add {
		data[name] = "new"
	}
	for _, name := range s.Remove {
		delete(data, name)
	}
	for _, name := range s.Retype {
		if v, ok := data[name]; ok {
			data[name] = map[string]any{"value": v}
		}
	}
	return data
}
