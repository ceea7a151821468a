package simulator

import (
	"fmt"
	"iter"
)

// Received is an event as somebody behind the receiver got it.
type Received struct {
	Interaction string
	Body        []byte
}

// Differences are what was sent and what arrived do not have in common, each named by interaction and
// sequence. All are empty if all went well.
type Differences struct {
	// Missing were taken by the receiver and did not arrive; Doubled arrived more than once;
	// Altered arrived with another body; Unsent arrived and were never sent; OutOfOrder arrived
	// before an earlier event of their interaction.
	Missing, Doubled, Altered, Unsent, OutOfOrder []string
}

// None reports whether there is no difference.
func (d Differences) None() bool {
	return len(d.Missing)+len(d.Doubled)+len(d.Altered)+len(d.Unsent)+len(d.OutOfOrder) == 0
}

// Reconcile compares the events that a receiver took, by its own answers, with those that arrived, in
// the order of their arrival.
func Reconcile(entries []Entry, arrived iter.Seq[Received]) Differences {
	var d Differences
	taken := make(map[string]*Entry) // by interaction and body
	for i, e := range entries {
		if e.Kind == KindEvent && (e.Outcome == Accepted || e.Outcome == Known) {
			taken[e.Interaction+" "+e.BodySHA256] = &entries[i]
		}
	}
	times := make(map[*Entry]int)
	latest := make(map[string]int) // sequence by interaction
	var strangers []string
	for r := range arrived {
		e := taken[r.Interaction+" "+bodyHash(r.Body)]
		if e == nil {
			strangers = append(strangers, r.Interaction)
			continue
		}
		name := fmt.Sprintf("%s/%d", e.Interaction, e.Sequence)
		if times[e]++; times[e] > 1 {
			d.Doubled = append(d.Doubled, name)
			continue
		}
		if e.Sequence < latest[e.Interaction] {
			d.OutOfOrder = append(d.OutOfOrder, name)
		}
		latest[e.Interaction] = max(latest[e.Interaction], e.Sequence)
	}
	missing := make(map[string][]string) // by interaction
	for _, e := range entries {
		if own := taken[e.Interaction+" "+e.BodySHA256]; own != nil && e.Kind == KindEvent && times[own] == 0 {
			missing[e.Interaction] = append(missing[e.Interaction], fmt.Sprintf("%s/%d", e.Interaction, e.Sequence))
			times[own] = -1
		}
	}
	// A stranger of an interaction that lacks an event is that event, changed on its way.
	for _, interaction := range strangers {
		if lacking := missing[interaction]; len(lacking) > 0 {
			d.Altered = append(d.Altered, lacking[0])
			missing[interaction] = lacking[1:]
		} else {
			d.Unsent = append(d.Unsent, interaction)
		}
	}
	for _, e := range entries {
		d.Missing = append(d.Missing, missing[e.Interaction]...)
		delete(missing, e.Interaction)
	}
	return d
}
