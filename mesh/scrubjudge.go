package mesh

import (
	"cmp"
	"slices"
)

// judge compares a stream with its mark, and says what is lost. acked is the sequence up to which this process was told that everything
// is stored; refilled, if above zero, is the first sequence behind which other messages are than before. replaced is true where the audit
// says that the stream was made anew on purpose. explains takes from the losses what was deleted on purpose.
func (m *scrubMark) judge(l streamLook, acked, refilled uint64, replaced bool, explains func(spans) spans) []ScrubFinding {
	if m.Created.IsZero() {
		return nil // it is looked at for the first time
	}
	stream := l.config.Name
	if !m.Created.Equal(l.created) {
		if replaced || m.Gone || m.Messages == 0 {
			return nil
		}
		return []ScrubFinding{{Kind: ScrubReplaced, Stream: stream, First: m.First, Last: m.Last, Count: m.Messages, Since: m.At}}
	}
	var found []ScrubFinding
	known := m.Holes.with(m.Bad)
	if top := max(m.Last, acked); refilled > 0 || l.last < top {
		first := l.last + 1
		if refilled > 0 {
			first = min(first, refilled)
		}
		found = append(found, lostSpan(stream, ScrubTruncated, span{first, top}, known))
		known = known.within(1, first-1)
	}
	if !keepsAll(l.config) {
		return found
	}
	if m.Uncounted || l.uncounted {
		return append(found, m.judgeCount(l, explains)...)
	}
	lost := l.holes.without(known)
	if l.first > m.First {
		front := spans{{m.First, l.first - 1}}.within(m.mayLose(l), l.first).without(known)
		lost = front.with(lost)
	}
	return append(found, lostFindings(stream, explains(lost))...)
}

// judgeCount is for a stream with too many holes to list: it can tell that something is missing, not where.
func (m *scrubMark) judgeCount(l streamLook, explains func(spans) spans) []ScrubFinding {
	had := m.Messages + l.last - min(m.Last, l.last)
	limits := m.mayLose(l)
	gone := had - min(l.messages, had)
	gone -= min(gone, max(limits, m.First)-m.First)
	if gone == 0 || l.last < l.first {
		return nil
	}
	left := explains(spans{{1, gone}}).count() // only the number counts
	if left == 0 {
		return nil
	}
	return []ScrubFinding{{Kind: ScrubMissing, Stream: l.config.Name, First: m.First, Last: l.last, Count: left, Since: m.At}}
}

// maxLostSpans bounds the findings that one look makes of what is missing in several places.
const maxLostSpans = 5

func lostFindings(stream string, lost spans) []ScrubFinding {
	if len(lost) > maxLostSpans {
		whole := lost.hull()
		return []ScrubFinding{{Kind: ScrubMissing, Stream: stream, First: whole[0], Last: whole[1], Count: lost.count()}}
	}
	var found []ScrubFinding
	for _, one := range lost {
		found = append(found, lostSpan(stream, ScrubMissing, one, nil))
	}
	return found
}

// lostSpan is a finding about the sequences of a span but those that were gone before.
func lostSpan(stream string, kind ScrubKind, lost span, known spans) ScrubFinding {
	return ScrubFinding{Kind: kind, Stream: stream, First: lost[0], Last: lost[1], Count: spans{lost}.without(known).count()}
}

// explain takes from what is missing as much as grants say was deleted on purpose. Nothing says which of several runs it was: the shortest
// go first, for people delete a few, and damage takes many. What a grant is used for is used up.
func (m *scrubMark) explain(lost spans) spans {
	byLength := slices.Clone(lost)
	slices.SortFunc(byLength, func(a, b span) int { return cmp.Or(cmp.Compare(a.count(), b.count()), cmp.Compare(a[0], b[0])) })
	var left spans
	for _, one := range byLength {
		if granted := m.granted(); granted >= one.count() {
			m.use(one.count())
			continue
		}
		left = append(left, one)
	}
	return left.with(nil)
}
