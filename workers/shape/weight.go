package shape

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/itchyny/gojq"
)

const (
	// maxWeight bounds each value that a program makes, counted as if it were written out: bytes of texts, and valueWeight for each value.
	maxWeight   = 4 << 20
	valueWeight = 16
	// maxMemory bounds all values that one run makes, in about bytes.
	maxMemory = 64 << 20
	// maxDepth bounds how deep values are nested.
	maxDepth = 512
	// maxProduct bounds the work of built-ins that compare everything with everything.
	maxProduct = 4 << 20
	// maxPlace bounds the index of a list that a program may write to, and maxPathLength the steps of a path.
	maxPlace      = 1 << 16
	maxPathLength = 64
	// maxSubjectBytes bounds the text that a regular expression, or the reading of a number, goes over, and the format of a time.
	maxSubjectBytes = 8 << 10
	// maxPartedBytes bounds the text that is cut into its characters or parts.
	maxPartedBytes = 256 << 10
	maxNumberWidth = 8 << 10 // bits
	// maxNumberDigits bounds a number that is kept as it is written, such as fromjson makes one: computing with it reads it.
	maxNumberDigits = maxNumberWidth / 3
)

func (g *guard) options() []gojq.CompilerOption {
	return []gojq.CompilerOption{
		gojq.WithVariables([]string{variableEvent, variableRun}),
		gojq.WithFunction("_weigh", 1, 1, weighValue),
		gojq.WithFunction("_bound", 1, 1, boundValue),
		gojq.WithFunction("_spoken", 1, 1, spokenError),
		gojq.WithFunction("_factors", 2, 2, factors),
		gojq.WithFunction("_difference", 2, 2, difference),
		gojq.WithFunction("_quotient", 2, 2, quotient),
		gojq.WithFunction("_parts", 0, 0, checkParts),
		gojq.WithFunction("_place", 0, 0, checkPlace),
		gojq.WithFunction("_path", 0, 0, checkPath),
		gojq.WithFunction("_subject", 0, 0, checkSubject),
		gojq.WithFunction("_indices", 2, 2, textIndices),
		gojq.WithFunction("_index_of", 1, 1, textIndex),
		gojq.WithFunction("_rindex_of", 1, 1, textLastIndex),
		gojq.WithFunction("_matches", 3, 3, g.patterns.matches),
		gojq.WithFunction("_matching", 3, 3, g.patterns.matching),
		gojq.WithFunction("_product", 1, 1, checkProduct),
		gojq.WithFunction("_joinable", 1, 1, checkJoin),
		gojq.WithFunction("_rectangle", 0, 0, checkRectangle),
	}
}

// weighValue ends the run if a value is too large, or all together are; else the value goes on as it is.
func weighValue(v any, arguments []any) any {
	m, ok := arguments[0].(*meter)
	if !ok {
		return errMemory
	}
	w := weight(v, min(maxWeight, m.memory))
	if m.memory -= w; w > maxWeight || m.memory < 0 {
		m.exceeded = errMemory
		return errMemory
	}
	return v
}

// boundValue ends the run if a value is too large by itself. It is for what is only passed through, and takes nothing off the memory.
func boundValue(v any, arguments []any) any {
	if weight(v, maxWeight) <= maxWeight {
		return v
	}
	if m, ok := arguments[0].(*meter); ok {
		m.exceeded = errMemory
	}
	return errMemory
}

// weight is what v weighs written out, or more than limit if that, or its depth, is too much.
func weight(v any, limit int) int {
	s := scale{left: limit}
	s.put(v, 0)
	return limit - s.left
}

type scale struct{ left int }

func (s *scale) put(v any, depth int) {
	if depth > maxDepth {
		s.left = -1
	}
	if s.left -= valueWeight; s.left < 0 {
		return
	}
	switch v := v.(type) {
	case string:
		s.left -= len(v)
	case json.Number:
		if s.left -= len(v); len(v) > maxNumberDigits {
			s.left = -1
		}
	case *big.Int:
		if s.left -= v.BitLen() / 3; v.BitLen() > maxNumberWidth {
			s.left = -1
		}
	case []any:
		for _, element := range v {
			if s.put(element, depth+1); s.left < 0 {
				return
			}
		}
	case map[string]any:
		for name, member := range v {
			s.left -= len(name)
			if s.put(member, depth+1); s.left < 0 {
				return
			}
		}
	}
}

// overrun is a bound that a run went over: an error that shows nothing of the event.
type overrun string

func (e overrun) Error() string { return string(e) }

var (
	errMemory  = overrun("the program makes values that are too large")
	errProduct = overrun("a built-in would compare too much with too much")
	errPlace   = overrun(fmt.Sprintf("an index is above %d", maxPlace))
	errPath    = overrun(fmt.Sprintf("a path has more than %d steps or an index above %d", maxPathLength, maxPlace))
	errParts   = overrun(fmt.Sprintf("a text of more than %d bytes is too long to be taken apart", maxPartedBytes))
	errPattern = overrun("a regular expression is not one of the program's")
	errSubject = overrun(fmt.Sprintf("a text of more than %d bytes is too long for this", maxSubjectBytes))
)

// factors is the operands of a product as a pair, unless they would make something huge.
func factors(_ any, operands []any) any {
	for i, v := range operands {
		s, isText := v.(string)
		if n, isNumber := gojq.ToFloat64(operands[1-i]); isText && isNumber && n*float64(len(s)) > maxWeight {
			return errMemory
		}
		if w := weight(v, maxWeight); w > maxWeight {
			return errMemory
		}
	}
	return []any{operands[0], operands[1]}
}

// difference is the operands as a pair, unless they are lists that are too long to be compared element by element.
func difference(_ any, operands []any) any {
	a, aIsList := operands[0].([]any)
	b, bIsList := operands[1].([]any)
	if aIsList && bIsList && tooMuch(a, b) {
		return errProduct
	}
	return []any{operands[0], operands[1]}
}

// tooMuch reports whether comparing each part of a with each of b is too much.
func tooMuch(a, b any) bool {
	return weight(a, maxWeight)/valueWeight*(weight(b, maxWeight)/valueWeight) > maxProduct
}

// quotient is the operands as a pair. A text divided by a text is cut into pieces.
func quotient(_ any, operands []any) any {
	if err, wrong := checkParts(operands[0], nil).(error); wrong {
		return err
	}
	return []any{operands[0], operands[1]}
}

func checkPlace(v any, _ []any) any {
	if n, ok := gojq.ToFloat64(v); ok && n > maxPlace {
		return errPlace
	}
	return v
}

func checkPath(v any, _ []any) any {
	path, ok := v.([]any)
	if !ok {
		return v // the built-in says what is wrong
	}
	if len(path) > maxPathLength {
		return errPath
	}
	for _, step := range path {
		if n, ok := gojq.ToFloat64(step); ok && n > maxPlace {
			return errPath
		}
	}
	return v
}

func checkSubject(v any, _ []any) any {
	if s, ok := v.(string); ok && len(s) > maxSubjectBytes {
		return errSubject
	}
	return v
}

func checkParts(v any, _ []any) any {
	if s, ok := v.(string); ok && len(s) > maxPartedBytes {
		return errParts
	}
	return v
}

func checkProduct(v any, arguments []any) any {
	if tooMuch(v, arguments[0]) {
		return errProduct
	}
	return v
}

func checkJoin(v any, arguments []any) any {
	elements, isList := v.([]any)
	if separator, ok := arguments[0].(string); ok && isList && len(elements)*len(separator) > maxWeight {
		return errMemory
	}
	return v
}

func checkRectangle(v any, _ []any) any {
	rows, _ := v.([]any)
	longest := 0
	for _, row := range rows {
		if row, ok := row.([]any); ok {
			longest = max(longest, len(row))
		}
	}
	if longest*len(rows) > maxWeight/valueWeight {
		return errMemory
	}
	return v
}
