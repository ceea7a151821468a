package workers

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/genmesh/genmesh/mesh"
)

// Fault is something that went wrong between a subscriber and its target, as often as it did.
type Fault struct {
	// Class is "failed", "rejected" or "waits" for what an attempt came to, "unusable" for a wait that would meet every event alike,
	// "shape", "unreadable" or "abandoned" for what became a dead letter without one, and "unburied" for a dead letter that
	// could not be stored.
	Class string
	// Status is the target's status code; 0 if it gave none.
	Status int
	// Text is the newest error and what the target answered: one printable line of at most 300 bytes, without the
	// password or query of a URL.
	Text        string
	Count       uint64
	First, Last time.Time
	// Stream and Sequence are the place of the event that met it last; of a replayed one, where it was first stored.
	Stream   string
	Sequence uint64
}

// The classes of faults that are no outcome of an attempt and no reason of a dead letter.
const (
	faultUnusable = "unusable"
	faultUnburied = "unburied"
)

const (
	// maxFaults bounds the different faults of a subscriber that are remembered: the latest ones.
	maxFaults     = 20
	maxFaultBytes = 300
)

// faults remembers the latest different faults of one subscriber. Only what fails comes here.
type faults struct {
	mu     sync.Mutex
	latest []knownFault // the newest last
}

// knownFault is a fault and what tells it from others.
type knownFault struct {
	Fault
	kind string
}

// Faults are the latest different faults of each subscriber that had any in this process, the newest first. At most 20 of one subscriber are
// remembered; two are the same if they differ in nothing but numbers and ids. It may be called at any time.
func (m *Metrics) Faults() map[string][]Fault {
	m.faultsMu.Lock()
	defer m.faultsMu.Unlock()
	all := make(map[string][]Fault, len(m.faults))
	for subscriber, of := range m.faults {
		if list := of.list(); len(list) > 0 {
			all[subscriber] = list
		}
	}
	return all
}

// faultsOf are those of a subscriber, which its runners share, one after another.
func (m *Metrics) faultsOf(subscriber string) *faults {
	m.faultsMu.Lock()
	defer m.faultsMu.Unlock()
	if m.faults[subscriber] == nil {
		m.faults[subscriber] = &faults{}
	}
	return m.faults[subscriber]
}

func (f *faults) list() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]Fault, 0, len(f.latest))
	for _, known := range slices.Backward(f.latest) {
		list = append(list, known.Fault)
	}
	return list
}

// note counts a fault that an event met.
func (f *faults) note(class string, e *mesh.Event, err error) {
	now := time.Now()
	status, text := faultWords(err)
	at := e.FirstPlace()
	next := knownFault{kind: withoutIDs(text), Fault: Fault{
		Class: class, Status: status, Text: text, Count: 1, First: now, Last: now, Stream: at.Stream, Sequence: at.Sequence,
	}}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, known := range f.latest {
		if known.Class == class && known.Status == status && known.kind == next.kind {
			next.Count, next.First = known.Count+1, known.First
			f.latest = slices.Delete(f.latest, i, i+1)
			break
		}
	}
	if len(f.latest) == maxFaults {
		f.latest = slices.Delete(f.latest, 0, 1)
	}
	f.latest = append(f.latest, next)
}

// noteAttempt counts what an attempt came to, unless the target took the event.
func (m *subscriberMetrics) noteAttempt(e *mesh.Event, fate Fate, err error) {
	if fate != Done {
		m.faults.note(classOf(fate, err), e, err)
	}
}

// classOf names what an attempt came to.
func classOf(fate Fate, err error) string {
	switch {
	case fate == Done:
		return outcomeDelivered
	case fate == Refuse:
		return outcomeRejected
	case fate == Retry: // also what is unusable for one event alone
		return outcomeFailed
	case isUnusable(err):
		return faultUnusable
	}
	return outcomeWaits
}

// noteBurial counts a dead letter that no attempt led to; an attempt's own error was counted with it.
func (m *subscriberMetrics) noteBurial(e *mesh.Event, reason mesh.DeadReason, cause error) {
	switch reason {
	case mesh.DeadShape, mesh.DeadUnreadable, mesh.DeadAbandoned:
		m.faults.note(string(reason), e, cause)
	}
}

// faultWords are the target's status and words.
func faultWords(err error) (status int, text string) {
	text = err.Error()
	if failure, ok := errors.AsType[*Failure](err); ok {
		status = failure.Status
		if len(failure.Answer) > 0 {
			// What is cut off later need not be looked at.
			text += ": " + string(failure.Answer[:min(len(failure.Answer), maxFaultBytes)])
		}
	}
	return status, cutLine(withoutURLSecrets(text[:min(len(text), 4*maxFaultBytes)]), maxFaultBytes)
}

// What may be secret in a URL.
var (
	urlUserinfo = regexp.MustCompile(`://[^\s/?#"'<>]*@`)
	urlQuery    = regexp.MustCompile(`(://[^\s?"'<>]*)\?[^\s"'<>]*`)
)

// withoutURLSecrets is text without the userinfo and query of its URLs. Targets hide theirs already; a handler in code may not.
func withoutURLSecrets(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return urlQuery.ReplaceAllString(urlUserinfo.ReplaceAllString(text, "://"), "$1")
}

// cutLine is text on one line without what a terminal acts on, and its beginning if it is longer than maxBytes.
func cutLine(text string, maxBytes int) string {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return ' '
	}, text)
	line := strings.Join(strings.Fields(printable), " ")
	if len(line) <= maxBytes {
		return line
	}
	const more = "…"
	return strings.ToValidUTF8(line[:maxBytes-len(more)], "") + more
}

// withoutIDs is text with "#" for each word that has a digit in it: what differs in nothing else is one fault.
func withoutIDs(text string) string {
	var b strings.Builder
	b.Grow(len(text))
	start, hasDigit := 0, false
	flush := func(end int) {
		if hasDigit {
			b.WriteByte('#')
		} else {
			b.WriteString(text[start:end])
		}
	}
	for i, r := range text {
		switch {
		case unicode.IsDigit(r):
			hasDigit = true
		case !unicode.IsLetter(r) && r != '-' && r != '_':
			flush(i)
			b.WriteRune(r)
			start, hasDigit = i+len(string(r)), false
		}
	}
	flush(len(text))
	return b.String()
}
