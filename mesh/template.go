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
	// keys are those of event types that have their own, by pattern.
	keys map[string][]piece
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
	e.Stream = s.Stream
	e.Key = s.key(a, e)
	partition := Partition(e.Interaction)
	if e.Interaction == "" {
		partition = Partition(e.Key) // such events have no order to keep, and shall not share one partition
	}
	if a.subjectByDefault {
		e.Subject = Token(e.Source) + "." + partition + "." + Token(e.Type) + "." +
			Token(e.Media) + "." + Token(e.Interaction)
	} else {
		e.Subject = renderSubject(a.subject, e, partition)
	}
}

func (s *Source) key(a *addressing, e *Event) string {
	template := a.key
	if len(a.keys) > 0 {
		pattern, _ := s.TypeOf(e.Type)
		if own, ok := a.keys[pattern]; ok {
			template = own
		}
	} else if a.keyByDefault && e.Interaction != "" {
		return e.Interaction
	}
	if !namesOne(template, e) {
		template = contentPieces
	}
	return renderKey(template, e)
}

// contentPieces are the key of an event that has none of the ids that its source's template asks
// for: "{source}:{type}:{fingerprint}".
var contentPieces = []piece{
	{placeholder: "source"}, {literal: ":"}, {placeholder: "type"}, {literal: ":"}, {placeholder: "fingerprint"},
}

// namesOne reports whether the key would tell the event from others: whether it has one of the
// ids that the template asks for.
func namesOne(key []piece, e *Event) bool {
	return slices.ContainsFunc(key, func(p piece) bool {
		return (p.placeholder == "interaction" || p.placeholder == "id" || p.placeholder == "fingerprint") &&
			e.placeholder(p.placeholder) != ""
	})
}

func renderSubject(pieces []piece, e *Event, partition string) string {
	var b strings.Builder
	for _, p := range pieces {
		switch p.placeholder {
		case "":
			b.WriteString(p.literal)
		case "partition":
			b.WriteString(partition)
		case typeParts:
			b.WriteString(typeTokens(e.Type))
		default:
			b.WriteString(Token(e.placeholder(p.placeholder)))
		}
	}
	return b.String()
}

// typeParts is the placeholder that makes a token of each part of the event type, so that filters
// can tell "v2.users.*.presence" from the rest. It stands last.
const typeParts = "type..."

// maxTypeTokens bounds the tokens of one type; the last of them takes the rest.
const maxTypeTokens = 12

func typeTokens(eventType string) string {
	parts := strings.SplitN(eventType, ".", maxTypeTokens)
	for i, part := range parts {
		parts[i] = Token(part)
	}
	return strings.Join(parts, ".")
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
	return []string{"source", "partition", "type", typeParts, "media", "interaction", "organization", "id", "fingerprint"}
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
	a := &addressing{
		subject: subject, subjectByDefault: s.subjectTemplate() == DefaultSubject,
		key: key, keyByDefault: s.dedupeKey() == DefaultDedupeKey,
	}
	for pattern, t := range s.EventTypes {
		if t.DedupeKey == "" {
			continue
		}
		own, err := t.DedupeKey.compileKey()
		if err != nil {
			return nil, fmt.Errorf("event_types %q: %w", pattern, err)
		}
		if a.keys == nil {
			a.keys = make(map[string][]piece)
		}
		a.keys[pattern] = own
	}
	return a, nil
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
	parts := s.subjectTemplate().parts()
	for i, part := range parts {
		switch {
		case part == "{source}":
			parts[i] = Token(s.Name)
		case part == "{"+typeParts+"}":
			parts[i] = ">"
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
	parts := t.parts()
	if len(parts) > maxSubjectTokens {
		return nil, fmt.Errorf("a subject has at most %d parts", maxSubjectTokens)
	}
	for i, part := range parts {
		if err := checkSubjectPart(part); err != nil {
			return nil, err
		}
		if part == "{"+typeParts+"}" && i != len(parts)-1 {
			return nil, fmt.Errorf("{%s} must be the last part: it becomes several", typeParts)
		}
	}
	return t.split()
}

// parts are the dotted parts of a subject template.
func (t Template) parts() []string {
	const kept = "{type\x00"
	parts := strings.Split(strings.ReplaceAll(string(t), "{"+typeParts+"}", kept+"}"), ".")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(part, kept+"}", "{"+typeParts+"}")
	}
	return parts
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
	if slices.Contains(names, typeParts) {
		return nil, fmt.Errorf("write {type} in a dedupe_key: it is no subject")
	}
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
