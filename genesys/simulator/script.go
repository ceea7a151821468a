package simulator

import (
	"container/heap"
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

// ScriptOptions is what a Script is made of. Equal seeds make the same interactions.
type ScriptOptions struct {
	Seed uint64
	// Start is when the first interactions begin; from then on time goes as the interactions want
	// it, and equal starts make equal bodies. The zero time stamps each event with the time when it
	// is made.
	Start time.Time
	// Interactions are under way at once, at least 1. Default 24.
	Interactions int
}

const (
	defaultInteractions = 24
	maxInteractions     = 100_000
	// usualLife is how long an interaction usually takes; the first ones begin spread over it.
	usualLife = 8 * time.Minute
)

// Script makes up interactions, each with its events in the order and at the distances of a real one.
// It is not safe for concurrent use.
type Script struct {
	rng   *rand.Rand
	live  bool      // events are stamped with the time of now
	clock time.Time // of the made-up contact centre
	next  uint64
	open  schedule
	shape shape
	skew  time.Duration
}

// NewScript makes a script. Its interactions' ids differ from those of other seeds, as far as chance
// allows.
func NewScript(o ScriptOptions) *Script {
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	s := &Script{rng: rng, live: o.Start.IsZero(), clock: o.Start, next: 100_000_000_000 + rng.Uint64N(800_000_000_000)}
	if s.live {
		s.clock = time.Now()
	}
	n := min(o.Interactions, maxInteractions)
	if n < 1 {
		n = defaultInteractions
	}
	for range n {
		in := s.begin()
		in.due = s.clock.Add(time.Duration(rng.Int64N(int64(usualLife))))
		s.open = append(s.open, in)
	}
	heap.Init(&s.open)
	return s
}

// schedule is the interactions under way, the one with the next event first.
type schedule []*interaction

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }
func (s schedule) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)        { *s = append(*s, x.(*interaction)) }
func (s *schedule) Pop() any {
	last := (*s)[len(*s)-1]
	*s = (*s)[:len(*s)-1]
	return last
}

// interaction is one contact and what is still to happen to it.
type interaction struct {
	id, contact, media string
	queue, agent       party
	steps              []step
	due                time.Time // of the next step
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

// Next makes the next event, of whichever interaction has one first. An interaction that has ended
// makes room for another.
func (s *Script) Next() Event {
	in := s.open[0]
	now := in.steps[0]
	in.steps = in.steps[1:]
	in.sequence++
	s.clock = in.due
	in.due = in.due.Add(now.lasts)
	e := Event{ID: s.uuid(), Interaction: in.id, Sequence: in.sequence, Last: len(in.steps) == 0}
	var err error
	e.Body, err = json.Marshal(payload{
		ID: e.ID, Timestamp: s.stamp().Unix(), EventTypeID: "interaction", Data: s.shape.apply(in.data(now)),
	})
	if err != nil {
		panic("simulator: encoding an event: " + err.Error()) // a map of plain values never fails
	}
	if e.Last {
		s.open[0] = s.begin()
		s.open[0].due = in.due
	}
	heap.Fix(&s.open, 0)
	return e
}

// stamp is the time that an event tells.
func (s *Script) stamp() time.Time {
	if s.live {
		return time.Now().Add(s.skew)
	}
	return s.clock.Add(s.skew)
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

func (s *Script) begin() *interaction {
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
func (s *Script) plan(media string) []step {
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
func (s *Script) about(usual time.Duration) time.Duration {
	return time.Duration((0.3 + 0.7*s.rng.ExpFloat64()) * float64(usual)).Round(time.Millisecond)
}

func (s *Script) uuid() string {
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
