package ledger

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Aftermath is what a mesh holds when a run is over, read by somebody else than the mesh.
type Aftermath struct {
	// Stored are the bodies of the source's stream, in its order.
	Stored [][]byte
	// Dead are the bodies of the dead letters by subscriber.
	Dead map[string][][]byte
	// Waiting is how many events a subscriber has still to get, by the server: pending and not acknowledged. A subscriber that has an
	// entry here is checked, whether anything arrived or not.
	Waiting map[string]uint64
}

// Verdict names what went wrong. All is well if nothing is named but what was doubled on its way, which is for the test to bound.
type Verdict struct {
	// Lost were answered 2xx and are not stored. They may have arrived all the same.
	Lost []string
	// StoredTwice are in the stream more than once.
	StoredTwice []string
	// Missing were answered, and are still to arrive, by subscriber; Stranded too, but the subscriber waits for nothing: they
	// never will.
	Missing, Stranded map[string][]string
	// Altered are stored, dead or arrived with another body; Foreign are there and were never sent.
	Altered, Foreign []string
	// OutOfOrder arrived for the first time after a later event of their interaction had.
	OutOfOrder map[string][]string
	// Doubled is how often a subscriber took an event that it had taken already.
	Doubled map[string]int
}

// Check compares a ledger with what is left.
func (l *Ledger) Check(after Aftermath) Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := Verdict{
		Missing: map[string][]string{}, Stranded: map[string][]string{}, OutOfOrder: map[string][]string{}, Doubled: map[string]int{},
	}
	stored := l.examine(&v, "the stream", after.Stored)
	for name, times := range stored {
		if times > 1 {
			v.StoredTwice = append(v.StoredTwice, name.String())
		}
	}
	for name, s := range l.sent {
		if s.answered && stored[name] == 0 {
			v.Lost = append(v.Lost, name.String())
		}
	}
	for _, subscriber := range slices.Sorted(maps.Keys(after.Waiting)) {
		l.checkSubscriber(&v, subscriber, after, stored)
	}
	slices.Sort(v.Lost)
	slices.Sort(v.StoredTwice)
	return v
}

// examine counts whose bodies these are, and names those that are nobody's.
func (l *Ledger) examine(v *Verdict, where string, bodies [][]byte) map[Name]int {
	counts := make(map[Name]int, len(bodies))
	for _, body := range bodies {
		name, known := NameOf(body)
		if l.judge(v, where, arrival{name: name, known: known, sum: sha256.Sum256(body)}) {
			counts[name]++
		}
	}
	return counts
}

// judge reports whether a body is one that was sent.
func (l *Ledger) judge(v *Verdict, where string, a arrival) bool {
	own := l.sent[a.name]
	switch {
	case !a.known:
		v.Foreign = append(v.Foreign, fmt.Sprintf("a body without a name (sha256 %x) in %s", a.sum[:4], where))
	case own == nil:
		v.Foreign = append(v.Foreign, fmt.Sprintf("%s in %s", a.name, where))
	case own.sum != a.sum:
		v.Altered = append(v.Altered, fmt.Sprintf("%s in %s", a.name, where))
	default:
		return true
	}
	return false
}

func (l *Ledger) checkSubscriber(v *Verdict, subscriber string, after Aftermath, stored map[Name]int) {
	got := l.arrived(v, subscriber)
	for name := range l.examine(v, "the dead letters of "+subscriber, after.Dead[subscriber]) {
		got[name]++
	}
	var absent []Name
	for name, s := range l.sent {
		if got[name] == 0 && (s.answered || stored[name] > 0) {
			absent = append(absent, name)
		}
	}
	slices.SortFunc(absent, func(a, b Name) int {
		return cmp.Or(strings.Compare(a.Interaction, b.Interaction), cmp.Compare(a.Number, b.Number))
	})
	for _, name := range absent {
		if stored[name] > 0 && after.Waiting[subscriber] == 0 {
			v.Stranded[subscriber] = append(v.Stranded[subscriber], name.String())
		} else {
			v.Missing[subscriber] = append(v.Missing[subscriber], name.String())
		}
	}
}

// arrived counts what a subscriber took, and sees whether it came in order.
func (l *Ledger) arrived(v *Verdict, subscriber string) map[Name]int {
	got, latest := map[Name]int{}, map[string]int{}
	for _, a := range l.arrivals[subscriber] {
		if !l.judge(v, "what "+subscriber+" got", a) {
			continue
		}
		if got[a.name]++; got[a.name] > 1 {
			v.Doubled[subscriber]++
			continue
		}
		if before, any := latest[a.name.Interaction]; any && a.name.Number < before {
			v.OutOfOrder[subscriber] = append(v.OutOfOrder[subscriber], a.name.String())
			continue
		}
		latest[a.name.Interaction] = a.name.Number
	}
	return got
}

// Err is nil if every answered event is stored once and unchanged, and every subscriber has it or its dead letter, in order.
func (v Verdict) Err() error {
	var all []string
	add := func(what string, names []string) {
		if len(names) > 0 {
			all = append(all, fmt.Sprintf("%d %s: %s", len(names), what, some(names)))
		}
	}
	add("answered and not stored", v.Lost)
	add("stored twice", v.StoredTwice)
	add("altered", v.Altered)
	add("never sent", v.Foreign)
	for _, of := range []struct {
		what  string
		names map[string][]string
	}{{"missing at", v.Missing}, {"stranded for", v.Stranded}, {"out of order at", v.OutOfOrder}} {
		for _, subscriber := range slices.Sorted(maps.Keys(of.names)) {
			add(of.what+" "+subscriber, of.names[subscriber])
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(all, "; "))
}

// some is the first few of many.
func some(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:few], ", ") + ", …"
}
