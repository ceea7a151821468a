package mesh

import (
	"fmt"
	"slices"
	"strings"
)

// The templates of a source that gives none.
const (
	DefaultSubject   Template = "{source}.{partition}.{type}.{media}.{interaction}"
	DefaultDedupeKey Template = "{interaction}"
)

// addressing is a source's compiled templates.
type addressing struct {
	subject, key []piece
	// byDefault says that a template is the default one, which is rendered without a loop.
	subjectByDefault, keyByDefault bool
}

// piece is a literal text or, if placeholder is set, a value of the event.
type piece struct{ literal, placeholder string }

// address sets the event's Stream, Subject and Key by the source's templates, and bounds its
// values first.
func (s *Source) address(e *Event) {
	e.bound()
	a := s.addressing
	if a == nil {
		a = s.mustCompile()
	}
	partition := Partition(e.Interaction)
	e.Stream = s.Stream
	if a.subjectByDefault {
		e.Subject = Token(e.Source) + "." + partition + "." + Token(e.Type) + "." +
			Token(e.Media) + "." + Token(e.Interaction)
	} else {
		e.Subject = renderSubject(a.subject, e, partition)
	}
	if a.keyByDefault {
		e.Key = e.Interaction
	} else {
		e.Key = renderKey(a.key, e)
	}
}

func renderSubject(pieces []piece, e *Event, partition string) string {
	var b strings.Builder
	for _, p := range pieces {
		switch p.placeholder {
		case "":
			b.WriteString(p.literal)
		case "partition":
			b.WriteString(partition)
		default:
			b.WriteString(Token(e.placeholder(p.placeholder)))
		}
	}
	return b.String()
}

func renderKey(pieces []piece, e *Event) string {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.literal + e.placeholder(p.placeholder))
	}
	return b.String()
}

// placeholders are what a template may name.
func placeholders() []string {
	return []string{"source", "partition", "type", "media", "interaction", "organization", "id", "fingerprint"}
}

func (e *Event) placeholder(name string) string {
	switch name {
	case "source":
		return e.Source
	case "type":
		return e.Type
	case "media":
		return e.Media
	case "interaction":
		return e.Interaction
	case "organization":
		return e.Organization
	case "id":
		return e.ID
	case "fingerprint":
		return e.Fingerprint
	}
	return ""
}

// compile compiles both templates.
func (s *Source) compile() (*addressing, error) {
	subject, err := s.subjectTemplate().compileSubject()
	if err != nil {
		return nil, err
	}
	key, err := s.dedupeKey().compileKey()
	if err != nil {
		return nil, err
	}
	return &addressing{
		subject: subject, subjectByDefault: s.subjectTemplate() == DefaultSubject,
		key: key, keyByDefault: s.dedupeKey() == DefaultDedupeKey,
	}, nil
}

// mustCompile serves a source that ParseTopology has not made.
func (s *Source) mustCompile() *addressing {
	a, err := s.compile()
	if err != nil {
		panic(fmt.Sprintf("mesh: source %q was not checked by ParseTopology: %v", s.Name, err))
	}
	return a
}

func (s *Source) subjectTemplate() Template {
	if s.Subject == "" {
		return DefaultSubject
	}
	return s.Subject
}

func (s *Source) dedupeKey() Template {
	if s.DedupeKey == "" {
		return DefaultDedupeKey
	}
	return s.DedupeKey
}

// pattern is the subject, with wildcards, that matches all subjects of the source's events.
func (s *Source) pattern() string {
	parts := strings.Split(string(s.subjectTemplate()), ".")
	for i, part := range parts {
		switch {
		case part == "{source}":
			parts[i] = Token(s.Name)
		case strings.HasPrefix(part, "{"):
			parts[i] = "*"
		}
	}
	return strings.Join(parts, ".")
}

// split cuts a template into its pieces.
func (t Template) split() ([]piece, error) {
	var pieces []piece
	for text := string(t); text != ""; {
		literal, rest, found := strings.Cut(text, "{")
		if literal != "" {
			pieces = append(pieces, piece{literal: literal})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf(`"{" without "}"`)
		}
		if !slices.Contains(placeholders(), name) {
			return nil, fmt.Errorf("unknown placeholder {%s}; %s", name, didYouMean(name, placeholders()))
		}
		pieces = append(pieces, piece{placeholder: name})
		text = after
	}
	return pieces, nil
}

// maxSubjectTokens bounds a subject template.
const maxSubjectTokens = 12

func (t Template) compileSubject() ([]piece, error) {
	const start = "{source}.{partition}."
	if !strings.HasPrefix(string(t), start) {
		return nil, fmt.Errorf("a subject must begin with %q, so that it can be found by its interaction", start)
	}
	if strings.Count(string(t), ".") >= maxSubjectTokens {
		return nil, fmt.Errorf("a subject has at most %d parts", maxSubjectTokens)
	}
	for _, part := range strings.Split(string(t), ".") {
		if err := checkSubjectPart(part); err != nil {
			return nil, err
		}
	}
	return t.split()
}

func checkSubjectPart(part string) error {
	pieces, err := Template(part).split()
	switch {
	case err != nil:
		return err
	case len(pieces) == 1 && pieces[0].placeholder == "" && isSafe(part):
		return nil
	case len(pieces) != 1 || pieces[0].placeholder == "":
		return fmt.Errorf("the part %q is neither one {placeholder} nor letters, digits, - and _", part)
	case pieces[0].placeholder == "id" || pieces[0].placeholder == "fingerprint":
		return fmt.Errorf("{%s} can't stand in a subject: each event would have its own", pieces[0].placeholder)
	}
	return nil
}

// maxKeyBytes bounds a dedupe_key template.
const maxKeyBytes = 256

func (t Template) compileKey() ([]piece, error) {
	if len(t) > maxKeyBytes {
		return nil, fmt.Errorf("a dedupe_key has at most %d bytes", maxKeyBytes)
	}
	pieces, err := t.split()
	if err != nil {
		return nil, err
	}
	names := t.names(pieces)
	if slices.Contains(names, "partition") {
		return nil, fmt.Errorf("{partition} can't stand in a dedupe_key: {interaction} already tells it")
	}
	if !slices.ContainsFunc(names, func(n string) bool { return n == "interaction" || n == "id" || n == "fingerprint" }) {
		return nil, fmt.Errorf("a dedupe_key needs {interaction}, {id} or {fingerprint}: without, different events would be duplicates")
	}
	return pieces, nil
}

func (Template) names(pieces []piece) []string {
	names := make([]string, len(pieces))
	for i, p := range pieces {
		names[i] = p.placeholder
	}
	return names
}
