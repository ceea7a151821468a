package admin

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxAlike is how many bytes of an error tell its cause.
const maxAlike = 512

// longestWord is how many characters a word has at most that nobody made up for one event.
const longestWord = 32

// alike is an error without what differs from one event to the next: numbers, ids, times, addresses and long words become "#", what stands in
// quotes "…", and the query of a URL is left out. So errors that say the same of different events read the same.
func alike(text string) string {
	if len(text) > maxAlike {
		text = text[:maxAlike]
	}
	s := shortener{rest: strings.ToValidUTF8(text, "")}
	for s.rest != "" {
		s.step()
	}
	return strings.TrimSpace(s.out.String())
}

// shortener writes an error word by word.
type shortener struct {
	rest string
	out  strings.Builder
	// joint is what came since the last "#", as long as it is only what joins the parts of a number, a time or an address; then
	// afterMark is true.
	joint     strings.Builder
	afterMark bool
	inWord    bool // the character before is of a word
	inURL     bool
}

func (s *shortener) step() {
	r, size := utf8.DecodeRuneInString(s.rest)
	switch {
	case isWordRune(r):
		s.word()
		s.inWord = true
		return
	case r == '"' || r == '`' || r == '\'' && !s.inWord:
		s.quoted(r, size)
	case r == '?' && s.inURL:
		s.takeWhile(isURLRune)
	case strings.HasPrefix(s.rest, "://"):
		s.inURL = true
		s.write("://")
		s.rest = s.rest[len("://"):]
	case strings.ContainsRune(" \t\r\n.,:;/@+%&=#", r):
		s.inURL = s.inURL && !unicode.IsSpace(r)
		s.rest = s.rest[size:]
		s.join(r)
	default:
		s.inURL = false
		s.write(s.rest[:size])
		s.rest = s.rest[size:]
	}
	s.inWord = false
}

func (s *shortener) word() {
	before := s.rest
	if address := s.takeWhile(isAddressRune); strings.Contains(strings.Trim(address, "@."), "@") {
		s.mark()
		return
	}
	s.rest = before
	if word := s.takeWhile(isWordRune); differs(word) {
		s.mark()
	} else {
		s.write(word)
	}
}

// quoted leaves out what stands in quotes; where they are not closed, all that follows. An apostrophe that opens none stays.
func (s *shortener) quoted(quote rune, size int) {
	inside, isEscaped := s.rest[size:], false
	end := strings.IndexFunc(inside, func(r rune) bool {
		isEnd := r == quote && !isEscaped
		isEscaped = r == '\\' && !isEscaped
		return isEnd
	})
	switch {
	case end < 0 && quote == '\'':
		s.write("'")
		s.rest = inside
		return
	case end < 0:
		s.rest = ""
	default:
		s.rest = inside[end+size:]
	}
	s.write(string(quote) + "…" + string(quote))
}

// mark writes "#", once for all that only joints part.
func (s *shortener) mark() {
	if !s.afterMark {
		s.out.WriteByte('#')
	}
	s.joint.Reset()
	s.afterMark = true
}

// join keeps what may join two marks until it is known whether it does. Space is written as one blank.
func (s *shortener) join(r rune) {
	if unicode.IsSpace(r) {
		r = ' '
	}
	switch {
	case r == '#':
		s.mark()
	case s.afterMark:
		s.joint.WriteRune(r)
	default:
		s.out.WriteRune(r)
	}
}

func (s *shortener) write(text string) {
	s.out.WriteString(s.joint.String())
	s.joint.Reset()
	s.afterMark = false
	s.out.WriteString(text)
}

func (s *shortener) takeWhile(of func(rune) bool) string {
	end := strings.IndexFunc(s.rest, func(r rune) bool { return !of(r) })
	if end < 0 {
		end = len(s.rest)
	}
	taken := s.rest[:end]
	s.rest = s.rest[end:]
	return taken
}

func isWordRune(r rune) bool {
	return r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r)
}

// isAddressRune is true for what an e-mail address is made of.
func isAddressRune(r rune) bool { return isWordRune(r) || strings.ContainsRune(".+%@", r) }

func isURLRune(r rune) bool { return !unicode.IsSpace(r) && !strings.ContainsRune("\"'`<>", r) }

// leastHex is how many characters a number in hex has that has no digit.
const leastHex = 8

// differs reports whether a word is of one event: a number, an id, a hash or a key.
func differs(word string) bool {
	isHex := strings.IndexFunc(word, func(r rune) bool { return !strings.ContainsRune("abcdefABCDEF-", r) }) < 0
	return strings.ContainsFunc(word, unicode.IsNumber) || isHex && len(word) >= leastHex || utf8.RuneCountInString(word) > longestWord
}
