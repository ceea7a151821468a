package mesh

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong in a streams.json, and where.
type Mistake struct {
	// File is what the file is called, as ParseOptions.Name has it.
	File string
	// Line and Column count from 1; Column counts bytes.
	Line, Column int
	// Path is the place in the document, such as "subscribers[0].ack_wait".
	Path string
	// Problem says what is wrong. It never holds the value of a secret.
	Problem string
	// Hint says what to write instead; it may be "".
	Hint string
}

func (m Mistake) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", m.File, m.Line, m.Column)
	writeProblem(&b, m.Path, m.Problem, m.Hint)
	return b.String()
}

func writeProblem(b *strings.Builder, path, problem, hint string) {
	if path != "" {
		b.WriteString(path + ": ")
	}
	b.WriteString(problem)
	if hint != "" {
		b.WriteString("; " + hint)
	}
}

// Mistakes are all that is wrong in a streams.json, in the order of the document: never empty,
// at most maxMistakes.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.Error()
	}
	return strings.Join(lines, "\n")
}

// FieldError is what is wrong with a part of a topology, as ParseOptions' checks find it.
type FieldError struct {
	// Field is the place within what was checked, such as "target.url" or "redact[1].path"; "" is all of it.
	Field string
	// Problem and Hint are those of a Mistake.
	Problem, Hint string
}

func (e *FieldError) Error() string {
	var b strings.Builder
	writeProblem(&b, e.Field, e.Problem, e.Hint)
	return b.String()
}

// Within places what was found in a field, or in what it holds, into the field: its FieldErrors become
// relative to what has the field, and other errors become FieldErrors. It is nil if err is.
func Within(field string, err error) error {
	var placed []error
	for _, e := range fieldErrors(err) {
		placed = append(placed, &FieldError{Field: inside(field, e.Field), Problem: e.Problem, Hint: e.Hint})
	}
	return errors.Join(placed...)
}

// fieldErrors are those that err is or joins. What is none is one for all that was checked.
func fieldErrors(err error) []*FieldError {
	switch e := err.(type) {
	case nil:
		return nil
	case *FieldError:
		return []*FieldError{e}
	case interface{ Unwrap() []error }:
		var all []*FieldError
		for _, one := range e.Unwrap() {
			all = append(all, fieldErrors(one)...)
		}
		return all
	default:
		return []*FieldError{{Problem: err.Error()}}
	}
}

// inside is the path of a field, or of the element that "[1]" is.
func inside(path, field string) string {
	if field == "" || strings.HasPrefix(field, "[") {
		return path + field
	}
	return join(path, field)
}

// maxMistakes bounds a report: nobody reads the rest of a file that is no streams.json at all.
const maxMistakes = 100

// report collects mistakes against the text that they are in.
type report struct {
	file     string // its name
	data     []byte
	mistakes []located
}

type located struct {
	at int64
	Mistake
}

// add notes a mistake at a byte offset of the document.
func (r *report) add(at int64, path, problem, hint string) {
	if !r.full() {
		r.mistakes = append(r.mistakes, located{at, Mistake{Path: path, Problem: problem, Hint: hint}})
	}
}

// within reports whether inner is outer or a place inside it.
func within(outer, inner string) bool {
	rest, ok := strings.CutPrefix(inner, outer)
	return ok && outer != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// full reports whether nothing more will be taken.
func (r *report) full() bool { return len(r.mistakes) >= maxMistakes }

// err is the report as an error: nil if nothing is wrong.
func (r *report) err() error {
	if len(r.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(r.mistakes, func(a, b located) int { return int(a.at - b.at) })
	all := make(Mistakes, len(r.mistakes))
	for i, m := range r.mistakes {
		m.File = r.file
		m.Line, m.Column = position(r.data, m.at)
		all[i] = m.Mistake
	}
	return all
}

// position is the line and the column of a byte offset, both from 1.
func position(data []byte, at int64) (line, column int) {
	before := string(data[:min(max(at, 0), int64(len(data)))])
	return strings.Count(before, "\n") + 1, len(before) - strings.LastIndexByte(before, '\n')
}

// nearest is the candidate that wrong was most likely meant to be, or "" if none is close.
func nearest(wrong string, candidates []string) string {
	best, distance := "", max(2, len(wrong)/3)+1
	for _, c := range candidates {
		if d := EditDistance(strings.ToLower(wrong), strings.ToLower(c)); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// didYouMean is a hint at the nearest candidate or, if none is close, at all of them.
func didYouMean(wrong string, candidates []string) string {
	if best := nearest(wrong, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	if len(candidates) == 0 {
		return ""
	}
	named := slices.DeleteFunc(slices.Clone(candidates), func(s string) bool { return s == "" })
	return "known are " + strings.Join(named, ", ")
}

// EditDistance is how many characters must be changed, added, left out or swapped with their
// neighbour to get from a to b. Names are short: what exceeds 64 bytes is not compared, and as far as can be.
func EditDistance(a, b string) int {
	const maxNameBytes = 64
	if len(a) > maxNameBytes || len(b) > maxNameBytes {
		return math.MaxInt
	}
	var rows [3][maxNameBytes + 1]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
