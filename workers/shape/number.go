package shape

import (
	"math/big"
	"strconv"
	"strings"
)

// number is a decimal, exact: nothing is rounded to a float64 on the way.
type number struct {
	whole int64
	exact *big.Rat // where whole doesn't do; nil otherwise
}

const (
	maxNumberBytes = 400
	maxExponent    = 400
	maxNumberBits  = 8192 // of what arithmetic makes
)

// parseNumber reads a JSON number. One with more than 400 bytes or an exponent beyond ±400 is no number to a condition: computing with it could
// take any time.
func parseNumber(text string) (number, bool) {
	if len(text) <= 18 || len(text) == 19 && text[0] != '-' { // most of them
		if whole, err := strconv.ParseInt(text, 10, 64); err == nil {
			return number{whole: whole}, true
		}
	}
	if len(text) > maxNumberBytes || strings.ContainsAny(text, "/_xX") {
		return number{}, false
	}
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		exponent, err := strconv.Atoi(text[at+1:])
		if err != nil || exponent > maxExponent || exponent < -maxExponent {
			return number{}, false
		}
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		return number{}, false
	}
	return ofRat(exact), true
}

func ofRat(r *big.Rat) number {
	if r.IsInt() && r.Num().IsInt64() {
		return number{whole: r.Num().Int64()}
	}
	return number{exact: r}
}

func (n number) rat() *big.Rat {
	if n.exact != nil {
		return n.exact
	}
	return new(big.Rat).SetInt64(n.whole)
}

func (n number) compare(other number) int {
	if n.exact != nil || other.exact != nil {
		return n.rat().Cmp(other.rat())
	}
	switch {
	case n.whole < other.whole:
		return -1
	case n.whole > other.whole:
		return 1
	}
	return 0
}

// calculate is false where there is no result: a division by zero, or a number that is too large.
func (n number) calculate(operator string, other number) (number, bool) {
	a, b, result := n.rat(), other.rat(), new(big.Rat)
	switch operator {
	case "+":
		result.Add(a, b)
	case "-":
		result.Sub(a, b)
	case "*":
		result.Mul(a, b)
	case "/":
		if b.Sign() == 0 {
			return number{}, false
		}
		result.Quo(a, b)
	case "%":
		if n.exact != nil || other.exact != nil || other.whole == 0 || other.whole == -1 {
			return number{}, other.exact == nil && other.whole == -1 && n.exact == nil
		}
		return number{whole: n.whole % other.whole}, true
	}
	if result.Num().BitLen()+result.Denom().BitLen() > maxNumberBits {
		return number{}, false
	}
	return ofRat(result), true
}

// truncate cuts what is behind the point.
func (n number) truncate() number {
	if n.exact == nil {
		return n
	}
	return ofRat(new(big.Rat).SetInt(new(big.Int).Quo(n.exact.Num(), n.exact.Denom())))
}

func (n number) String() string {
	if n.exact == nil {
		return strconv.FormatInt(n.whole, 10)
	}
	if n.exact.IsInt() {
		return n.exact.Num().String()
	}
	return strings.TrimRight(n.exact.FloatString(maxExponent), "0")
}

// canonicalNumber writes a JSON number in one way, whatever its length: 1, 1.0 and 10e-1 are all "1e0".
func canonicalNumber(text string) string {
	sign, digits := "", text
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		sign, digits = "-", rest
	}
	exponent := 0
	if at := strings.IndexAny(digits, "eE"); at >= 0 {
		e, err := strconv.ParseInt(digits[at+1:], 10, 32)
		if err != nil { // far out of any range: its own canonical form
			return text
		}
		digits, exponent = digits[:at], int(e)
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	exponent -= len(fraction)
	digits = strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return "0e0"
	}
	significant := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(significant)
	return sign + significant + "e" + strconv.Itoa(exponent)
}
