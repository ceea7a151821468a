package mesh

import (
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong in a streams.json, and where.
type Mistake struct {
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
	fmt.Fprintf(&b, "streams.json:%d:%d: ", m.Line, m.Column)
	if m.Path != "" {
		b.WriteString(m.Path + ": ")
	}
	b.WriteString(m.Problem)
	if m.Hint != "" {
		b.WriteString("; " + m.Hint)
	}
	return b.String()
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

// maxMistakes bounds a report: nobody reads the rest of a file that is no streams.json at all.
const maxMistakes = 100

// report collects mistakes against the text that they are in.
type report struct {
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
		if d := editDistance(strings.ToLower(wrong), strings.ToLower(c)); d < distance {
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

// editDistance is how many characters must be changed, added, left out or swapped with their
// neighbour to get from a to b. Names are short: what exceeds maxNameBytes is not compared.
func editDistance(a, b string) int {
	const maxNameBytes = 64
	if len(a) > maxNameBytes || len(b) > maxNameBytes {
		return maxNameBytes
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
