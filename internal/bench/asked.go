package main

import (
	"context"
	"fmt"
	"time"
)

// asked is something that a subscriber can ask for, and what it is compared with.
type asked struct {
	name   string // in the report
	fields string // of the subscriber in streams.json, each after a comma
	// signs: the target's requests are signed, and go to HTTP.
	signs   bool
	records bool
}

// The subscribers that ask for nothing.
const (
	plainInCode = "nothing, to code"
	plainToHTTP = "nothing, to HTTP"
)

// everythingAsked is all that is measured, in the order of the report. The filters look at the body, as
// newBody makes it.
var everythingAsked = [...]asked{
	{name: "`\"order\": \"none\"`", fields: `, "order": "none"`},
	{name: "`\"partitions\": 4`, all in one process", fields: `, "partitions": 4`},
	{name: "`\"partitions\": 16`, all in one process", fields: `, "partitions": 16`},
	{name: "`when` that looks into the body and lets everything through", fields: `, "when": "data.state == \"connected\""`},
	{name: "`when` that passes 9 of 10 events by", fields: `, "when": "data.sequence == 0"`},
	{
		name:   "`redact`: one value masked, one hashed",
		fields: `, "redact": ["data.agent.name", {"path": "data.contactId", "with": "hash"}], "redact_key": "${SECRET}"`,
	},
	{
		name:   "`transform` that makes a small body of it",
		fields: `, "transform": "{call: .data.id, queue: .data.queue.name, state: .data.state, sequence: .data.sequence}"`,
	},
	{name: "deliveries recorded", records: true},
	{name: "requests signed, to HTTP", signs: true},
}

// against is what asks for nothing and goes the same way.
func (a asked) against() string {
	if a.signs {
		return plainToHTTP
	}
	return plainInCode
}

func (a asked) newHandler() handlerMaker {
	if a.signs {
		return forwarding
	}
	return inCode
}

func askedName(i int) string { return fmt.Sprintf("asks%d", i) }

// askingSubscribers are subscribers in streams.json, one for each that is asked for.
func askingSubscribers(sink string) []string {
	var subscribers []string
	for i, a := range everythingAsked {
		signs := ""
		if a.signs {
			signs = `, "signing_secrets": ["${SIGNING_KEY}"]`
		}
		subscribers = append(subscribers, deliverySubscriber(askedName(i), maxAckPending, target(sink, signs), a.fields))
	}
	return subscribers
}

// askedVariants are what is asked for, with what each is compared with beside it; and what else is
// compared with that.
func (b *deliveryBench) askedVariants() []variant {
	plain := func(name string, newHandler handlerMaker) variant {
		return variant{name, func(ctx context.Context, d time.Duration) (sample, error) {
			return b.measureRunners(ctx, d, 1, newHandler)
		}}
	}
	besideWaiting := func(name string, newHandler handlerMaker) variant {
		return variant{name, func(ctx context.Context, d time.Duration) (sample, error) {
			return b.measureBesideWaiting(ctx, d, newHandler)
		}}
	}
	all := []variant{
		besideWaiting(httpBesideWaiting, forwarding),
		plain(plainToHTTP, forwarding),
		besideWaiting(codeBesideWaiting, inCode),
		plain(plainInCode, inCode),
	}
	for i, a := range everythingAsked {
		all = append(all, variant{a.name, func(ctx context.Context, d time.Duration) (sample, error) {
			return b.measureServices(ctx, d, service{subscriber: b.subscriber(askedName(i)), newHandler: a.newHandler(), records: a.records})
		}})
	}
	return all
}
