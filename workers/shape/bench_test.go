package shape_test

import (
	"strings"
	"testing"

	"github.com/genmesh/genmesh/mesh"
)

// about1KB is a body in the shape of a conversation event, of about 1 KB.
var about1KB = mesh.Event{Source: "genesys", Type: "interaction", Media: "call", Interaction: "b3b1f6a2", Sequence: 4711, Body: []byte(`{"id":"4f1c2f6e-8c55-4a86-bb0d-5a2d2fb6e3aa",` +
	`"timestamp":1767225600,"eventTypeId":"interaction","data":{"id":"b3b1f6a2-77f4-4a0e-9f2b-0d1f8f6f6d11","type":"call","state":"ended","seconds":62.5,` +
	`"queue":{"id":"6a1c","name":"Billing"},"customer":{"name":"Ada Example","phone":"+4930123456","email":"ada@example.com"},"participants":[` +
	strings.TrimSuffix(strings.Repeat(`{"id":"0d1f8f6f-6d11-4c1e-8a53-2f6f2f6f6d11","purpose":"agent","state":"connected","address":"sip:agent@example.com","held":false,"skills":["de","en"]},`, 4), ",") +
	`],"attributes":{"tier":"gold","campaign":"spring","score":17}}}`)}

func benchmark(b *testing.B, s mesh.Subscriber) {
	made := newShape(b, s)
	b.ReportAllocs()
	b.SetBytes(int64(len(about1KB.Body)))
	for b.Loop() {
		if _, delivered, err := made.Apply(b.Context(), about1KB); err != nil || !delivered {
			b.Fatal(delivered, err)
		}
	}
}

func BenchmarkWhenEnvelope(b *testing.B) {
	benchmark(b, mesh.Subscriber{When: `event.type == "interaction" and event.media in ["call", "chat"]`})
}

func BenchmarkWhenBody(b *testing.B) {
	benchmark(b, mesh.Subscriber{When: `data.state == "ended" and data.seconds > 10 and any(data.participants, .purpose == "agent")`})
}

var redactions = []mesh.Redaction{{Path: "data.customer.name"}, {Path: "data.customer.phone", With: mesh.RedactHash}, {Path: "data.participants.*.address"}}

func BenchmarkRedact(b *testing.B) {
	benchmark(b, mesh.Subscriber{Redact: redactions, RedactKey: "${REDACT_KEY}"})
}

const transform = `{call: .data.id, queue: .data.queue.name, seconds: .data.seconds, agents: [.data.participants[] | select(.purpose == "agent") | .id], at: $event.occurred}`

func BenchmarkTransform(b *testing.B) { benchmark(b, mesh.Subscriber{Transform: transform}) }

func BenchmarkAllThree(b *testing.B) {
	benchmark(b, mesh.Subscriber{
		When: `data.state == "ended" and data.seconds > 10`, Redact: redactions, RedactKey: "${REDACT_KEY}", Transform: transform,
	})
}
