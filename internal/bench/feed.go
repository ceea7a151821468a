package main

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/genmesh/genmesh/mesh"
)

const (
	bodyBytes     = 1024
	eventsPerLife = 10 // of one interaction, in the lifecycle mix
)

// feed makes one sender's deliveries. Each sender has its own, so no two share an interaction.
type feed struct {
	sender    string // makes its interactions differ from those of all others
	lifecycle bool   // ten events to an interaction, one of them delivered twice
	n         int    // deliveries so far
}

// delivery is one body to send.
type delivery struct {
	interaction string
	body        []byte
	again       bool // it was sent before
}

// next is the sender's next delivery. In the lifecycle mix eleven deliveries bring ten events:
// which of them comes twice goes round from interaction to interaction.
func (f *feed) next() delivery {
	n := f.n
	f.n++
	if !f.lifecycle {
		return newDelivery(f.sender, n, 0, false)
	}
	interaction, step := n/(eventsPerLife+1), n%(eventsPerLife+1)
	twice := interaction % eventsPerLife
	again := step == twice+1
	if step > twice {
		step--
	}
	return newDelivery(f.sender, interaction, step, again)
}

func newDelivery(sender string, interaction, step int, again bool) delivery {
	id := sender + "-" + strconv.Itoa(interaction)
	return delivery{interaction: id, body: newBody(id, step), again: again}
}

// newBody is an event as Genesys sends it, padded to bodyBytes.
func newBody(interaction string, step int) []byte {
	b := make([]byte, 0, bodyBytes)
	b = append(b, `{"id":"e-`...)
	b = append(b, interaction...)
	b = append(b, '-')
	b = strconv.AppendInt(b, int64(step), 10)
	b = append(b, `","timestamp":`...)
	b = strconv.AppendInt(b, 1_767_225_600+int64(step), 10)
	b = append(b, `,"eventTypeId":"interaction","data":{"id":"`...)
	b = append(b, interaction...)
	b = append(b, `","contactId":"c-00042","type":"call","state":"connected","sequence":`...)
	b = strconv.AppendInt(b, int64(step), 10)
	b = append(b, `,"queue":{"id":"q-01","name":"Queue 1"},"agent":{"id":"a-001","name":"Agent 1"},"note":"`...)
	for len(b) < bodyBytes-len(bodyEnd) {
		b = append(b, "customer asks about an invoice "[len(b)%31])
	}
	return append(b, bodyEnd...)
}

const bodyEnd = `"}}`

// interleaved is the n-th of many events whose interactions take turns: openInteractions of them
// are under way at once.
func interleaved(n int) delivery {
	generation, open := n/(openInteractions*eventsPerLife), n%openInteractions
	step := n / openInteractions % eventsPerLife
	return newDelivery("stored-"+strconv.Itoa(open), generation, step, false)
}

// message is a delivery as genmesh would store it, with the given Nats-Msg-Id.
func message(source, id string, d delivery) *nats.Msg {
	e := mesh.Event{
		Source: source, Interaction: d.interaction, ID: "e-" + d.interaction, Type: "interaction", Media: "call",
		Occurred: time.Unix(1_767_225_600, 0), Received: time.Now(), Fingerprint: "0123456789abcdef0123456789abcdef",
		Body: d.body,
	}
	e.Subject = source + "." + mesh.Partition(d.interaction) + ".interaction.call." + mesh.Token(d.interaction)
	return e.Msg(id)
}
