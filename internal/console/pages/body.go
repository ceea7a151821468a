package pages

import (
	"bytes"
	"encoding/json"
	"html/template"
	"strings"
	"unicode/utf8"

	"github.com/genmesh/genmesh/internal/telemetry"
)

// bodyView is the body of an event, for a page.
type bodyView struct {
	HTML  template.HTML
	Bytes int
	// Kind is "JSON", "text" or "bytes"; "" if there is no body.
	Kind string
	// Hidden is true for who may not see it, Masked where its values are left out, Cut where only its beginning is shown.
	Hidden, Masked, Cut bool
	// Open is true for one that is short enough to be shown at once.
	Open bool
	// AsItCame is the body byte for byte, "" where HTML shows it so already; AsItCameCut where only its beginning is shown.
	AsItCame    template.HTML
	AsItCameCut bool
}

const (
	// maxBodyShown bounds what a page shows of one body, in bytes of the indented text.
	maxBodyShown = 192 << 10
	// maxBodyOpen is up to where a body is shown unfolded.
	maxBodyOpen = 3 << 10
	// maxBodyDepth bounds how deep a body is indented: what is deeper is shown as it came.
	maxBodyDepth = 64
)

func newBody(raw []byte, size int, hidden, masked bool) bodyView {
	b := bodyView{Bytes: max(size, len(raw)), Hidden: hidden, Masked: masked}
	if hidden || len(raw) == 0 {
		return b
	}
	b.Kind = "text"
	if depth(raw) <= maxBodyDepth && json.Valid(raw) {
		b.Kind = "JSON"
		var indented bytes.Buffer
		_ = json.Indent(&indented, raw, "", "  ") // it is valid
		b.show(indented.Bytes(), func(text string) template.HTML { return markedJSON(text, masked) })
		return b
	}
	if !utf8.Valid(raw) {
		b.Kind = "bytes"
	}
	if masked {
		b.HTML, b.Open = template.HTML(masking), true
		return b
	}
	b.show(raw, plainText)
	return b
}

// show writes as much of a text as a page may hold.
func (b *bodyView) show(text []byte, write func(string) template.HTML) {
	b.Cut = len(text) > maxBodyShown
	b.Open = len(text) <= maxBodyOpen
	b.HTML = write(string(beginning(text)))
}

// showAsItCame adds the bytes of a body that was shown otherwise: its signature is over them, and not over how a page indents them.
func (b *bodyView) showAsItCame(raw []byte) {
	if b.Hidden || b.Masked || len(raw) == 0 || b.isAsItCame(raw) {
		return
	}
	b.AsItCame, b.AsItCameCut = eachByte(string(beginning(raw))), len(raw) > maxBodyShown
}

// isAsItCame reports whether a body is shown with the very bytes that came.
func (b *bodyView) isAsItCame(raw []byte) bool {
	if b.Kind != "JSON" {
		return !bytes.Contains(raw, []byte("\r\n"))
	}
	var indented bytes.Buffer
	_ = json.Indent(&indented, raw, "", "  ") // it is valid
	return bytes.Equal(indented.Bytes(), raw)
}

// beginning is as much of a text as a page may hold, up to the end of a character.
func beginning(text []byte) []byte {
	if len(text) <= maxBodyShown {
		return text
	}
	text = text[:maxBodyShown]
	for last := len(text) - 1; last > len(text)-utf8.UTFMax; last-- {
		if utf8.RuneStart(text[last]) && !utf8.FullRune(text[last:]) {
			return text[:last]
		}
	}
	return text
}

// depth is how deep brackets are nested, whatever they mean.
func depth(raw []byte) int {
	now, most := 0, 0
	for _, c := range raw {
		switch c {
		case '{', '[':
			now++
			most = max(most, now)
		case '}', ']':
			now--
		}
	}
	return most
}

// plainText shows text line by line, with what can't be printed escaped.
func plainText(text string) template.HTML { return eachByte(strings.ReplaceAll(text, "\r\n", "\n")) }

// eachByte shows text with everything but the ends of lines escaped that can't be printed, the carriage returns before them, too.
func eachByte(text string) template.HTML {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = template.HTMLEscapeString(telemetry.Printable(line))
	}
	return template.HTML(strings.Join(lines, "\n")) //nolint:gosec // escaped
}

// markedJSON shows indented JSON with its names and values marked, or with its values masked. Text that ends within a value is
// shown up to there.
func markedJSON(text string, masked bool) template.HTML {
	var b strings.Builder
	for i := 0; i < len(text); {
		end := tokenEnd(text, i)
		token := text[i:end]
		class := tokenClass(token, text[end:])
		switch {
		case class == "":
			b.WriteString(template.HTMLEscapeString(token))
		case class != "k" && masked:
			b.WriteString(`<span class="m">` + masking + `</span>`)
		default:
			b.WriteString(`<span class="` + class + `">` + template.HTMLEscapeString(telemetry.PrintableJSON(token)) + `</span>`)
		}
		i = end
	}
	return template.HTML(b.String()) //nolint:gosec // escaped
}

// tokenEnd is where the string, the number or word, or the space and punctuation ends that begins at i.
func tokenEnd(text string, i int) int {
	if text[i] == '"' {
		for j := i + 1; j < len(text); j++ {
			switch text[j] {
			case '\\':
				j++
			case '"':
				return j + 1
			}
		}
		return len(text)
	}
	between := isBetween(text[i])
	for j := i + 1; j < len(text); j++ {
		if text[j] == '"' || isBetween(text[j]) != between {
			return j
		}
	}
	return len(text)
}

func isBetween(c byte) bool { return strings.IndexByte(" \t\r\n{}[],:", c) >= 0 }

// tokenClass is k for a name, s for a string, n for a number, w for true, false and null, and "" for what is between them.
func tokenClass(token, rest string) string {
	switch c := token[0]; {
	case isBetween(c):
		return ""
	case c == '"' && strings.HasPrefix(rest, ":"):
		return "k"
	case c == '"':
		return "s"
	case c == '-' || c >= '0' && c <= '9':
		return "n"
	}
	return "w"
}
