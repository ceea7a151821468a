package genesys

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// Sampler makes up realistic events: the lifecycles of several interactions at once, each with
// its events in order. All names and ids are invented. It is not safe for concurrent use.
type Sampler struct {
	rng    *rand.Rand
	nextID uint64
	open   [sampledAtOnce]lifecycle
}

// sampledAtOnce is how many interactions a sampler has under way.
const sampledAtOnce = 8

// lifecycle is one interaction and what is still to happen to it.
type lifecycle struct {
	id, contact, media string
	queue, agent       named
	states             []string // the rest of them
	step               int
}

type sampleEvent struct {
	ID          string     `json:"id"`
	Timestamp   int64      `json:"timestamp"`
	EventTypeID string     `json:"eventTypeId"`
	Data        sampleData `json:"data"`
}

type sampleData struct {
	ID        string `json:"id"`
	ContactID string `json:"contactId"`
	Type      string `json:"type"`
	State     string `json:"state"`
	// Sequence counts the events of the interaction, from 1.
	Sequence int    `json:"sequence"`
	Queue    *named `json:"queue,omitempty"`
	Agent    *named `json:"agent,omitempty"`
	Wrapup   string `json:"wrapUpCode,omitempty"`
}

type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// NewSampler makes a sampler. Equal seeds and times give equal events; different seeds give
// different interaction ids, as far as chance allows.
func NewSampler(seed uint64) *Sampler {
	rng := rand.New(rand.NewPCG(seed, 0))
	s := &Sampler{rng: rng, nextID: 100_000_000_000 + rng.Uint64N(800_000_000_000)}
	for i := range s.open {
		s.open[i] = s.begin()
	}
	return s
}

// Next is the next event of one of the interactions under way, as the JSON body of a delivery.
// It happened at now, to the second. After its last event an interaction makes room for another.
func (s *Sampler) Next(now time.Time) []byte {
	l := &s.open[s.rng.IntN(len(s.open))]
	body, err := json.Marshal(sampleEvent{
		ID:          s.uuid(),
		Timestamp:   now.Unix(),
		EventTypeID: "interaction",
		Data:        s.advance(l),
	})
	if err != nil {
		panic("genesys: encoding a sample: " + err.Error())
	}
	if len(l.states) == 0 {
		*l = s.begin()
	}
	return body
}

// advance takes the lifecycle one state further.
func (s *Sampler) advance(l *lifecycle) sampleData {
	state := l.states[0]
	l.states = l.states[1:]
	l.step++
	data := sampleData{ID: l.id, ContactID: l.contact, Type: l.media, State: state, Sequence: l.step}
	if l.step > 1 {
		data.Queue = &l.queue
	}
	if l.step > 2 {
		data.Agent = &l.agent
	}
	if state == "wrapup" {
		data.Wrapup = pick(s.rng, "resolved", "follow-up", "no-answer")
	}
	return data
}

func (s *Sampler) begin() lifecycle {
	s.nextID++
	queue, agent := s.rng.IntN(5)+1, s.rng.IntN(40)+1
	return lifecycle{
		id:      strconv.FormatUint(s.nextID, 10),
		contact: fmt.Sprintf("c-%05d", s.rng.IntN(100_000)),
		media:   pick(s.rng, "call", "chat", "email", "message", "callback"),
		queue:   named{fmt.Sprintf("q-%02d", queue), fmt.Sprintf("Queue %d", queue)},
		agent:   named{fmt.Sprintf("a-%03d", agent), fmt.Sprintf("Agent %d", agent)},
		states:  s.plan(),
	}
}

// plan is what happens to an interaction, in order: six to ten events.
func (s *Sampler) plan() []string {
	held, transferred := s.rng.IntN(2) == 0, s.rng.IntN(4) == 0
	states := []string{"connected", "queued", "alerting", "answered"}
	if held {
		states = append(states, "hold", "retrieved")
	}
	if transferred {
		states = append(states, "transferred", "answered")
	}
	return append(slices.Clip(states), "disconnected", "wrapup")
}

// uuid is a random id in the form of a version 4 UUID.
func (s *Sampler) uuid() string {
	high, low := s.rng.Uint64(), s.rng.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x",
		high>>32, high>>16&0xffff, high&0xfff, 0x8000|low>>48&0x3fff, low&0xffffffffffff)
}

func pick(rng *rand.Rand, values ...string) string { return values[rng.IntN(len(values))] }
