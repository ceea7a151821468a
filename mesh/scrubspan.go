package mesh

import (
	"cmp"
	"slices"
)

// span is a run of sequences, its first and its last.
type span [2]uint64

func (s span) count() uint64 { return s[1] - s[0] + 1 }

// spans are runs of sequences in their order, none of which touches another.
type spans []span

// spansOf are the runs of sequences, which are in their order.
func spansOf(sequences []uint64) spans {
	var all spans
	for _, sequence := range sequences {
		if n := len(all); n > 0 && all[n-1][1]+1 == sequence {
			all[n-1][1] = sequence
			continue
		}
		all = append(all, span{sequence, sequence})
	}
	return all
}

func (s spans) count() uint64 {
	n := uint64(0)
	for _, one := range s {
		n += one.count()
	}
	return n
}

// without are the sequences that are not in other.
func (s spans) without(other spans) spans {
	var left spans
	for _, one := range s {
		first, _ := slices.BinarySearchFunc(other, one[0], func(o span, at uint64) int { return cmp.Compare(o[1], at) })
		for _, o := range other[first:] {
			if o[0] > one[1] {
				break
			}
			if o[0] > one[0] {
				left = append(left, span{one[0], o[0] - 1})
			}
			one[0] = o[1] + 1
		}
		if one[0] <= one[1] {
			left = append(left, one)
		}
	}
	return left
}

// within are the sequences from first to last.
func (s spans) within(first, last uint64) spans {
	var kept spans
	for _, one := range s {
		one[0], one[1] = max(one[0], first), min(one[1], last)
		if one[0] <= one[1] {
			kept = append(kept, one)
		}
	}
	return kept
}

// with are the sequences of both.
func (s spans) with(other spans) spans {
	all := slices.Concat(s, other)
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a[0], b[0]) })
	var merged spans
	for _, one := range all {
		if n := len(merged); n > 0 && one[0] <= merged[n-1][1]+1 {
			merged[n-1][1] = max(merged[n-1][1], one[1])
			continue
		}
		merged = append(merged, one)
	}
	return merged
}

// hull is one run from the first sequence to the last.
func (s spans) hull() span { return span{s[0][0], s[len(s)-1][1]} }
