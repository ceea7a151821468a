package schema

import "hash/maphash"

// shape is a hash over the names of all fields and the kinds of all values of a document, whatever the
// values, the order of the fields and the white space. Of an array only the runs of equal elements
// count. Different shapes have different hashes as far as 64 random bits go; senders are known to us
// and can't see them.
type shape struct {
	hash uint64
	// fraction reports whether there is a number with a fraction or an exponent: whether that is a
	// whole number is a question of its value.
	fraction bool
	// extreme reports whether there is a number with an exponent beyond maxExponent: written out, a
	// few bytes of it are a million digits.
	extreme bool
}

// maxExponent is above that of any float64.
const maxExponent = 400

// shapeOf finds the shape of valid JSON.
func shapeOf(body string) shape {
	s := scanner{body: body}
	s.hash = s.value()
	return s.shape
}

var shapeSeed = maphash.MakeSeed()

type scanner struct {
	shape
	body string
	at   int
}

// What begins the hash of each kind of value.
const (
	shapeNull = 0x9e3779b97f4a7c15 * (iota + 1) & (1<<64 - 1)
	shapeBool
	shapeString
	shapeInteger
	shapeFraction
	shapeObject
	shapeArray
)

func (s *scanner) value() uint64 {
	switch s.next() {
	case '{':
		return s.object()
	case '[':
		return s.array()
	case '"':
		s.text()
		return shapeString
	case 't', 'f':
		s.word()
		return shapeBool
	case 'n':
		s.word()
		return shapeNull
	}
	return s.number()
}

// next skips white space and is the byte there, or 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.body); s.at++ {
		switch c := s.body[s.at]; c {
		case ' ', '\t', '\n', '\r', ',', ':':
		default:
			return c
		}
	}
	return 0
}

// object adds its members up, so that their order does not matter.
func (s *scanner) object() uint64 {
	shape := uint64(shapeObject)
	for s.at++; s.at < len(s.body); {
		switch s.next() {
		case '"':
			name := s.text()
			shape += mix(maphash.String(shapeSeed, name) ^ mix(s.value()))
		default:
			s.at++
			return mix(shape)
		}
	}
	return mix(shape)
}

func (s *scanner) array() uint64 {
	shape, last := uint64(shapeArray), uint64(0)
	for s.at++; s.at < len(s.body); {
		if c := s.next(); c == ']' || c == 0 {
			s.at++
			break
		}
		if element := s.value(); element != last {
			shape, last = mix(shape+element), element
		}
	}
	return mix(shape)
}

// text skips a string and is what stands between its quotes.
func (s *scanner) text() string {
	from := s.at + 1
	for s.at++; s.at < len(s.body); s.at++ {
		switch s.body[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return s.body[from : s.at-1]
		}
	}
	return ""
}

func (s *scanner) word() {
	for s.at < len(s.body) && s.body[s.at] >= 'a' && s.body[s.at] <= 'z' {
		s.at++
	}
}

func (s *scanner) number() uint64 {
	shape := uint64(shapeInteger)
	for from := s.at; s.at < len(s.body); s.at++ {
		switch c := s.body[s.at]; {
		case c == '.':
			shape, s.fraction = shapeFraction, true
		case c == 'e' || c == 'E':
			shape, s.fraction = shapeFraction, true
			s.exponent()
		case c >= '0' && c <= '9' || c == '-' || c == '+':
		default:
			if s.at == from {
				s.at++ // what is no JSON; it must end all the same
			}
			return shape
		}
	}
	return shape
}

// exponent looks at the digits that follow, and stays where it is.
func (s *scanner) exponent() {
	value := 0
	for i := s.at + 1; i < len(s.body); i++ {
		switch c := s.body[i]; {
		case c >= '0' && c <= '9':
			if value = value*10 + int(c-'0'); value > maxExponent {
				s.extreme = true
				return
			}
		case c != '-' && c != '+':
			return
		}
	}
}

// mix spreads every bit of x over all of them.
func mix(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}
