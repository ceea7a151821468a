package schema

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// Set is the schemas of a source's event types. It is safe for concurrent use.
type Set struct {
	schemas map[string]*checked // by pattern of the event type; nil where there is none
}

// checked is a schema with the shapes that it is known to take.
type checked struct {
	schema *jsonschema.Schema
	// shapes is nil for a schema that looks at values: no shape can tell whether it takes them.
	shapes   *lru.Cache[uint64, struct{}]
	integers bool // it tells whole numbers from others
}

const (
	// none is a reference to no schema.
	none = "none"
	// maxShapes bounds what is remembered for one schema.
	maxShapes = 4096
	// maxSchemaBytes bounds a schema.
	maxSchemaBytes = 1 << 20
)

// Compile reads the schemas for the patterns of a source's event types; see mesh.EventType. A
// reference is "builtin:NAME", a file that open reads, or "none". Schemas refer to nothing outside of
// themselves: neither files nor the network are read for them.
//
// Fields that a schema does not name are welcome unless it says otherwise, and a field that it does
// not require may be null, as if it were not there.
func Compile(references map[string]string, open func(name string) ([]byte, error)) (*Set, error) {
	set := &Set{schemas: make(map[string]*checked, len(references))}
	for pattern, reference := range references {
		if reference == none {
			set.schemas[pattern] = nil
			continue
		}
		raw, err := read(reference, open)
		if err != nil {
			return nil, fmt.Errorf("%s for %q: %w", reference, pattern, err)
		}
		if set.schemas[pattern], err = compile(reference, raw); err != nil {
			return nil, fmt.Errorf("%s for %q: %w", reference, pattern, err)
		}
	}
	return set, nil
}

func read(reference string, open func(name string) ([]byte, error)) ([]byte, error) {
	name, isBuiltin := strings.CutPrefix(reference, builtinPrefix)
	if !isBuiltin {
		return open(reference)
	}
	raw, ok := Builtin(name)
	if !ok {
		return nil, fmt.Errorf("there is no such schema; there are %s", strings.Join(Builtins(), ", "))
	}
	return raw, nil
}

func compile(name string, raw []byte) (*checked, error) {
	if len(raw) > maxSchemaBytes {
		return nil, fmt.Errorf("a schema has at most %d bytes", maxSchemaBytes)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	takeNulls(document)
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(noLoader{})
	const location = "genmesh:///schema.json"
	if err := compiler.AddResource(location, document); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(location)
	if err != nil {
		return nil, err
	}
	c := &checked{schema: compiled, integers: bytes.Contains(raw, []byte(`"integer"`))}
	if looksAtShapeOnly(document) {
		if c.shapes, err = lru.New[uint64, struct{}](maxShapes); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// noLoader refuses references out of a schema.
type noLoader struct{}

var errNoLoader = errors.New("a schema may only refer to itself")

func (noLoader) Load(url string) (any, error) { return nil, fmt.Errorf("%s: %w", url, errNoLoader) }

// Violation is what a schema has against an event. It names places and rules, and no value: it may
// be logged.
type Violation struct {
	// Pointer is the place in the content (RFC 6901), "" for all of it.
	Pointer string
	// Problem is the broken rule.
	Problem string
}

func (v *Violation) Error() string {
	if v.Pointer == "" {
		return v.Problem
	}
	return v.Pointer + ": " + v.Problem
}

// Check says whether content is as the schema for the pattern wants it; a *Violation if it is not. A
// pattern without a schema takes anything. Content is valid JSON without a name twice.
func (s *Set) Check(pattern, content string) error {
	c := s.schemas[pattern]
	if c == nil {
		return nil
	}
	var shape uint64
	known := false
	if c.shapes != nil {
		var fraction bool
		shape, fraction = shapeOf(content)
		known = !fraction || !c.integers
		if _, good := c.shapes.Get(shape); good && known {
			return nil
		}
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(content))
	if err != nil {
		return &Violation{Problem: "it is no JSON"}
	}
	if err := c.schema.Validate(document); err != nil {
		return violation(err)
	}
	if known {
		c.shapes.Add(shape, struct{}{})
	}
	return nil
}

// violation is one of the rules that were broken, always the same, without what the library tells of
// values.
func violation(err error) error {
	failed, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return &Violation{Problem: "it can't be checked"}
	}
	all := leaves(failed, nil)
	first := all[0]
	for _, v := range all[1:] {
		if v.Pointer < first.Pointer || v.Pointer == first.Pointer && v.Problem < first.Problem {
			first = v
		}
	}
	return &first
}

func leaves(failed *jsonschema.ValidationError, into []Violation) []Violation {
	for _, cause := range failed.Causes {
		into = leaves(cause, into)
	}
	if len(failed.Causes) > 0 {
		return into
	}
	v := Violation{Pointer: pointer(failed.InstanceLocation)}
	switch k := failed.ErrorKind.(type) {
	case *kind.Required:
		v.Problem = "lacks " + strings.Join(slices.Sorted(slices.Values(k.Missing)), ", ")
	case *kind.Type:
		v.Problem = "is " + k.Got + ", not " + strings.Join(slices.Sorted(slices.Values(k.Want)), " or ")
	default:
		v.Problem = "violates " + strings.Join(failed.ErrorKind.KeywordPath(), "/")
	}
	return append(into, v)
}

func pointer(location []string) string {
	var b strings.Builder
	for _, token := range location {
		b.WriteString("/" + escapePointer(token))
	}
	return b.String()
}
