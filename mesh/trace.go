package mesh

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// trace tells the messages of one interaction from others.
type trace struct {
	interaction string // as the envelope has it
	source      string // "" is any
	// at is where the interaction stands in the subjects of each source, by the subjects' first token.
	at map[string]int
}

func (t *Topology) trace(interaction, source string) (trace, error) {
	if interaction == "" {
		return trace{}, errors.New("name an interaction: an empty id names none")
	}
	if _, ok := t.source(source); source != "" && !ok {
		return trace{}, fmt.Errorf("there is no source %q in streams.json; %s", source, didYouMean(source, t.sourceNames()))
	}
	e := Event{Interaction: interaction}
	e.bound()
	tr := trace{interaction: e.Interaction, source: source, at: map[string]int{}}
	for i := range t.Sources {
		s := &t.Sources[i]
		tr.at[Token(s.Name)] = slices.Index(s.subjectTemplate().parts(), "{interaction}")
	}
	return tr, nil
}

func (t *Topology) source(name string) (*Source, bool) {
	i := slices.IndexFunc(t.Sources, func(s Source) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	return &t.Sources[i], true
}

func (t *Topology) sourceNames() []string {
	var names []string
	for _, s := range t.Sources {
		names = append(names, s.Name)
	}
	return names
}

// envelope is as much of a message as tells whose it is.
type envelope struct{ source, organization string }

// match reports whether a message is of the interaction. The envelope decides; of what has none, the
// subject that it was first stored under.
func (tr trace) match(subject string, header nats.Header) (envelope, bool) {
	subject = cmp.Or(header.Get(headerDeadSubject), originalSubject(subject))
	var e envelope
	var interaction string
	for name, value := range map[string]*string{
		HeaderSource: &e.source, HeaderOrganization: &e.organization, HeaderInteraction: &interaction,
	} {
		*value, _ = unescapeHeader(header.Get(name)) // what can't be read names nothing
	}
	tokens := strings.Split(subject, ".")
	if e.source == "" {
		e.source, _ = Untoken(tokens[0])
	}
	if tr.source != "" && e.source != tr.source {
		return e, false
	}
	if interaction != "" {
		return e, interaction == tr.interaction
	}
	at, known := tr.at[tokens[0]]
	return e, known && at > 0 && at < len(tokens) && tokens[at] == Token(tr.interaction)
}

// interactionPattern is the narrowest subject, with wildcards, that the source's events of an
// interaction are stored under.
func (s *Source) interactionPattern(interaction string) string {
	parts := strings.Split(s.pattern(), ".")
	for i, part := range s.subjectTemplate().parts() {
		switch part {
		case "{partition}":
			parts[i] = Partition(interaction)
		case "{interaction}":
			parts[i] = Token(interaction)
		}
	}
	return strings.Join(parts, ".")
}
