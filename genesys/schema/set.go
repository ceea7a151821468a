package schema

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
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
	names    map[string]bool
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
	c := &checked{schema: compiled, integers: tellsIntegers(document), names: make(map[string]bool)}
	namesOf(document, c.names)
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

// Violation is what a schema has against an event. It names places and rules and repeats nothing of
// the event, neither its values nor the names of members that the schema does not name: it may be logged.
type Violation struct {
	// Pointer is the place in the content (RFC 6901), "" for all of it. A "*" stands for a member that
	// the schema does not name: where names are data, as in an object by telephone number, they are secret.
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
	shape := shapeOf(content)
	if shape.extreme {
		return &Violation{Problem: "has a number that is too large or too small to look at"}
	}
	known := c.shapes != nil && !(shape.fraction && c.integers)
	if known {
		if _, good := c.shapes.Get(shape.hash); good {
			return nil
		}
	}
	if err := c.check(content); err != nil {
		return err
	}
	if known {
		c.shapes.Add(shape.hash, struct{}{})
	}
	return nil
}

// check looks at every value. A null that is not wanted counts as if its field were not there.
func (c *checked) check(content string) error {
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(content))
	if err != nil {
		return &Violation{Problem: "it is no JSON"}
	}
	failed, err := c.validate(document)
	if failed == nil || err != nil {
		return err
	}
	if dropNulls(document, failed) {
		if failed, err = c.validate(document); failed == nil || err != nil {
			return err
		}
	}
	return c.violation(failed, document)
}

// validate has the library's answer. The library is given what anybody could have signed: should it
// ever panic, the event is in the wrong, and not lost.
func (c *checked) validate(document any) (failed *jsonschema.ValidationError, err error) {
	defer func() {
		if recover() != nil {
			failed, err = nil, &Violation{Problem: "it can't be checked"}
		}
	}()
	invalid := c.schema.Validate(document)
	if invalid == nil {
		return nil, nil
	}
	if failed, ok := errors.AsType[*jsonschema.ValidationError](invalid); ok {
		return failed, nil
	}
	return nil, &Violation{Problem: "it can't be checked"}
}

// dropNulls takes the fields out of a document that are null and were complained about. It reports
// whether there were any.
func dropNulls(document any, failed *jsonschema.ValidationError) bool {
	dropped := false
	for leaf := range leaves(failed) {
		if object, name, ok := memberAt(document, leaf.InstanceLocation); ok {
			if value, there := object[name]; there && value == nil {
				delete(object, name)
				dropped = true
			}
		}
	}
	return dropped
}

// memberAt finds the object that has the member at a place.
func memberAt(document any, location []string) (object map[string]any, name string, ok bool) {
	for i, token := range location {
		switch v := document.(type) {
		case map[string]any:
			if i == len(location)-1 {
				return v, token, true
			}
			document = v[token]
		case []any:
			n, err := strconv.Atoi(token)
			if err != nil || n < 0 || n >= len(v) {
				return nil, "", false
			}
			document = v[n]
		default:
			return nil, "", false
		}
	}
	return nil, "", false
}

// violation is the first of the rules that were broken, in the order of their places, without what the
// library tells of values.
func (c *checked) violation(failed *jsonschema.ValidationError, document any) error {
	var first *jsonschema.ValidationError
	for leaf := range leaves(failed) {
		if first == nil || comesBefore(leaf, first) {
			first = leaf
		}
	}
	return &Violation{Pointer: c.pointer(first.InstanceLocation, document), Problem: problem(first)}
}

func comesBefore(a, b *jsonschema.ValidationError) bool {
	if by := slices.Compare(a.InstanceLocation, b.InstanceLocation); by != 0 {
		return by < 0
	}
	return problem(a) < problem(b)
}

// leaves are the errors that have no others as their causes; there is at least one.
func leaves(failed *jsonschema.ValidationError) iter.Seq[*jsonschema.ValidationError] {
	return func(yield func(*jsonschema.ValidationError) bool) { eachLeaf(failed, yield) }
}

func eachLeaf(failed *jsonschema.ValidationError, yield func(*jsonschema.ValidationError) bool) bool {
	for _, cause := range failed.Causes {
		if !eachLeaf(cause, yield) {
			return false
		}
	}
	return len(failed.Causes) > 0 || yield(failed)
}

func problem(failed *jsonschema.ValidationError) string {
	switch k := failed.ErrorKind.(type) {
	case *kind.Required:
		return "lacks " + strings.Join(slices.Sorted(slices.Values(k.Missing)), ", ")
	case *kind.Type:
		return "is " + k.Got + ", not " + strings.Join(slices.Sorted(slices.Values(k.Want)), " or ")
	}
	return "violates " + strings.Join(failed.ErrorKind.KeywordPath(), "/")
}

// pointer is a place in the document.
func (c *checked) pointer(location []string, document any) string {
	var b strings.Builder
	for _, token := range location {
		if object, isObject := document.(map[string]any); isObject {
			document = object[token]
			if !c.names[token] {
				token = anyMember
			}
		} else if list, isList := document.([]any); isList {
			document = nil
			if n, err := strconv.Atoi(token); err == nil && n >= 0 && n < len(list) {
				document = list[n]
			}
		}
		b.WriteString("/" + escapePointer(token))
	}
	return b.String()
}

// anyMember stands in a pointer for a name that is not told.
const anyMember = "*"
