package mesh

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// node is a JSON value that remembers where it stands.
type node struct {
	kind jsontext.Kind
	// at is the byte offset of the value, or of the preset's name for what a preset gave.
	at int64
	// text is a string's value, or a number as it is written.
	text     string
	members  []member // of an object, in order; names are unique
	elements []*node  // of an array
}

type member struct {
	name  string
	at    int64
	value *node
}

func (n *node) member(name string) *node {
	if n == nil {
		return nil
	}
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

func (n *node) remove(name string) {
	n.members = slices.DeleteFunc(n.members, func(m member) bool { return m.name == name })
}

// The kinds of JSON values.
const (
	kindNull   = jsontext.Kind('n')
	kindFalse  = jsontext.Kind('f')
	kindTrue   = jsontext.Kind('t')
	kindString = jsontext.Kind('"')
	kindNumber = jsontext.Kind('0')
	kindObject = jsontext.Kind('{')
	kindArray  = jsontext.Kind('[')
)

// describe names a value in the words of a message, without its content.
func (n *node) describe() string {
	switch n.kind {
	case kindString:
		return "a string"
	case kindNumber:
		return "a number"
	case kindObject:
		return "an object"
	case kindArray:
		return "a list"
	case kindNull:
		return "null"
	}
	return "true or false"
}

// maxDepth bounds how deep a streams.json nests; its own fields need 5 levels.
const maxDepth = 16

// maxMembers bounds the fields of one object.
const maxMembers = 512

// parseTree reads a whole JSON document. What is wrong with its syntax goes into r; the tree
// then is nil, unless reading could go on.
func parseTree(data []byte, r *report) *node {
	p := treeParser{
		report: r,
		dec: jsontext.NewDecoder(bytes.NewReader(data),
			jsontext.AllowDuplicateNames(true)), // reported by object, with the rest
		data: data,
	}
	root, err := p.value("", 1)
	if err == nil {
		if _, err = p.next(); err == io.EOF {
			return root
		}
		if err == nil {
			r.add(p.start(), "", "there is more text after the document's end", "remove it")
			return root
		}
	}
	p.syntax(err)
	return nil
}

type treeParser struct {
	*report
	dec  *jsontext.Decoder
	data []byte
	from int64 // where the token read last may begin, white space and separators included
}

func (p *treeParser) next() (jsontext.Token, error) {
	p.from = p.dec.InputOffset()
	return p.dec.ReadToken()
}

// start is the offset of the token that was read last.
func (p *treeParser) start() int64 {
	skipped := len(p.data[p.from:]) - len(bytes.TrimLeft(p.data[p.from:], " \t\r\n,:"))
	return p.from + int64(skipped)
}

// The limits that end the reading.
var (
	errTooDeep = fmt.Errorf("the document nests too deep: at most %d levels are read", maxDepth)
	errTooWide = fmt.Errorf("an object has too many fields: at most %d are read", maxMembers)
)

func (p *treeParser) value(path string, depth int) (*node, error) {
	token, err := p.next()
	if err != nil {
		return nil, err
	}
	n := &node{kind: token.Kind(), at: p.start()}
	switch {
	case depth > maxDepth:
		return nil, errTooDeep
	case n.kind == kindObject:
		err = p.object(n, path, depth)
	case n.kind == kindArray:
		err = p.array(n, path, depth)
	default:
		n.text = token.String()
	}
	return n, err
}

func (p *treeParser) object(n *node, path string, depth int) error {
	for p.dec.PeekKind() != '}' {
		token, err := p.next()
		if err != nil {
			return err
		}
		if len(n.members) == maxMembers {
			return errTooWide
		}
		name, at := token.String(), p.start()
		inner := join(path, name)
		value, err := p.value(inner, depth+1)
		if err != nil {
			return err
		}
		if n.member(name) != nil {
			p.add(at, inner, "the field stands here twice", "remove one")
			continue
		}
		n.members = append(n.members, member{name, at, value})
	}
	_, err := p.next()
	return err
}

func (p *treeParser) array(n *node, path string, depth int) error {
	for p.dec.PeekKind() != ']' {
		element, err := p.value(index(path, len(n.elements)), depth+1)
		if err != nil {
			return err
		}
		n.elements = append(n.elements, element)
	}
	_, err := p.next()
	return err
}

// syntax reports the error that ended the reading.
func (p *treeParser) syntax(err error) {
	var syntactic *jsontext.SyntacticError
	switch {
	case errors.As(err, &syntactic):
		problem := strings.TrimPrefix(syntactic.Err.Error(), "jsontext: ")
		p.add(syntactic.ByteOffset, "", "not JSON: "+problem, "")
	case errors.Is(err, errTooDeep), errors.Is(err, errTooWide):
		p.add(p.start(), "", err.Error(), "")
	default:
		p.add(int64(len(p.data)), "", "not JSON: the document ends too early", "")
	}
}

// merge gives object the fields of defaults that it lacks, objects field by field. Merged
// values stand where at is.
func (n *node) merge(defaults *node, at int64) {
	for _, m := range defaults.members {
		own := n.member(m.name)
		switch {
		case own == nil:
			n.members = append(n.members, member{m.name, at, m.value.movedTo(at)})
		case own.kind == kindObject && m.value.kind == kindObject:
			own.merge(m.value, at)
		}
	}
}

// movedTo is a copy of the value that stands at one place.
func (n *node) movedTo(at int64) *node {
	c := &node{kind: n.kind, at: at, text: n.text, members: slices.Clone(n.members)}
	for i := range c.members {
		c.members[i].at, c.members[i].value = at, c.members[i].value.movedTo(at)
	}
	for _, e := range n.elements {
		c.elements = append(c.elements, e.movedTo(at))
	}
	return c
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
