package shape

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// document is a JSON text with an index of its values, in the order of the text. It is read once for all three steps, and the
// text stays what it is: what is not redacted is copied byte for byte.
type document struct {
	text  string
	nodes []node
}

// node is one value of a document. The values inside it are the nodes after it, up to next.
type node struct {
	kind     jsontext.Kind
	from, to int // the value is text[from:to]
	// name is the member's, decoded, and nameFrom where it begins; "" and -1 for elements and for the document itself.
	name     string
	nameFrom int
	next     int // the index of the first node that isn't inside this one
}

const (
	kindNull   = jsontext.Kind('n')
	kindFalse  = jsontext.Kind('f')
	kindTrue   = jsontext.Kind('t')
	kindString = jsontext.Kind('"')
	kindNumber = jsontext.Kind('0')
	kindObject = jsontext.Kind('{')
	kindArray  = jsontext.Kind('[')
)

// parseDocument reads a JSON text strictly (RFC 8259, valid UTF-8, one value), but for names that come twice: redaction has to hide
// both. Its error says where the text goes wrong and shows none of it.
func parseDocument(body []byte) (*document, error) {
	d := &document{text: string(body), nodes: make([]node, 0, 16+len(body)/24)}
	p := indexer{document: d, decoder: jsontext.NewDecoder(strings.NewReader(d.text), jsontext.AllowDuplicateNames(true))}
	if err := p.values(); err != nil {
		return nil, err
	}
	return d, nil
}

// indexer fills a document's index from its tokens.
type indexer struct {
	*document
	decoder *jsontext.Decoder
	open    []int // the objects and arrays around, by index
	end     int   // where the latest token ended
	name    string
	nameAt  int
	named   bool // the next token is the value of a member whose name was read
}

func (p *indexer) values() error {
	for {
		token, err := p.decoder.ReadToken()
		switch {
		case errors.Is(err, io.EOF) && len(p.nodes) > 0 && len(p.open) == 0:
			return nil
		case err != nil:
			return p.notJSON(err)
		case len(p.open) == 0 && len(p.nodes) > 0:
			return fmt.Errorf("the body is not JSON: there is more than one value, from byte %d on", p.end)
		}
		from := p.begin()
		p.end = int(p.decoder.InputOffset())
		p.add(token.Kind(), from, p.end)
	}
}

// notJSON leaves out the decoder's own words: they quote the text.
func (p *indexer) notJSON(err error) error {
	at := p.decoder.InputOffset()
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		at = syntax.ByteOffset
	}
	return fmt.Errorf("the body is not JSON: it goes wrong at byte %d of %d", at, len(p.text))
}

// begin is where the token that was just read begins: after what may stand between two tokens.
func (p *indexer) begin() int {
	at := p.end
	for at < len(p.text) && strings.IndexByte(" \t\r\n,:", p.text[at]) >= 0 {
		at++
	}
	return at
}

func (p *indexer) add(kind jsontext.Kind, from, to int) {
	if kind == '}' || kind == ']' {
		last := len(p.open) - 1
		p.nodes[p.open[last]].to = to
		p.nodes[p.open[last]].next = len(p.nodes)
		p.open = p.open[:last]
		return
	}
	if !p.named && len(p.open) > 0 && p.nodes[p.open[len(p.open)-1]].kind == kindObject {
		p.name, p.nameAt, p.named = unquote(p.text[from:to]), from, true
		return
	}
	n := node{kind: kind, from: from, to: to, nameFrom: -1, next: len(p.nodes) + 1}
	if p.named {
		n.name, n.nameFrom, p.named = p.name, p.nameAt, false
	}
	if kind == kindObject || kind == kindArray {
		p.open = append(p.open, len(p.nodes))
	}
	p.nodes = append(p.nodes, n)
}

// unquote is the text of a JSON string that was read already. It shares the memory of a string without escapes.
func unquote(quoted string) string {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, quoted) // the decoder has found it valid
	return string(text)
}

func (d *document) raw(i int) string { return d.text[d.nodes[i].from:d.nodes[i].to] }

// children are the indexes of the values right inside an object or array.
func (d *document) children(i int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for child := i + 1; child < d.nodes[i].next; child = d.nodes[child].next {
			if !yield(child) {
				return
			}
		}
	}
}

// member is the value of an object's member. If the name comes twice, the last counts, as in most readers of JSON.
func (d *document) member(i int, name string) (found int, ok bool) {
	if d.nodes[i].kind != kindObject {
		return 0, false
	}
	for child := range d.children(i) {
		if d.nodes[child].name == name {
			found, ok = child, true
		}
	}
	return found, ok
}

// element is the value at an index of an array; a negative one counts from the end.
func (d *document) element(i, index int) (int, bool) {
	if d.nodes[i].kind != kindArray {
		return 0, false
	}
	if index < 0 {
		index += d.length(i)
	}
	at := 0
	for child := range d.children(i) {
		if at == index {
			return child, true
		}
		at++
	}
	return 0, false
}

func (d *document) length(i int) int {
	n := 0
	for range d.children(i) {
		n++
	}
	return n
}
